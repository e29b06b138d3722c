"""The collection: look at all of object storage, remove what nothing needs, put packs in order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from redis.exceptions import RedisError

from packsight.indexer.collection.ages import Ages
from packsight.indexer.collection.packs import Compaction, compact
from packsight.indexer.collection.survey import Survey, survey, total, unneeded
from packsight.indexer.collection.sweep import sweep
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import Lease, LockHeldError, collection_lock, locked, sync_lock
from packsight.shared.catalog.versions import catalog_names
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.contract.messages import PARTS, Part
from packsight.shared.queue.jobs_ledger import JobsLedger
from packsight.shared.queue.removals import Removals
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collected:
    """What was found, of which the piles that go are gone unless it was only looked at, and what became of packs."""

    found: Survey
    packs: tuple[Compaction, ...] = ()


def look(settings: Settings, store: ObjectStore, fleet: Fleet, now: datetime | None = None) -> Survey:
    """Say what lies there and why; changes nothing and holds nobody up."""
    return _survey(settings, store, fleet, Ages.of(settings.storage, now), {})


def collect(
    settings: Settings,
    store: ObjectStore,
    fleet: Fleet,
    *,
    dry_run: bool = False,
    unsure: str = "",
    now: datetime | None = None,
) -> Collected:
    """Remove what nothing needs any more, and put packs of features in order.

    It holds the lock of every catalog meanwhile, and one of its own, beside which no first sync of another begins. Where one is
    being synced, its parts stay, and so does all that catalogs have in common: photos and features. unsure: a sentence on why the
    same holds for the catalog that the indexer follows. It can be broken off anywhere and run again.

    Raises LockHeldError beside another one, LockLostError, redis.RedisError, StorageError, and CatalogError when it cannot be
    known what is needed; then nothing is removed.
    """
    ages = Ages.of(settings.storage, now)
    with ExitStack() as stack:
        leases, at_work = _hold(settings, store, fleet, stack)
        if unsure:
            at_work.setdefault(settings.catalog.name, unsure)

        def still_ours() -> None:
            for lease in leases:
                lease.check()

        found = _survey(settings, store, fleet, ages, at_work)
        if not dry_run:
            sweep(store, found, ages, Removals(fleet.redis).removing, still_ours)
        packs = () if found.notes else tuple(_compact(settings, store, found, ages, still_ours, dry_run=dry_run))
    return Collected(found, packs)


def _hold(settings: Settings, store: ObjectStore, fleet: Fleet, stack: ExitStack) -> tuple[list[Lease], dict[str, str]]:
    leases = [stack.enter_context(collection_lock(fleet.redis))]
    at_work: dict[str, str] = {}
    for name in sorted({*catalog_names(store), settings.catalog.name, *locked(fleet.redis)}):
        try:
            leases.append(stack.enter_context(sync_lock(fleet.redis, name, "a collection of object storage")))
        except LockHeldError as error:
            at_work[name] = f"{error} What it may be at work with stays."
    return leases, at_work


def _survey(settings: Settings, store: ObjectStore, fleet: Fleet, ages: Ages, at_work: dict[str, str]) -> Survey:
    active = JobsLedger(fleet.redis, settings.queue.result_expires).active()
    return survey(store, ages, [*fleet.recipes(), *fleet.former_recipes()], active, at_work)


def _compact(
    settings: Settings, store: ObjectStore, found: Survey, ages: Ages, still_ours: Callable[[], None], *, dry_run: bool
) -> Iterator[Compaction]:
    for part, maker in _ways(store, found.makers):
        features = FeatureStore(store, {part: maker}, settings.home)
        yield compact(store, features, part, found.photos, ages, still_ours, dry_run=dry_run)


def _ways(store: ObjectStore, makers: frozenset[str]) -> Iterator[tuple[Part, str]]:
    """In which ways parts were made that are needed."""
    for part in PARTS:
        prefix = f"{layout.FEATURES}{part}/"
        for folder in store.list(prefix, recursive=False):
            if (maker := folder.removeprefix(prefix).rstrip("/")) in makers:
                yield part, maker


def collect_when_due(settings: Settings, *, unsure: str = "") -> Collected | None:
    """Collect if the last time from this home is long enough ago; what fails is logged and tried again after the next sync.

    unsure: why what catalogs have, photos and features are left alone: no sync has said what it needs of them.
    """
    stamp = settings.home / "indexer" / "collected"
    if not _is_due(stamp, settings.storage.collect_hours):
        return None
    try:
        with closing(ObjectStore(settings.s3)) as store, closing(Fleet(settings)) as fleet:
            done = collect(settings, store, fleet, unsure=unsure)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    except (PacksightError, UserError, RedisError, OSError) as error:
        log.error("object storage was not collected: %s", error, extra={"action": "collection_failed"})
        return None
    objects, size = total(unneeded(done.found.piles))
    log.info("object storage: %d objects that nothing needed are removed, %d bytes", objects, size, extra={"action": "collected"})
    for note in done.found.notes:
        log.warning("object storage: %s", note)
    return done


def _is_due(stamp: Path, hours: float) -> bool:
    try:
        return not 0 <= time.time() - stamp.stat().st_mtime <= hours * 3600  # later than now: the clock was set back meanwhile
    except FileNotFoundError:
        return True
