"""What a parent process judges of itself, as figures."""

from __future__ import annotations

from collections.abc import Iterator

from packsight.shared.contract.errors import Dependency
from packsight.shared.metrics import table
from packsight.shared.metrics.table import Sample
from packsight.shared.queue.vitals import BROKER_OR_RESULTS, COMPLAINTS, Vitals


def samples_of(vitals: Vitals) -> Iterator[Sample]:
    """Figures of the last look; none before the first."""
    seen = vitals.last
    if seen is None:
        return
    yield table.READY.of(value=seen.ready)
    for kind in COMPLAINTS:
        yield table.COMPLAINT.of(kind, value=kind in seen.complaints)
    for dependency in (*(one.value for one in Dependency), BROKER_OR_RESULTS):
        yield table.BREAKER.of(dependency, value=dependency in seen.away)
    if seen.children is not None:
        expected, ready = seen.children
        yield table.CHILDREN_EXPECTED.of(value=expected)
        if ready is not None:
            yield table.CHILDREN_READY.of(value=ready)
