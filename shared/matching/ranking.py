"""Products by falling probability, with what made it."""

from __future__ import annotations

from dataclasses import dataclass

from packsight.shared.catalog.decision_model import Matrix
from packsight.shared.matching.close import Laid
from packsight.shared.matching.evidence import Compared
from packsight.shared.matching.exclusion import IntArray


@dataclass(frozen=True, slots=True)
class Ranking:
    """Products by falling probability.

    probability: of each product of `order`; none: that it is none of them; rows: where each stands in `compared`.
    evidence: [candidates, names] that decided. matched: probability from which the first product is `matched`. laid: what lies
    over the photo, by row of `compared`.
    """

    order: IntArray
    probability: Matrix
    none: float
    rows: IntArray
    compared: Compared
    evidence: Matrix
    matched: float
    laid: dict[int, Laid]
