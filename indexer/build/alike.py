"""Products that not even copies of their own photos tell apart: what an operator should see to."""

from __future__ import annotations

from collections.abc import Sequence

from packsight.indexer.build.examples import TrainingExample
from packsight.shared.matching.ranking import Ranking

LIKELY = 0.3
"""Probability from which another product that comes first is named: two that are all alike get nearly half each."""
NAMED = 5
"""Pairs that are named."""


def alike(examples: Sequence[TrainingExample], rankings: Sequence[Ranking | None]) -> tuple[str, ...]:
    """A note on products whose made photos are likely another product by all evidence; none where there are no such.

    rankings: what all evidence says of each example.
    """
    pairs = [
        f"{one.snapshot.products[one.product].id} like {one.snapshot.products[int(ranking.order[0])].id}"
        for one, ranking in zip(examples, rankings, strict=True)
        if one.made and one.truth is not None and ranking is not None and len(ranking.order)
        if ranking.order[0] != one.truth and ranking.probability[0] >= LIKELY
    ]
    if not pairs:
        return ()
    more = f" and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
    return (f"products that copies of their only photos do not tell apart: {', '.join(pairs[:NAMED])}{more}",)
