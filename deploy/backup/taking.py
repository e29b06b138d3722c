"""Take a backup: what the last one has is not read again, and what changes meanwhile is looked at once more.

Nothing is locked, so that a backup of hours holds up no sync. Pointers and manifests are copied first; a version whose files a
sync removed before they were copied shows in the end, and then all is listed anew, which copies what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from packsight.deploy.backup.folder import BackupFolder, Copied, Head
from packsight.deploy.backup.soundness import faults, is_manifest, is_pointer
from packsight.indexer.collection.ages import Ages
from packsight.indexer.collection.survey import survey
from packsight.shared.catalog.signatures import Keyring
from packsight.shared.contract.errors import ObjectMissing, UserError
from packsight.shared.pieces import pieces
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import JobStore
from packsight.shared.storage.objects import Listed, ObjectStore

SIDE_BY_SIDE = 8
"""Objects that are copied at a time: half of the connections that an ObjectStore keeps."""
STEP = 512
"""Objects after which is noted how far it is."""
_PASSES = 3
"""Looks at everything: one, one for what a sync changed meanwhile, and one for the sync after that."""
_NAMED_BY_HASH = (layout.PHOTOS,)
"""Rooms whose photos are named by what they are; uploads over HTTP have their names before they come."""

Progress = Callable[[int, int], None]
"""Called with how many objects were looked at and how many there are."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that was taken, and what is wrong with what it is a copy of."""

    head: Head
    copied: int
    """Objects that no backup here had."""
    copied_bytes: int
    faults: tuple[str, ...]


def take(
    settings: Settings,
    store: ObjectStore,
    folder: BackupFolder,
    *,
    left_out: Collection[str],
    describe: str,
    progress: Progress = lambda *_: None,
) -> Taken:
    """Copy everything but what the next collection removes and what is below some prefixes. The caller holds the folder.

    describe: text of the settings, to lie beside it. It can be broken off anywhere and goes on from there. Raises StorageError,
    OSError, CatalogError for a catalog of which it cannot be known what it needs, and UserError where there is nothing to copy.
    """
    known, fetched = folder.known(), _Count()
    copies: list[Copied] = []
    found: tuple[str, ...] = ()
    for _ in range(_PASSES):
        copies = list(_copy(store, folder, _wanted(settings, store, left_out), known, fetched, progress))
        if not copies:
            raise UserError(f"There is nothing to back up: the bucket {store.bucket} is empty, or all of it is left out.")
        known |= {one.key: one for one in copies}
        found = (*faults(folder, copies, Keyring(settings.catalog.public_keys)), *_misnamed(copies))
        if not found:
            break
    head = Head(
        bucket=store.bucket, objects=len(copies), bytes=sum(one.size for one in copies), left_out=tuple(sorted(left_out))
    )
    folder.finish(head, copies, describe)
    return Taken(head, fetched.objects, fetched.bytes, found)


@dataclass(slots=True)
class _Count:
    objects: int = 0
    bytes: int = 0


def _wanted(settings: Settings, store: ObjectStore, left_out: Collection[str]) -> list[Listed]:
    """Objects to copy: pointers, then manifests, then all else."""
    # Whether workers are up and jobs under way is not asked: of both what is young stays.
    found = survey(store, Ages.of(settings.storage), (), frozenset(JobStore(store).names()), {})
    gone = {key for pile in found.piles if pile.goes for key in pile.keys}
    wanted = [one for one in store.listed("") if one.key not in gone and not one.key.startswith(tuple(left_out))]
    return sorted(wanted, key=lambda one: (not is_pointer(one.key), not is_manifest(one.key)))


def _copy(
    store: ObjectStore,
    folder: BackupFolder,
    wanted: Collection[Listed],
    known: dict[str, Copied],
    fetched: _Count,
    progress: Progress,
) -> Iterator[Copied]:
    def one(numbered: tuple[int, Listed]) -> Copied | None:
        number, listed = numbered
        before = known.get(listed.key)
        if before and (before.etag, before.size) == (listed.etag, listed.size) and folder.holds(before):
            return before
        with folder.incoming(number) as path:
            try:
                etag = store.download(listed.key, path)
            except ObjectMissing:
                return None  # removed since it was listed
            size = path.stat().st_size
            return Copied(key=listed.key, sha256=folder.settle(path), size=size, etag=etag)

    done = 0
    progress(done, len(wanted))
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="backup") as pool:
        for step in pieces(enumerate(wanted), STEP):
            copies = [found for found in pool.map(one, step) if found is not None]
            new = [found for found in copies if known.get(found.key) != found]
            folder.note(new)
            fetched.objects += len(new)
            fetched.bytes += sum(found.size for found in new)
            done += len(step)
            progress(done, len(wanted))
            yield from copies


def _misnamed(copies: Iterable[Copied]) -> Iterator[str]:
    """Photos that are other than their names say: whoever wrote them there was not packsight, or a disk failed."""
    for one in copies:
        room, _, name = one.key.partition("/")
        if f"{room}/" in _NAMED_BY_HASH and len(name) == 64 and name != one.sha256:
            yield f"{one.key} is not what its name says"
