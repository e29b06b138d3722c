"""How evidence becomes a probability: a conditional logit with the choice "none of the catalog's products".

Each candidate c has evidence x_c and utility u_c = w · x_c; "none" has utility 0. P(c) = exp u_c / (1 + Σ exp u_i)
(McFadden, Conditional logit analysis of qualitative choice behavior, 1973). The curve on top, σ(slope · logit P +
offset), makes the probability of the first candidate honest (Platt, Probabilistic outputs for support vector
machines, 1999). Weights, curve and threshold are fitted for every version on its own photos and stored with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from packsight.shared.catalog.evidence import FIRST_STAGE, RERANK
from packsight.shared.contract.errors import CatalogError, ErrorCode

Matrix = npt.NDArray[np.float64]


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
    """Weights of one kind of evidence with their curve."""

    weights: dict[str, float]
    curve: Curve = Curve()

    def vector(self, names: tuple[str, ...]) -> Matrix:
        """The weights in the order of `names`; raises CatalogError when one is missing or there is one more."""
        if self.weights.keys() != set(names):
            wrong = sorted(set(names) - self.weights.keys()), sorted(self.weights.keys() - set(names))
            raise CatalogError(
                ErrorCode.CATALOG_REFUSED,
                f"The version's model lacks weights for {wrong[0]} and has unknown ones for {wrong[1]}",
                remedy="Sync the catalog with this release.",
            )
        return np.array([self.weights[name] for name in names])


class Model(_Value):
    """All that a version has learned about deciding."""

    first_stage: Stage
    """For all candidates."""
    rerank: Stage
    """For the first few, when the first stage is not certain enough."""
    matched: float
    """Confidence from which a photo is `matched`, so that the estimated precision of such answers is high enough."""
    sure: float
    """Confidence from which the first stage stands, by the same estimate, and nothing is compared more closely."""
    fitted: bool = False

    def check(self) -> None:
        """Raise CatalogError unless each stage has a weight for each of its evidence, and none beside."""
        self.first_stage.vector(FIRST_STAGE)
        self.rerank.vector(RERANK)


def probabilities(evidence: Matrix, weights: Matrix) -> tuple[Matrix, float]:
    """P of each candidate and of none, from evidence [candidates, features]."""
    utility = np.append(evidence @ weights, 0.0)
    exponent = np.exp(utility - utility.max())
    share = exponent / exponent.sum()
    return share[:-1], float(share[-1])
