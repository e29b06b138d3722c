"""packsight from Python: recognise one photo, submit a job, read its outcomes.

with Client() as client:
    outcome = client.recognize("photo.jpg")
    job = client.submit(["photos/"])
    for row in client.run(job):
        print(row.name, row.outcome.status)
"""

from __future__ import annotations

import uuid
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Unpack

from packsight.producer import collect, frames, jobs, publish
from packsight.producer.again import ask_again
from packsight.producer.answers import Answers
from packsight.producer.backoff import RetryPolicy
from packsight.producer.broker import answering, producer_app, send, storing
from packsight.producer.excluded import Excluded, Pattern
from packsight.producer.publish import Publisher
from packsight.producer.removal import Removed, remove
from packsight.producer.rows import Row
from packsight.producer.sources import Item, Source, each, expand, in_words, single, spelt
from packsight.producer.summary import State, Summary, summarise
from packsight.producer.upload import upload
from packsight.shared.contract.errors import ErrorCode, ObjectMissing, UserError
from packsight.shared.contract.messages import INTERACTIVE_QUEUE, OptionKeywords, RecognizeOptions, parse_options
from packsight.shared.contract.outcomes import Outcome
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.results import TaskEnd
from packsight.shared.settings import Settings, load_settings
from packsight.shared.storage.jobs import (
    BATCH_SIZE,
    Batch,
    Job,
    JobAbout,
    JobImage,
    JobManifest,
    JobStore,
    Unopened,
    job_of,
)
from packsight.shared.storage.objects import ObjectStore

if TYPE_CHECKING:
    import pandas as pd

Idle = Callable[[float], None]


def single_id() -> str:
    """A new id for the task of a single photo, which nobody can guess."""
    return f"single-{uuid.uuid4().hex}"


class NoAnswer(UserError):
    """No worker answered in time."""


