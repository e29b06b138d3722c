"""How evidence becomes a probability: a conditional logit with the choice "none of the catalog's products".

Each candidate c has evidence x_c and utility u_c = w · x_c; "none" has utility 0. P(c) = exp u_c / (1 + Σ exp u_i)
(McFadden, Conditional logit analysis of qualitative choice behavior, 1973). The curve on top, σ(slope · logit P +
offset), makes the probability of the first candidate honest (Platt, Probabilistic outputs for support vector
machines, 1999). Weights, curve and threshold are fitted for every version on its own photos, drawn towards the prior
below, and stored with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Matrix = npt.NDArray[np.float64]

LOOKS = ("looks", "looks_lead")
WORDS = (
    "word_share", "word_mass", "word_lead", "coverage", "name", "rival_name", "brand", "rival_brand", "unknown_words",
    "replaced_words",
)  # fmt: skip
CLEAR = ("present", *LOOKS, *WORDS)
"""Evidence for every candidate; shared/matching/evidence.py says what each is."""
CLOSE = (
    "clear", "present", "inliers", "alignment", "colour", "colour_lead", "telling_words", "telling_missing", "telling_unseen",
)  # fmt: skip
"""Evidence among the few candidates that are hard to tell apart; see shared/matching/rerank.py."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Curve(_Value):
    """σ(slope · logit p + offset)."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, probability: Matrix) -> Matrix:
        """Calibrate probabilities; monotone."""
        clipped = np.clip(probability, 1e-9, 1 - 1e-9)
        result: Matrix = 1 / (1 + np.exp(-(self.slope * np.log(clipped / (1 - clipped)) + self.offset)))
        return result


class Stage(_Value):
    """Weights of one kind of decision with their curve."""

    weights: dict[str, float]
    curve: Curve = Curve()

    def vector(self, names: tuple[str, ...]) -> Matrix:
        """The weights in the order of `names`, 0 for those that are not there."""
        return np.array([self.weights.get(name, 0.0) for name in names])


class Model(_Value):
    """All that a version has learned about deciding."""

    clear: Stage
    """For all candidates."""
    close: Stage
    """For the first few, when the clear decision is not certain enough."""
    matched: float = 0.9
    """Confidence from which a photo is `matched`: the estimated precision of such answers is at least 0.98."""
    sure: float = 0.95
    """Confidence from which the clear decision stands, by the same estimate, and nothing is compared more closely."""
    fitted: bool = False


def probabilities(evidence: Matrix, weights: Matrix) -> tuple[Matrix, float]:
    """P of each candidate and of none, from evidence [candidates, features]."""
    utility = np.append(evidence @ weights, 0.0)
    exponent = np.exp(utility - utility.max())
    share = exponent / exponent.sum()
    return share[:-1], float(share[-1])


SPREAD = 2.0
"""Standard deviation of the normal prior of each weight; no fit changes a weight's sign."""
PRIOR = Model(
    clear=Stage(
        weights={
            "present": -5.0,
            "looks": 5.0,
            "looks_lead": 0.5,
            "word_share": 3.0,
            "word_mass": 2.5,
            "word_lead": 2.0,
            "coverage": 2.5,
            "name": 2.5,
            "rival_name": -1.5,
            "brand": 0.2,
            "rival_brand": -1.5,
            "unknown_words": -2.0,
            "replaced_words": -3.0,
        }
    ),
    close=Stage(
        weights={
            "clear": 0.8,
            "present": 0.0,
            "inliers": 1.0,
            "alignment": 1.0,
            "colour": 0.5,
            "colour_lead": 8.0,
            "telling_words": 1.0,
            "telling_missing": -2.0,
            "telling_unseen": -0.5,
        }
    ),
)
"""What is believed before a catalog has shown anything: every fit is drawn towards this, and without photos it
stands alone."""
