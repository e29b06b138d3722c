"""What is published of each catalog, who answers from it, and how its syncs went."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from packsight.indexer.fleet import Fleet
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, catalog_names
from packsight.shared.contract.errors import CatalogError
from packsight.shared.metrics import table
from packsight.shared.metrics.table import Sample
from packsight.shared.queue import syncs
from packsight.shared.queue.syncs import Ending, Syncs
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)


class Catalogs:
    """A look at object storage, and at what is told of catalogs in the result database."""

    def __init__(self, settings: Settings, store: ObjectStore, fleet: Fleet) -> None:
        self._settings, self._store, self._fleet = settings, store, fleet
        self._trust = Trust.of_reader(settings)

    def look(self) -> Iterator[Sample]:
        """Figures of all catalogs; raises StorageError or redis.RedisError when one of both cannot be asked.

        Of one that is damaged or not believed there are none but of its syncs: workers tell what they refuse.
        """
        followed = self._settings.catalog.name if self._settings.catalog.feed else None
        if followed is not None:
            yield table.SYNC_PERIOD.of(followed, value=self._settings.catalog.sync_seconds)
        for name in dict.fromkeys([*catalog_names(self._store), *([followed] if followed is not None else [])]):
            try:
                yield from self._published(CatalogStore(self._store, name, self._trust))
            except CatalogError as error:
                log.warning("catalog %s cannot be looked at: %s", name, error.message)
            if (ended := syncs.read(self._fleet.redis, name)) is not None:
                yield from _synced(name, ended)

    def _published(self, catalogs: CatalogStore) -> Iterator[Sample]:
        current = catalogs.current()
        if current is None:
            return
        name, manifest = catalogs.name, catalogs.manifest(current.version)
        tried = {canary.version for canary in current.canaries.values()}
        for version in sorted({current.version, *current.versions.values()} | tried):
            yield table.CATALOG.of(name, version, "yes" if version in tried else "no")
        yield table.PUBLISHED.of(name, value=manifest.created_at.timestamp())
        yield table.PRODUCTS.of(name, value=manifest.products)
        yield table.CATALOG_PHOTOS.of(name, value=manifest.photos)
        if tried:
            yield table.CANARY.of(name, value=catalogs.manifest(max(tried)).created_at.timestamp())
        if current.holds:
            yield table.HELD.of(name, value=min(hold.since for hold in current.holds.values()).timestamp())
        yield from self._taken_up(name, current)

    def _taken_up(self, name: str, current: Current) -> Iterator[Sample]:
        seen = self._fleet.uptake(name, current)
        groups = {"serving": seen.serving, "late": seen.late, "refusing": seen.refusing, "without": seen.without}
        for uptake, children in groups.items():
            yield table.UPTAKE.of(name, uptake, value=len(children))


def _synced(name: str, ended: Syncs) -> Iterator[Sample]:
    yield table.SYNC_ENDED.of(name, value=ended.ended_at)
    yield table.SYNC_SECONDS.of(name, value=ended.seconds)
    if ended.succeeded_at:
        yield table.SYNC_SUCCEEDED.of(name, value=ended.succeeded_at)
    if ended.feed_changed_at:
        yield table.FEED_CHANGED.of(name, value=ended.feed_changed_at)
    for ending in Ending:
        yield table.SYNC_ENDING.of(name, ending.value, value=ending is ended.ending)
        yield table.SYNCS.of(name, ending.value, value=ended.counts.get(ending, 0))
