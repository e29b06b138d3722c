"""Confidence that can be believed: the curve from probabilities to shares of right answers, and the threshold on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from packsight.shared.catalog.decision_model import Curve, Matrix
from packsight.shared.catalog.versions import SelfCheck

PRECISION = 0.98
"""Estimated precision of `matched` answers."""
SURE = 5.0
"""Answers of the model's own confidence that the estimate of a threshold's precision starts from."""
RIVALS = 10.0
"""Products that share what confidence a wrong first candidate leaves, when models are compared."""


def fit_curve(probability: Matrix, right: npt.NDArray[np.bool_], weight: Matrix) -> Curve:
    """Platt's curve, drawn towards the identity."""
    clipped = np.clip(probability, 1e-9, 1 - 1e-9)
    logit = np.log(clipped / (1 - clipped))
    target = right.astype(np.float64)

    def objective(x: Matrix) -> float:
        z = x[0] * logit + x[1]
        pull = 2.0 * (x[0] - 1) ** 2 + 0.5 * x[1] ** 2
        return float(weight @ (np.logaddexp(0, z) - target * z) + pull)

    found = minimize(objective, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.1, 5.0), (-5.0, 5.0)])
    return Curve(slope=round(float(found.x[0]), 6), offset=round(float(found.x[1]), 6))


@dataclass(frozen=True, slots=True)
class Answers:
    """Final answers to all questions by cross-fitted weights: first candidate's confidence, and was it right.

    weight: how often such photos are sent; 0 for doubtful ones that were not compared closely. worn: was a worn copy
    asked although the photo itself could be.
    """

    confidence: Matrix
    right: npt.NDArray[np.bool_]
    present: npt.NDArray[np.bool_]
    weight: Matrix
    worn: npt.NDArray[np.bool_]

    def self_check(self, matched: float) -> SelfCheck:
        """What of the photos whose product is listed was recognised."""
        asked = self.present & ~self.worn
        told = asked & (self.confidence >= matched)
        whole, part = float(self.weight[asked].sum()), float(self.weight[told].sum())
        return SelfCheck(
            photos=int(asked.sum()),
            top1=round(float(self.weight[asked] @ self.right[asked]) / whole, 6) if whole else 0.0,
            precision_matched=round(float(self.weight[told] @ self.right[told]) / part, 6) if part else 0.0,
            share_matched=round(part / whole, 6) if whole else 0.0,
        )

    def loss(self) -> float:
        """-ln of the confidence in what was right, on average."""
        sure = np.clip(self.confidence, 1e-6, 1 - 1e-6)
        chance = np.where(self.right, sure, (1 - sure) / np.where(self.present, RIVALS, 1.0))
        return float(self.weight @ -np.log(chance)) / float(self.weight.sum())


def threshold(answers: Answers) -> float:
    """Smallest confidence from which answers are estimated to be right in PRECISION of cases; 1 when there is none.

    The estimate for the answers above a confidence starts from SURE answers at the mean of their own confidence.
    """
    order = np.argsort(-answers.confidence, kind="stable")
    weight, right, confidence = answers.weight[order], answers.right[order], answers.confidence[order]
    total = np.cumsum(weight)
    mean = np.cumsum(weight * confidence) / np.maximum(total, 1e-12)
    precision = (np.cumsum(weight * right) + SURE * mean) / (total + SURE)
    good = np.flatnonzero(precision >= PRECISION)
    return round(float(np.clip(confidence[good[-1]], 0.5, 1.0)), 6) if len(good) else 1.0
