"""From photos to queued batches: the manifest first, then the messages, as many at once as the caller allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from celery import Celery

from packsight.producer.broker import Patience, idle, publish
from packsight.producer.follow import Pause
from packsight.producer.rows import Batch
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.contract.messages import BULK_QUEUE, MAX_IMAGES, RecognizeRequest, parse_request
from packsight.shared.queue.ledger import Ledger
from packsight.shared.storage.jobs import JobImage, JobManifest, JobStore, batches, new_job_id, request


@dataclass(frozen=True, slots=True)
class Job:
    """A submitted job: its manifest and its batches in order."""

    manifest: JobManifest
    batches: list[Batch]

    @property
    def id(self) -> str:
        """The id under which it is resumed and its results are read."""
        return self.manifest.job


def check_options(catalog: str, top_k: int, batch_size: int = 1, max_batch: int = MAX_IMAGES) -> None:
    """Refuse options that no message could carry, before anything is uploaded; raises UserError."""
    if not 1 <= batch_size <= max_batch:
        raise UserError(
            f"A message may carry 1 to {max_batch} photos (PACKSIGHT_WORKER__MAX_BATCH), not {batch_size}. Correct --batch-size."
        )
    try:
        parse_request(RecognizeRequest, {"images": ["-"], "catalog": catalog, "top_k": top_k})
    except PacksightError as error:
        raise UserError(f"{error.message}. Correct --catalog or --top-k.") from None


def create(
    jobs: JobStore,
    ledger: Ledger,
    images: list[JobImage],
    *,
    catalog: str,
    top_k: int,
    read_all: bool,
    batch_size: int,
) -> Job:
    """Write the job's manifest and register it; nothing is queued yet.

    Raises UserError when there are no images.
    """
    if not images:
        raise UserError(
            "There are no photos to submit. Name a folder with photos, image files, a list or an s3:// prefix."
        )
    manifest = JobManifest(
        job=new_job_id(),
        catalog=catalog,
        top_k=top_k,
        read_all=read_all,
        batch_size=batch_size,
        images=len(images),
    )
    jobs.create(manifest, images)
    job = _job(manifest, images)
    ledger.jobs.register(job.id, len(job.batches))
    return job


def load(jobs: JobStore, job_id: str) -> Job:
    """Read a job back; raises PacksightError when there is none of this id."""
    manifest = jobs.load(job_id)
    return _job(manifest, jobs.images(job_id))


def _job(manifest: JobManifest, images: list[JobImage]) -> Job:
    listed = [
        Batch(task_id, index, index * manifest.batch_size, part)
        for index, (task_id, part) in enumerate(batches(manifest, images))
    ]
    return Job(manifest, listed)


class Sender:
    """Puts a job's batches on the bulk queue in order and moves the job's cursor behind them.

    A batch is published before the cursor passes it: a producer that dies in between publishes it twice, which
    overwrites one result by the same, but never skips it. On a job that was begun before, batches that have ended are
    left out; those below the cursor that have not ended are the reconciler's, unless the broker holds no message any
    more.
    """

    def __init__(self, app: Celery, ledger: Ledger, job: Job, *, resumed: bool = False) -> None:
        self._app, self._ledger, self._job = app, ledger, job
        self.cursor = 0
        self.unsent = deque(job.batches)
        if resumed:
            self._leave_out_what_was_sent()

    def _leave_out_what_was_sent(self) -> None:
        # In this order: a message that is gone from the broker has its result in the store by then.
        lost = idle(self._app)
        ended = self._ledger.results.ended([batch.task_id for batch in self._job.batches])
        self.cursor = self._ledger.jobs.enqueued(self._job.id)
        self.unsent = deque(
            batch for batch in self._job.batches if batch.task_id not in ended and (lost or batch.index >= self.cursor)
        )
        if self.unsent:
            self._ledger.jobs.register(self._job.id, len(self._job.batches))

    def send(self) -> Batch:
        """Publish the next batch and return it; when that fails, it is still the next."""
        batch = self.unsent[0]
        publish(self._app, request(self._job.manifest, batch.images), task_id=batch.task_id, queue=BULK_QUEUE)
        reached = batch.index + 1 if len(self.unsent) > 1 else len(self._job.batches)
        if reached > self.cursor:
            self._ledger.jobs.advance(self._job.id, reached)
            self.cursor = reached
        return self.unsent.popleft()


def enqueue(
    ledger: Ledger,
    sender: Sender,
    *,
    bound: int,
    patience: Patience,
    on_idle: Callable[[float], None] | None = None,
) -> Iterator[Batch]:
    """Send everything without reading results, never more than `bound` batches ahead of the workers."""
    waiting: list[str] = []
    pause = Pause(on_idle)
    while sender.unsent:
        if len(waiting) >= bound:
            ended = patience(partial(ledger.results.ended, waiting))
            waiting = [task_id for task_id in waiting if task_id not in ended]
            pause.after(progress=bool(ended))
        else:
            batch = patience(sender.send)
            waiting.append(batch.task_id)
            yield batch
