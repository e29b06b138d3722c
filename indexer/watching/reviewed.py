"""Whether people find answers right, as figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packsight.shared.metrics import table
from packsight.shared.metrics.table import Sample


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Of a catalog's `matched` answers those of a random sample that a person judged."""

    catalog: str
    judged: int
    right: int
    promised: float
    """Share that the current version promises to be right."""


def samples_of(found: Iterable[Reviewed]) -> Iterator[Sample]:
    """Figures; without a judged answer there is no share."""
    for one in found:
        yield table.REVIEWED.of(one.catalog, value=one.judged)
        yield table.PROMISED.of(one.catalog, value=one.promised)
        if one.judged:
            yield table.REVIEWED_RIGHT.of(one.catalog, value=one.right / one.judged)
