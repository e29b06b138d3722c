"""Confidence that can be believed: the curve from probabilities to shares of right answers, and the threshold on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from packsight.indexer.build.parameters import FIT, CalibrationParameters
from packsight.shared.catalog.decision_model import Curve, Matrix
from packsight.shared.catalog.manifest import SelfCheck


def fit_curve(
    probability: Matrix,
    right: npt.NDArray[np.bool_],
    weight: Matrix,
    parameters: CalibrationParameters = FIT.calibration,
) -> Curve:
    """Platt's curve, drawn towards the identity."""
    clipped = np.clip(probability, 1e-9, 1 - 1e-9)
    logit = np.log(clipped / (1 - clipped))
    target = right.astype(np.float64)

    def objective(x: Matrix) -> float:
        z = x[0] * logit + x[1]
        pull = parameters.slope_pull * (x[0] - 1) ** 2 + parameters.offset_pull * x[1] ** 2
        return float(weight @ (np.logaddexp(0, z) - target * z) + pull)

    bounds = [parameters.slopes, parameters.offsets]
    found = minimize(objective, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=bounds)
    return Curve(slope=round(float(found.x[0]), 6), offset=round(float(found.x[1]), 6))


@dataclass(frozen=True, slots=True)
class Answers:
    """Final answers to all examples by cross-fitted weights: first candidate's confidence, and was it right.

    weight: how often such photos are sent; 0 for doubtful ones that were not reranked. augmented: was an augmented copy
    asked although the photo itself could be.
    """

    confidence: Matrix
    right: npt.NDArray[np.bool_]
    listed: npt.NDArray[np.bool_]
    weight: Matrix
    augmented: npt.NDArray[np.bool_]

    def self_check(self, matched: float) -> SelfCheck:
        """What of the photos whose product is listed was recognised."""
        asked = self.listed & ~self.augmented
        told = asked & (self.confidence >= matched)
        whole, part = float(self.weight[asked].sum()), float(self.weight[told].sum())
        return SelfCheck(
            photos=int(asked.sum()),
            top1=round(float(self.weight[asked] @ self.right[asked]) / whole, 6) if whole else 0.0,
            precision_matched=round(float(self.weight[told] @ self.right[told]) / part, 6) if part else 0.0,
            share_matched=round(part / whole, 6) if whole else 0.0,
        )

    def loss(self, rivals: float = FIT.calibration.rivals) -> float:
        """-ln of the confidence in what was right, on average; a wrong first candidate leaves the rest to so many others."""
        sure = np.clip(self.confidence, 1e-6, 1 - 1e-6)
        chance = np.where(self.right, sure, (1 - sure) / np.where(self.listed, rivals, 1.0))
        return float(self.weight @ -np.log(chance)) / float(self.weight.sum())


def threshold(answers: Answers, parameters: CalibrationParameters = FIT.calibration) -> float:
    """Smallest confidence from which answers are estimated to be precise enough; 1 when there is none.

    The estimate for the answers above a confidence starts from a few answers at the mean of their own confidence.
    """
    order = np.argsort(-answers.confidence, kind="stable")
    weight, right, confidence = answers.weight[order], answers.right[order], answers.confidence[order]
    total = np.cumsum(weight)
    mean = np.cumsum(weight * confidence) / np.maximum(total, 1e-12)
    prior = parameters.prior_answers
    precision = (np.cumsum(weight * right) + prior * mean) / (total + prior)
    good = np.flatnonzero(precision >= parameters.precision)
    return round(float(np.clip(confidence[good[-1]], parameters.min_threshold, 1.0)), 6) if len(good) else 1.0
