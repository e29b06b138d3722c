"""Whether people find answers right, as figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packsight.shared.catalog.versions import catalog_names
from packsight.shared.metrics import table
from packsight.shared.metrics.table import Sample
from packsight.shared.settings import Review
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.review_figure import current_figure
from packsight.shared.storage.reviews import ReviewStore


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Of a catalog's `matched` answers those of a random sample that a person judged."""

    catalog: str
    judged: int
    right: int
    promised: float
    """Share that is promised to be right."""


class Reviews:
    """What people find of the answers of all catalogs. What was read is kept: looking again takes two listings of each."""

    def __init__(self, rules: Review) -> None:
        self._rules = rules
        self._stores: dict[str, ReviewStore] = {}

    def read(self, store: ObjectStore) -> Iterator[Reviewed]:
        """What stands now; raises StorageError when verdicts cannot be read."""
        for catalog in catalog_names(store):
            found = current_figure(self._stores.setdefault(catalog, ReviewStore(store, catalog)), self._rules)
            yield Reviewed(catalog, judged=found.wrong.n, right=found.wrong.n - found.wrong.k, promised=found.promised)


def samples_of(found: Iterable[Reviewed]) -> Iterator[Sample]:
    """Figures; without a judged answer there is no share."""
    for one in found:
        yield table.REVIEWED.of(one.catalog, value=one.judged)
        yield table.PROMISED.of(one.catalog, value=one.promised)
        if one.judged:
            yield table.REVIEWED_RIGHT.of(one.catalog, value=one.right / one.judged)
