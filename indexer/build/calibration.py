"""What answers are worth: their thresholds, and how well a catalog knows its own photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from packsight.indexer.binomial import tail
from packsight.indexer.build.parameters import FIT, CalibrationParameters
from packsight.shared.catalog.decision_model import Matrix
from packsight.shared.catalog.manifest import SelfCheck


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to examples by weights that have not seen them: first candidate's probability, and was it right.

    weight: how often such photos are sent.
    """

    confidence: Matrix
    right: npt.NDArray[np.bool_]
    listed: npt.NDArray[np.bool_]
    weight: Matrix

    def taken(self, rows: npt.NDArray[np.bool_]) -> Answers:
        """Some of the answers."""
        return Answers(self.confidence[rows], self.right[rows], self.listed[rows], self.weight[rows])

    def self_check(self, matched: float | Matrix) -> SelfCheck:
        """What of the photos whose product is listed was recognised; matched: from which confidence, of all or of each."""
        told = self.listed & (self.confidence >= matched)
        whole, part = float(self.weight[self.listed].sum()), float(self.weight[told].sum())
        return SelfCheck(
            photos=int(self.listed.sum()),
            top1=round(float(self.weight[self.listed] @ self.right[self.listed]) / whole, 6) if whole else 0.0,
            precision_matched=round(float(self.weight[told] @ self.right[told]) / part, 6) if part else 0.0,
            share_matched=round(part / whole, 6) if whole else 0.0,
        )

    def loss(self, rivals: float = FIT.calibration.rivals) -> float:
        """-ln of the confidence in what was right, on average; a wrong first candidate leaves the rest to so many others."""
        sure = np.clip(self.confidence, 1e-6, 1 - 1e-6)
        chance = np.where(self.right, sure, (1 - sure) / np.where(self.listed, rivals, 1.0))
        return float(self.weight @ -np.log(chance)) / float(self.weight.sum())


def raised(
    answers: Answers, least: float, precision: float, parameters: CalibrationParameters = FIT.calibration
) -> float:
    """Smallest confidence, from `least` on, above which answers do not contradict the precision; 1 when there is none.

    They contradict it when answers that are as precise would hardly ever have so many wrong ones among them: the tail of the
    binomial distribution, by weights. A few photos of a shop say little against
    what several catalogs say together.
    """
    for start in (least, *np.unique(answers.confidence[answers.confidence > least]).tolist()):
        told = answers.confidence >= start
        count, wrong = float(answers.weight[told].sum()), float(answers.weight[told & ~answers.right].sum())
        if tail(wrong, count, 1 - precision) >= parameters.significance:
            return round(float(start), 6)
    return 1.0


def threshold(answers: Answers, precision: float, parameters: CalibrationParameters = FIT.calibration) -> float:
    """Smallest confidence from which answers are estimated to be precise enough; 1 when there is none.

    The estimate for the answers above a confidence starts from a few that are as precise as wanted, or as right as the mean
    of their own confidence says if that is more: a handful of photos says nothing against answers that are all right.
    """
    order = np.argsort(-answers.confidence, kind="stable")
    weight, right, confidence = answers.weight[order], answers.right[order], answers.confidence[order]
    total = np.cumsum(weight)
    mean = np.cumsum(weight * confidence) / np.maximum(total, 1e-12)
    prior = parameters.prior_answers
    estimate = (np.cumsum(weight * right) + prior * np.maximum(mean, precision)) / (total + prior)
    last = np.append(confidence[1:] < confidence[:-1], True)[: len(confidence)]  # of those that are equally sure
    good = np.flatnonzero((estimate >= precision) & last)
    return round(float(np.clip(confidence[good[-1]], parameters.min_threshold, 1.0)), 6) if len(good) else 1.0