class Client:
    """Everything the producer commands do; one object per process, closed after use.

    All methods raise UserError when the broker does not answer within PACKSIGHT_QUEUE__SOCKET_TIMEOUT and StorageError
    when object storage does not. In the middle of a job an outage of the broker is waited out for
    PACKSIGHT_QUEUE__OUTAGE_SECONDS first. A job survives all of it: `resume` goes on where it stopped.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self.store = ObjectStore(self.settings.s3)
        self.jobs = JobStore(self.store)
        self.ledger = Ledger(self.settings)
        self.app = producer_app(self.settings)
        self._answers = Answers(self.ledger.results)
        self._retry = RetryPolicy(self.settings.queue.outage_seconds)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.app.close()
        self.ledger.close()
        self.store.close()

    def recognize(
        self,
        image: str | PathLike[str],
        options: RecognizeOptions | None = None,
        *,
        timeout: float = 60.0,
        **keywords: Unpack[OptionKeywords],
    ) -> Outcome:
        """Recognise one photo (local file, https:// or s3://…) ahead of all jobs.

        How: `options`, or its fields as keywords: `client.recognize("photo.jpg", catalog="shoes", top_k=3)`.

        Raises UserError when an option or the file cannot be used, or no worker answers within `timeout` seconds; the
        message expires then, so that no worker spends time on it later.
        """
        options = parse_options(options, **keywords)
        with storing(self.settings):
            self.store.ensure_bucket()
            sent = next(iter(self._upload([single(spelt(image))])))
        if isinstance(sent, Unopened):
            raise UserError(f"{sent.name} cannot be read: {sent.failure.message}.")
        return self.ask(sent, options, timeout=timeout)

    def ask(self, image: JobImage, options: RecognizeOptions, *, timeout: float, id: str = "") -> Outcome:
        """The same for a photo that workers can fetch; several threads may ask at a time.

        id: of `single_id`, under which `task_end` finds the answer later. Raises NoAnswer, or QueueAway.
        """
        batch = Batch(id or single_id(), 0, 0, [image])
        with answering(self.settings):
            request = batch.request(options)
            send(self.app, request, task_id=batch.task_id, queue=INTERACTIVE_QUEUE, expires=timeout, headers=batch.headers)
            end = self._answers.wait(batch.task_id, timeout)
        if end is not None:
            return collect.rows_of(batch, end)[0].outcome
        raise NoAnswer(
            f"No worker answered within {timeout:.0f} s. `packsight status` shows the workers and what they are doing; "
            "`packsight worker` starts one."
        )

    def submit(
        self,
        sources: Source | Iterable[Source],
        options: RecognizeOptions | None = None,
        *,
        batch_size: int = BATCH_SIZE,
        column: str | None = None,
        skipped: Counter[str] | None = None,
        exclude: Excluded | Pattern | Iterable[Pattern] = (),
        uploaded: Callable[[int, int], None] | None = None,
        about: JobAbout | None = None,
        job_id: str | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> Job:
        """Upload the photos of all sources, or of the one, and write the job's manifest; `run` or `enqueue` queue it.

        How they are answered: `options`, or its fields as keywords: `client.submit(["photos/"], catalog="shoes")`.
        `batch_size` is the number of photos per message, `column` that of references in lists that have columns. Local files
        that cannot be opened are the job's `unopened`, each with a failed row; `uploaded` hears how many photos are ready, of
        how many; `skipped` counts, by suffix, the files that are no photos. `exclude` are patterns of photos to leave out, as
        producer.excluded has them; of `Item`s none is. `about` is the job's name, its priority and what
        else is told of it; where it names no source, the sources are told. Raises UserError when an option cannot be used or
        no photo is left. `job_id`: the job's id, where it has to be known before; nobody else's may be the same.
        """
        options = parse_options(options, **keywords)
        jobs.check_batch_size(batch_size, self.settings.worker.max_batch)
        with answering(self.settings):  # an absent broker is told before the upload, not after it
            removed = self.ledger.removals.seen()
        about = about or JobAbout()
        counts: Counter[str] = Counter()
        excluded = exclude if isinstance(exclude, Excluded) else Excluded(exclude)
        with storing(self.settings):
            self.store.ensure_bucket()
            items = list(self._items(sources, column, skipped, excluded, counts))
            images: list[JobImage] = []
            unopened: list[Unopened] = []
            for one in self._upload(items):
                if isinstance(one, Unopened):
                    unopened.append(one)
                else:
                    images.append(one)
                if uploaded:
                    uploaded(len(images) + len(unopened), len(items))
        about = about if about.source else about.model_copy(update={"source": in_words(counts)})
        with answering(self.settings):
            job = jobs.create(self.jobs, self.ledger, images, unopened, options, batch_size, about, job_id)
            if self.ledger.removals.since(removed):
                deque(self._upload(items), maxlen=0)  # what was there may have gone with a job that was removed
        return job

    def _upload(self, items: Iterable[Item]) -> Iterator[JobImage | Unopened]:
        return upload(items, self.store, most=self.settings.fetch.max_bytes)

    def _items(
        self,
        sources: Source | Iterable[Source],
        column: str | None,
        skipped: Counter[str] | None,
        excluded: Excluded,
        counts: Counter[str],
    ) -> Iterator[Item]:
        """The photos of all sources; counts those of each."""
        for source in each(sources):
            if isinstance(source, Item):
                yield source
                continue
            named = spelt(source)
            for item in expand([named], self.store, column, skipped):
                if not excluded.leaves_out(named, item.name):
                    counts[named] += 1
                    yield item

    def load(self, job_id: str) -> Job:
        """Read a submitted job back; raises UserError when there is none of this id."""
        with answering(self.settings):
            return jobs.load(self.jobs, job_id)

    def newest(self, limit: int) -> list[JobManifest]:
        """The manifests of the newest jobs, newest first."""
        with answering(self.settings), ThreadPoolExecutor(8, thread_name_prefix="jobs") as pool:
            names = sorted(self.jobs.names(), reverse=True)[:limit]
            return [manifest for manifest in pool.map(self._manifest, names) if manifest is not None]

    def _manifest(self, job: str) -> JobManifest | None:
        """A job's manifest; None where it was removed meanwhile."""
        try:
            return self.jobs.manifest(job)
        except ObjectMissing:
            return None

    def manifest(self, job_id: str) -> JobManifest:
        """The manifest of a job alone; raises UserError when there is none of this id."""
        with storing(self.settings):
            return jobs.manifest(self.jobs, job_id)

    def run(
        self, job: Job, *, max_in_flight: int = 64, resumed: bool = False, idle: Idle | None = None
    ) -> Iterator[Row]:
        """Queue a job and yield its rows as they come, at most `max_in_flight` batches ahead of the workers.

        `resumed` leaves out what has been queued before. Whoever stops iterating loses nothing.
        """
        yield from collect.unopened_rows(job)
        with answering(self.settings, _resume(job)):
            yield from publish.run(
                self.ledger, self._publisher(job, resumed), bound=max_in_flight, retry=self._retry, idle=idle
            )

    def enqueue(
        self, job: Job, *, max_in_flight: int = 64, resumed: bool = False, idle: Idle | None = None
    ) -> Iterator[Batch]:
        """Queue a job without reading results; yields each batch that was sent."""
        with answering(self.settings, _resume(job)):
            yield from publish.enqueue(
                self.ledger, self._publisher(job, resumed), bound=max_in_flight, retry=self._retry, idle=idle
            )

    def again(
        self, job: Job, codes: Collection[ErrorCode] = (), *, max_in_flight: int = 64, idle: Idle | None = None
    ) -> Iterator[list[Row]]:
        """Queue a job's failed photos again, batch by batch, and yield how they had failed; what succeeded stands.

        codes: failures to try again; none for those that a retry can help. Of a cancelled job the photos that nobody had begun
        are among them, and those that had never been queued are; UserError where `codes` leaves them out. `idle` hears the
        seconds since a batch was last queued or answered.
        """
        with answering(self.settings, "Then run the same command again."):
            ends: dict[str, TaskEnd] = {}
            cancelled = self.ledger.is_cancelled(job.id)
            if cancelled and codes and ErrorCode.CANCELLED not in codes:
                raise UserError(f"Job {job.id} was cancelled. Whatever of it is asked again, {ErrorCode.CANCELLED} is among it.")
            if cancelled:
                names = [batch.task_id for batch in job.batches]
                stored = self.ledger.results.ended(names)
                ends = self.ledger.ends(job.id, [name for name in names if name not in stored])
                self.ledger.let_go_on(job.id, len(job.batches))
            asked: set[int] = set()
            for rows in ask_again(self.app, self.ledger, job, codes):
                asked.update(row.index for row in rows)
                yield rows
            for batch in job.batches:
                if batch.task_id in ends and batch.first not in asked:  # a worker may have said so itself meanwhile
                    yield collect.rows_of(batch, ends[batch.task_id])
            left = cancelled or self.ledger.jobs.is_half_taken_back(job.id)  # also by a call that came to no end
        if left:
            for _ in self.enqueue(job, max_in_flight=max_in_flight, resumed=True, idle=idle):
                if idle is not None:
                    idle(0.0)

    def remove(self, job: Job) -> Removed:
        """Remove a job: its results, its uploads that no other job names, its list of photos. Nothing brings it back.

        Raises JobAtWork while workers may be at work on it, StorageError (ACCESS_DENIED) for keys that may not delete.
        """
        summary = self.summary(job.manifest)
        if summary.state is State.RUNNING:
            raise jobs.JobAtWork(f"Job {job.id} is running. End it first with `packsight jobs cancel {job.id}`.")
        if summary.state is State.CANCELLED and not summary.over:
            raise jobs.JobAtWork(f"Job {job.id} has photos in work, which come to their end. Run the same command again then.")
        with answering(self.settings, "Then run the same command again."):
            return remove(self.store, self.jobs, self.ledger, job)

    def is_expired(self, job: Job) -> bool:
        """Whether nobody works on a job any more and some of its results are gone: they are kept for a time only."""
        return self.summary(job.manifest).state is State.EXPIRED

    def summary(self, manifest: JobManifest) -> Summary:
        """How a job stands: what its photos have ended as, and whether it goes on. Cheap, however large its results are."""
        with answering(self.settings):
            return summarise(self.ledger, manifest)

    def cancel(self, job: Job) -> Summary:
        """Have no more of a job's photos worked on, and tell how it stands.

        What workers have in work comes to its end; each of the other photos has failed with the code `cancelled`. Resuming the
        job takes it back, and `again` does. Of a job that was cancelled before it is told how it stands. Raises JobOver where
        it has ended by itself.
        """
        with answering(self.settings, "Then run the same command again."):
            before = self.summary(job.manifest)
            if before.state is State.CANCELLED:
                return before
            if before.final or before.state is State.ENDED:
                ended = "and some outcomes have expired" if before.state is State.EXPIRED else "and has all of its outcomes"
                raise jobs.JobOver(f"Job {job.id} has ended, {ended}; there is nothing left of it to cancel.")
            self.ledger.cancel(job.id, len(job.batches))
            return self.summary(job.manifest)

    def outcomes(self, job: Job, *, wait: bool = False, idle: Idle | None = None) -> Iterator[Row]:
        """Yield the rows of a job that have ended; with `wait` until all have."""
        yield from collect.unopened_rows(job)
        with answering(self.settings):
            yield from collect.outcomes(self.ledger, job.id, job.batches, wait=wait, idle=idle, retry=self._retry)

    def frame(self, job: Job | str, *, wait: bool = False, idle: Idle | None = None) -> pd.DataFrame:
        """The outcomes of a job that have ended as a DataFrame, one row per photo; with `wait` of all its photos.

        `job` is a job or its id. Columns are those of `packsight.read_results`. Raises UserError where there is no such
        job or pandas is not installed.
        """
        return frames.frame(self.outcomes(self.load(job) if isinstance(job, str) else job, wait=wait, idle=idle))

    def ended(self, task_ids: Sequence[str]) -> int:
        """How many of these tasks have ended."""
        with answering(self.settings):
            return len(self.ledger.results.ended(task_ids))

    def task_end(self, task_id: str) -> TaskEnd | None:
        """How a task ended; None when it has not."""
        with answering(self.settings):
            return self.ledger.ends(job_of(task_id), [task_id]).get(task_id)

    def _publisher(self, job: Job, resumed: bool) -> Publisher:
        if resumed and self.ledger.is_cancelled(job.id):
            self.ledger.let_go_on(job.id, len(job.batches))
            deque(ask_again(self.app, self.ledger, job, [ErrorCode.CANCELLED]), maxlen=0)
        return Publisher(self.app, self.ledger, job, resumed=resumed)


def _resume(job: Job) -> str:
    return f"Then go on with `packsight submit --resume {job.id}`."
