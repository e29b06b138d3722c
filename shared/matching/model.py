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
WORDS = ("word_share", "word_mass", "word_lead", "coverage", "brand", "rival_brand", "unknown_words")
CLEAR = ("present", *LOOKS, *WORDS)
"""Evidence for every candidate; shared/matching/evidence.py says what each is."""
CLOSE = (*CLEAR, "inliers", "alignment", "colour", "telling_words", "telling_missing")
"""Evidence among the few candidates that are hard to tell apart; see shared/matching/siblings.py."""


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
    fitted: bool = False


def probabilities(evidence: Matrix, weights: Matrix) -> tuple[Matrix, float]:
    """P of each candidate and of none, from evidence [candidates, features]."""
    utility = np.append(evidence @ weights, 0.0)
    exponent = np.exp(utility - utility.max())
    share = exponent / exponent.sum()
    return share[:-1], float(share[-1])


_PRIOR_CLEAR = {
    "present": -4.0,
    "looks": 4.0,
    "looks_lead": 2.0,
    "word_share": 4.0,
    "word_mass": 3.0,
    "word_lead": 2.0,
    "coverage": 2.0,
    "brand": 0.5,
    "rival_brand": -0.5,
    "unknown_words": 0.0,
}
PRIOR = Model(
    clear=Stage(weights=_PRIOR_CLEAR),
    close=Stage(
        weights=_PRIOR_CLEAR
        | {"inliers": 1.0, "alignment": 1.0, "colour": 1.0, "telling_words": 2.0, "telling_missing": -1.0}
    ),
)
"""What is believed before a catalog has shown anything: every fit is drawn towards this, and without photos it
stands alone."""
