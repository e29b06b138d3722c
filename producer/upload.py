"""Local photos into object storage, each content once, in constant memory."""

from __future__ import annotations

import errno
import hashlib
import stat
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from packsight.producer.lists import names_several
from packsight.producer.sources import Item
from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.outcomes import Failure
from packsight.shared.contract.references import is_picture_itself
from packsight.shared.overlap import postprocess
from packsight.shared.storage import layout
from packsight.shared.storage.files import FileChanged, hash_file
from packsight.shared.storage.jobs import JobImage, Unopened
from packsight.shared.storage.objects import ObjectStore

THREADS = 8
MAX_REFERENCE = 4096
NAMELESS = "(no photo)"
"""What the row of an entry is called that names no photo, so that whoever reads of it sees something."""
_TRIES = 3
"""How often a file is begun again that changes while it is sent: one that is being copied here is often whole a moment later."""
_PAUSE = 0.5
"""Seconds before that, and twice as many before the last time."""
_ALONE = "each photo needs a row of its own"
_REMEDY = "Correct the list or the file, and submit it again; the other photos of the job need not be sent again."
_NO_PATHS = {
    ("//", "www.", "http:", "https:", "s3:"): "no file has this name, which seems to be an address: those begin with https:// or s3://",
    ("data:",): "it is a picture itself, as a data URI: decode it into a file and name that",
}
"""What is said of names of files that are none, by how they begin."""
_FRESH = timedelta(hours=12)
"""Age from which a photo that is there is sent again, which makes it young: one that no job names any more is removed when it is
days old (settings.Storage.uploads_days), and the job that is being submitted has no manifest yet."""


def upload(
    items: Iterable[Item], store: ObjectStore, *, most: int, threads: int = THREADS
) -> Iterator[JobImage | Unopened]:
    """Yield what a job's manifest holds for each item, in order.

    most: bytes of a photo that workers take (settings.Fetch.max_bytes).

    A local file becomes s3://<bucket>/uploads/<sha256 of its content>; what was sent a short while ago is not sent again. A
    reference stays as it is. At most four files per thread are under way. A file that cannot be read or is larger, and an entry
    of a list that names no photo or several, is yielded as Unopened; a file without content is not refused here, its outcome
    says what is wrong with it.

    Raises StorageError when object storage refuses or does not answer.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="upload")
    try:
        yield from postprocess(pool, lambda item: _one(item, store, most), items, most=4 * threads - 1)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _one(item: Item, store: ObjectStore, most: int) -> JobImage | Unopened:
    if not item.where:
        nameless = replace(item, name=item.name or NAMELESS)
        return _unopened(nameless, ErrorCode.REFERENCE_INVALID, "this entry of the list names no photo")
    if isinstance(item.where, str):
        if wrong := _wrong(item.where):
            return _unopened(item, ErrorCode.REFERENCE_INVALID, wrong)
        return JobImage(reference=item.where, name=item.name, extra=dict(item.extra))
    try:
        return _stored(item, item.where, store, most)
    except ImageError as error:
        return _refused(item, Failure.of(error))
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character, from a damaged list
        return _unopened(item, *_why(error, item.name))


def _wrong(reference: str) -> str:
    """What is wrong with a reference that nobody need look at; empty for nothing."""
    if is_picture_itself(reference):
        return "it is a picture itself, as a data URI: upload the photo and name that"
    if "://" in reference and names_several(reference):  # a plain path is for the worker to judge, which sees the file
        return f"it names several: {_ALONE}"
    return f"the reference has more than {MAX_REFERENCE} characters" if len(reference) > MAX_REFERENCE else ""


def _why(error: OSError | ValueError, name: str) -> tuple[ErrorCode, str]:
    if getattr(error, "errno", None) in {errno.ENOENT, errno.ENAMETOOLONG} and names_several(name):
        return ErrorCode.REFERENCE_INVALID, f"no file has this name, which seems to be several: {_ALONE}"
    if getattr(error, "errno", None) in {errno.ENOENT, errno.ENAMETOOLONG}:
        for begins, what in _NO_PATHS.items():
            if name.lower().startswith(begins):
                return ErrorCode.REFERENCE_INVALID, what
    if isinstance(error, FileNotFoundError):
        return ErrorCode.OBJECT_MISSING, "there is no such file where it was submitted"
    if isinstance(error, PermissionError):
        return ErrorCode.ACCESS_DENIED, "this file may not be read where it was submitted"
    return ErrorCode.REFERENCE_INVALID, getattr(error, "strerror", None) or str(error)


def _stored(item: Item, path: Path, store: ObjectStore, most: int) -> JobImage:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a named pipe would be read for ever
        raise ValueError("it is no regular file")
    if status.st_size > most:
        raise ImageError(ErrorCode.FILE_TOO_LARGE, f"it has {status.st_size:,} bytes, more than the {most:,} that workers take")
    for number in range(_TRIES):
        time.sleep(number * _PAUSE)
        sha256 = hash_file(path)
        key = layout.upload(sha256)
        # Another content under this hash would be the answer to whoever submits the one that it was made of.
        with suppress(FileChanged):
            if not _is_there(key, store):
                store.upload_unchanged(key, path, sha256)
            return JobImage(reference=layout.address(store.bucket, key), name=item.name, sha256=sha256, extra=dict(item.extra))
    raise ValueError("it changes while it is uploaded")


def upload_bytes(data: bytes, name: str, store: ObjectStore) -> JobImage:
    """The same for a photo in memory; `name`: what its row is to carry. Raises StorageError."""
    sha256 = hashlib.sha256(data).hexdigest()
    key = layout.upload(sha256)
    if not _is_there(key, store):
        store.write(key, data)
    return JobImage(reference=layout.address(store.bucket, key), name=name, sha256=sha256)


def _is_there(key: str, store: ObjectStore) -> bool:
    return (age := store.age(key)) is not None and age <= _FRESH


def _unopened(item: Item, code: ErrorCode, reason: str) -> Unopened:
    return _refused(item, Failure(code=code, message=reason, remedy=_REMEDY, retryable=False))


def _refused(item: Item, failure: Failure) -> Unopened:
    return Unopened(name=item.name[:MAX_REFERENCE], failure=failure, extra=dict(item.extra))
