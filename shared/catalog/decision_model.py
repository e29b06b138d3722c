"""How evidence becomes a probability: a conditional logit with the choice "none of the catalog's products".

Each candidate c has evidence x_c and utility u_c = w · x_c; "none" has utility 0. P(c) = exp u_c / (1 + Σ exp u_i)
(McFadden, Conditional logit analysis of qualitative choice behavior, 1973). So the probabilities of all candidates and of
"none" add up to 1 at every stage. Weights and thresholds are fitted on several catalogs together, then moved for every version as
far as its own photos justify, and stored with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from packsight.shared.catalog.evidence import STAGES
from packsight.shared.contract.errors import CatalogError, ErrorCode

Matrix = npt.NDArray[np.float64]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stage(_Value):
    """Weights of the evidence that is known at one stage."""

    weights: dict[str, float]

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
    """How a version decides."""

    details: Stage
    """Before any network has seen the photo."""
    lines: Stage
    """With the words of the lines that tell."""
    full: Stage
    """With words and appearance; also while lines are being read."""
    matched: float
    """Probability from which a photo is `matched`, so that the estimated precision of such answers is high enough; where the
    lines that tell decide, `told` is."""
    sure: float
    """Probability from which details alone decide, so that asking more would hardly ever change the answer."""
    told: float
    """The same of details and the lines that tell."""
    enough: float
    """The same of all evidence while lines are being read."""
    fitted: bool = False

    def check(self) -> None:
        """Raise CatalogError unless each stage has a weight for each of its evidence, and none beside."""
        for name, names in STAGES.items():
            self.stage(name).vector(names)

    def stage(self, name: str) -> Stage:
        """One of STAGES."""
        return {"details": self.details, "lines": self.lines, "full": self.full}[name]


def probabilities(evidence: Matrix, weights: Matrix) -> tuple[Matrix, float]:
    """P of each candidate and of none, from evidence [candidates, features]."""
    utility = np.append(evidence @ weights, 0.0)
    exponent = np.exp(utility - utility.max())
    share = exponent / exponent.sum()
    return share[:-1], float(share[-1])
