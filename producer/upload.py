"""Local photos into object storage, each content once, in constant memory."""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from packsight.producer.sources import Item
from packsight.shared.storage import layout
from packsight.shared.storage.files import hash_file
from packsight.shared.storage.jobs import JobImage
from packsight.shared.storage.objects import ObjectStore

THREADS = 8
MAX_REFERENCE = 4096


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A photo that cannot be submitted, and why."""

    name: str
    reason: str


def upload(items: Iterable[Item], store: ObjectStore, *, threads: int = THREADS) -> Iterator[JobImage | Unreadable]:
    """Yield what a job's manifest holds for each item, in order.

    A local file becomes s3://<bucket>/uploads/<sha256 of its content>; what is there already is not sent again. A
    reference stays as it is. At most four files per thread are under way. A file that cannot be read is yielded as
    Unreadable; a file without content is not refused here, its outcome says what is wrong with it.

    Raises StorageError when object storage refuses or does not answer.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="upload")
    under_way: deque[Future[JobImage | Unreadable]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(_one, item, store))
            if len(under_way) >= 4 * threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _one(item: Item, store: ObjectStore) -> JobImage | Unreadable:
    if isinstance(item.where, str):
        if len(item.where) > MAX_REFERENCE:
            return Unreadable(item.name[:80] + "…", f"the reference has more than {MAX_REFERENCE} characters")
        return JobImage(reference=item.where, name=item.name)
    try:
        if not stat.S_ISREG(item.where.stat().st_mode):  # a named pipe would be read for ever
            return Unreadable(item.name, "it is no regular file")
        sha256 = hash_file(item.where)
        key = layout.upload(sha256)
        if not store.exists(key):
            store.upload(key, str(item.where))
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character, from a damaged list
        return Unreadable(item.name, getattr(error, "strerror", None) or str(error))
    return JobImage(reference=layout.address(store.bucket, key), name=item.name, sha256=sha256)
