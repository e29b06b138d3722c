"""A catalog is deleted: what it has alone goes, what catalogs have in common is left to the collection.

In this order: the word that it is deleted, by which hosts give it up that have a copy (packsight.shared.catalog.deletion); the
pointers; all else, manifests first. Whoever is killed in between leaves the rest to the next `packsight catalog delete`, which
finds it. Photos, made ones and features lie under hashes for all catalogs: those that nobody needs any more go with the next
collection, by its ages.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packsight.indexer.collection.sweep import remove
from packsight.indexer.fleet import Fleet
from packsight.indexer.state.database import discard
from packsight.shared.catalog.deletion import read_deletion, write_deletion
from packsight.shared.catalog.manifest import MANIFEST
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, is_published
from packsight.shared.contract.errors import CatalogError, ObjectMissing
from packsight.shared.queue import syncs
from packsight.shared.queue.jobs_ledger import JobsLedger
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import JobStore
from packsight.shared.storage.objects import Listed, ObjectStore
from packsight.shared.storage.reviews import ReviewStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Remains:
    """What there is of a catalog alone."""

    versions: int
    verdicts: int
    """That people gave on its answers."""
    objects: int
    bytes: int

    def __bool__(self) -> bool:
        return self.objects > 0


def remains(store: ObjectStore, name: str) -> Remains:
    """Look what a catalog has in object storage; raises StorageError."""
    found = list(_objects(store, name))
    versions = sum(one.key.startswith(layout.versions(name)) and one.key.endswith(f"/{MANIFEST}") for one in found)
    return Remains(versions, len(ReviewStore(store, name).all()), len(found), sum(one.size for one in found))


def jobs_asking(store: ObjectStore, fleet: Fleet, settings: Settings, name: str) -> list[str]:
    """Jobs under way that ask this catalog."""
    found = []
    for job in JobsLedger(fleet.redis, settings.queue.result_expires).active():
        with suppress(ObjectMissing):
            if JobStore(store).manifest(job).catalog == name:
                found.append(job)
    return found


def delete(store: ObjectStore, fleet: Fleet, settings: Settings, name: str, still_ours: Callable[[], None]) -> None:
    """Delete a catalog, or the rest of one; the caller holds its lock. `still_ours` is asked before each step with effects.

    Raises UserError where catalogs are signed and there is no key here, LockLostError, StorageError and redis.RedisError.
    """
    trust = Trust.of_publisher(settings)
    current = CatalogStore(store, name, trust).overwritable()
    still_ours()
    word = write_deletion(store, name, trust, current.changed_at if current is not None else None)
    for pointer in (layout.pointer(name), layout.former_pointer(name)):
        still_ours()
        store.remove(pointer)
    if trust.keyring.own:
        trust.note(name, word.deleted_at)
    fleet.announce(name)
    found = [one.key for one in _objects(store, name)]
    manifests = [key for key in found if key.endswith(f"/{MANIFEST}")]
    remove(store, manifests, still_ours)  # all of them before anything else, so that no reader meets half a version
    remove(store, sorted(set(found) - set(manifests)), still_ours)
    syncs.forget(fleet.redis, name)
    forget_here(settings, name)


def forget_here(settings: Settings, name: str) -> None:
    """Remove what an indexer of this home has of a catalog beside object storage."""
    state, *folders = _here(settings, name)
    discard(state)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def is_begun(store: ObjectStore, fleet: Fleet, settings: Settings, name: str) -> bool:
    """Whether something tells of a catalog beside its objects: that it was deleted, how its syncs ended, what is known here."""
    said = store.exists(layout.deletion(name)) or syncs.read(fleet.redis, name) is not None
    return said or any(one.exists() for one in _here(settings, name))


def is_deleted(store: ObjectStore, name: str, trust: Trust) -> bool:
    """Whether a catalog was deleted and not published again, as somebody says who is believed; what others say is logged."""
    if is_published(store, name):
        return False
    try:
        return read_deletion(store, name, trust) is not None
    except CatalogError as error:
        log.error("%s", error, extra={"action": "deletion_refused"})
        return False


def _here(settings: Settings, name: str) -> tuple[Path, Path, Path]:
    """File of a catalog's state, and folders of what an indexer of this home keeps of it."""
    folder = settings.home / "indexer"
    return folder / f"{name}.db", folder / name, settings.home / "parents" / name


def _objects(store: ObjectStore, name: str) -> Iterator[Listed]:
    for room in (layout.catalog(name), layout.reviews(name)):
        yield from store.listed(room)
