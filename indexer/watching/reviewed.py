"""Whether people find answers right, as figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packsight.shared.catalog.versions import catalog_names
from packsight.shared.metrics import table
from packsight.shared.metrics.table import Sample
from packsight.shared.settings import Review
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.review_figure import Figure, Promise, current_figure
from packsight.shared.storage.reviews import ReviewStore


class Reviews:
    """What people find of the answers of all catalogs. What was read is kept: looking again takes two listings of each."""

    def __init__(self, rules: Review) -> None:
        self._rules = rules
        self._stores: dict[str, ReviewStore] = {}

    def read(self, store: ObjectStore) -> Iterator[Figure]:
        """What stands now; raises StorageError when verdicts cannot be read."""
        for catalog in catalog_names(store):
            yield current_figure(self._stores.setdefault(catalog, ReviewStore(store, catalog)), self._rules)


def samples_of(found: Iterable[Figure]) -> Iterator[Sample]:
    """Figures; without a judged answer there is no share."""
    for one in found:
        yield table.REVIEWED.of(one.catalog, value=one.wrong.n)
        yield table.PROMISED.of(one.catalog, value=one.promised)
        yield table.PROMISE_BROKEN.of(one.catalog, value=float(one.promise is Promise.BROKEN))
        if one.wrong.n:
            yield table.REVIEWED_RIGHT.of(one.catalog, value=1 - one.wrong.k / one.wrong.n)
