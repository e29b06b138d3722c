"""A job is removed, with all that is known of it: at once, and nothing that another job needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from packsight.shared.contract.errors import ImageError, ObjectMissing
from packsight.shared.contract.references import parse_object
from packsight.shared.pieces import pieces
from packsight.shared.queue.deliveries import Stop
from packsight.shared.queue.ledger import Ledger
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import Job, JobImage, JobStore
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.reviews import ReviewStore

THREADS = 8
_UPLOAD = re.compile(rf"{layout.UPLOADS}[0-9a-f]{{64}}")
_AT_ONCE = 200
"""Objects and results between two words that the removal goes on."""


@dataclass(frozen=True, slots=True)
class Removed:
    """How many uploads were removed, and how many stay since other jobs name them."""

    uploads: int
    shared: int


def remove(store: ObjectStore, jobs: JobStore, ledger: Ledger, job: Job) -> Removed:
    """Remove a job's results, its uploads that no other job names, what people said of it, and its manifest.

    Interrupted, it can be begun again.

    Its messages that wait are dropped by whoever takes them. Raises StorageError (ACCESS_DENIED) for keys that may not delete,
    before anything is gone.
    """
    store.remove(layout.job(job.id, "nothing"))
    own = set(upload_keys(store, (image for batch in job.batches for image in batch.images)))
    with ledger.removals.removing() as going_on, ThreadPoolExecutor(THREADS, thread_name_prefix="remove") as pool:
        shared = _named_by_others(store, jobs, job.id, own, going_on)
        for keys in pieces(sorted(own - shared), _AT_ONCE):
            list(pool.map(store.remove, keys))
            going_on()
    with ledger.client.pipeline() as pipe:
        ledger.deliveries.stop(pipe, job.id, Stop.REMOVED)
        pipe.execute()
    for part in pieces([batch.task_id for batch in job.batches], _AT_ONCE):
        ledger.forget(part)
    ReviewStore(store, job.manifest.catalog).remove_job(job.id)
    jobs.remove(job.id)
    ledger.jobs.forget(job.id)
    return Removed(len(own - shared), len(shared))


def upload_keys(store: ObjectStore, images: Iterable[JobImage]) -> Iterator[str]:
    """Keys of photos that were submitted from a disk."""
    for image in images:
        with suppress(ImageError):
            bucket, key = parse_object(image.reference)
            if bucket == store.bucket and _UPLOAD.fullmatch(key):
                yield key


def _named_by_others(store: ObjectStore, jobs: JobStore, job: str, keys: set[str], alive: Callable[[], None]) -> set[str]:
    """Which of these uploads other jobs name."""

    def read(name: str) -> set[str]:
        try:
            return keys.intersection(upload_keys(store, jobs.images(name)))
        except ObjectMissing:
            return set()  # it was removed meanwhile

    found: set[str] = set()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="jobs") as pool:
        for names in pieces([name for name in jobs.names() if name != job], _AT_ONCE):
            found.update(*pool.map(read, names))
            alive()
    return found
