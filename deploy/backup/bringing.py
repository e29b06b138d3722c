"""Bring a backup back: content first, pointers last, so that whoever looks meanwhile meets no half of a catalog."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from packsight.deploy.backup.folder import BackupFolder, Copied
from packsight.deploy.backup.soundness import is_manifest, is_pointer
from packsight.deploy.backup.taking import SIDE_BY_SIDE, STEP, Progress
from packsight.shared.contract.errors import ErrorCode, StorageError, UserError
from packsight.shared.pieces import pieces
from packsight.shared.storage import layout
from packsight.shared.storage.files import hash_file
from packsight.shared.storage.objects import Listed, ObjectStore


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back; all else was there already."""

    objects: int
    bytes: int
    others: int
    """Objects of the bucket that the backup does not have; they stay."""


def bring(
    store: ObjectStore, folder: BackupFolder, copies: Collection[Copied], *, over: bool, progress: Progress = lambda *_: None
) -> Restored:
    """Write what the bucket lacks of a backup. It can be broken off anywhere and run again.

    over: also where the bucket has another catalog. Raises UserError where it has one, before anything is written, and for
    content that is damaged; StorageError, also for what did not arrive as it was sent.
    """
    there = {one.key: one for one in store.listed("")}
    if not over and (other := _another_catalog(store, folder, copies, there)):
        raise UserError(
            f"The bucket {store.bucket} has a catalog that is not the backup's: {other}. Restore into an empty bucket, or say "
            "--over to have it replaced; what the backup does not have stays."
        )

    def one(copy: Copied) -> int:
        if _is_there(folder, copy, there.get(copy.key)):
            return 0
        if not folder.holds(copy) or hash_file(folder.place(copy.sha256)) != copy.sha256:
            raise UserError(f"{copy.key} is damaged in {folder.root}. Restore an earlier backup: `--at NAME`.")
        store.upload(copy.key, str(folder.place(copy.sha256)))
        if (size := store.size(copy.key)) != copy.size:
            raise StorageError(ErrorCode.FETCH_FAILED, f"{copy.key} arrived with {size} of {copy.size} bytes")
        return 1

    written = written_bytes = done = 0
    # Each group waits for the one before it.
    groups = [
        [copy for copy in copies if not is_pointer(copy.key) and not is_manifest(copy.key)],
        [copy for copy in copies if is_manifest(copy.key)],
        [copy for copy in copies if is_pointer(copy.key)],
    ]
    _take_back_removals(store, copies, there)
    progress(done, len(copies))
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="restore") as pool:
        for group in groups:
            for step in pieces(group, STEP):
                for copy, new in zip(step, pool.map(one, step), strict=True):
                    written += new
                    written_bytes += new * copy.size
                done += len(step)
                progress(done, len(copies))
    _take_back_deletions(store, {*there, *(copy.key for copy in copies)})
    return Restored(written, written_bytes, len(there.keys() - {copy.key for copy in copies}))


def _take_back_removals(store: ObjectStore, copies: Iterable[Copied], there: Iterable[str]) -> None:
    """Let reviews of jobs count again that were removed since: the word of that would take them away at the next sync."""
    ours = {copy.key for copy in copies}
    for key in there:
        job = layout.removed_job(key)
        if job and key not in ours and layout.job(job, layout.MANIFEST) in ours:
            store.remove(key)


def _take_back_deletions(store: ObjectStore, keys: Collection[str]) -> None:
    """Remove the words that catalogs were deleted which are there: without their pointers they would count again."""
    for key in keys:
        name = key.removeprefix(layout.DELETIONS).removesuffix(".json")
        if key.startswith(layout.DELETIONS) and (layout.pointer(name) in keys or layout.former_pointer(name) in keys):
            store.remove(key)


def _another_catalog(
    store: ObjectStore, folder: BackupFolder, copies: Iterable[Copied], there: dict[str, Listed]
) -> str:
    """A pointer of the bucket that is not as the backup has it; empty when there is none."""
    ours = {copy.key: copy for copy in copies}
    for key in filter(is_pointer, there):
        if key not in ours or store.read(key).data != folder.place(ours[key].sha256).read_bytes():
            return key
    return ""


def _is_there(folder: BackupFolder, copy: Copied, found: Listed | None) -> bool:
    """Whether the bucket has this content under this key, as far as a listing tells: by size and tag."""
    if found is None or found.size != copy.size:
        return False
    if found.etag == copy.etag:
        return True
    with folder.place(copy.sha256).open("rb") as file:
        return found.etag == hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
