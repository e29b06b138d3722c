"""From ended tasks to rows: every image of every batch gets exactly one outcome, however its task ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from pydantic import ValidationError

from packsight.producer.backoff import Backoff, RetryPolicy
from packsight.producer.rows import Row
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Failure, Outcome, RecognizeResult
from packsight.shared.pieces import pieces
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.results import TaskEnd
from packsight.shared.storage.jobs import Batch, Job

AT_ONCE = 32
"""Results read in one round trip: about a megabyte at sixteen images each."""


def rows_of(batch: Batch, end: TaskEnd) -> list[Row]:
    """One row per image of an ended batch."""
    if end.code is ErrorCode.CANCELLED:
        return failed_rows(batch, end.code, end.error)
    if end.state != "SUCCESS":
        reason = f"The task of this photo ended as {end.state}: {end.error or 'no reason given'}"
        return failed_rows(batch, end.code or ErrorCode.INTERNAL, reason, end.remedy)
    try:
        return _paired(batch, RecognizeResult.model_validate(end.result).outcomes)
    except (ValidationError, ValueError):
        return failed_rows(
            batch, ErrorCode.INTERNAL, "The worker's result does not follow the contract; it may be of another release"
        )


def failed_rows(batch: Batch, code: ErrorCode, message: str, remedy: str = "") -> list[Row]:
    """One failed outcome per image, for a task that ended without a result; remedy: where the code's own is not right."""
    failure = Failure.of_code(code, message)
    if remedy:
        failure = failure.model_copy(update={"remedy": remedy})
    return _paired(
        batch,
        [Outcome.failed(image.reference, failure).model_copy(update={"sha256": image.sha256}) for image in batch.images],
    )


def unopened_rows(job: Job) -> Iterator[Row]:
    """The rows of photos that could not be opened; their places come after those of all that workers are asked about."""
    for place, one in enumerate(job.unopened, start=job.manifest.images):
        yield Row(job.id, place, one.name, Outcome.failed(one.name, one.failure), one.extra)


def _paired(batch: Batch, outcomes: Iterable[Outcome]) -> list[Row]:
    return [
        Row(batch.job, batch.first + number, image.name, outcome, image.extra)
        for number, (image, outcome) in enumerate(zip(batch.images, outcomes, strict=True))
    ]


class Collector:
    """Takes in the results of batches that are with the workers."""

    def __init__(self, ledger: Ledger, job: str, batches: Iterable[Batch], retry: RetryPolicy) -> None:
        self._ledger, self._job, self._retry = ledger, job, retry
        self._waiting = {batch.task_id: batch for batch in batches}

    def __len__(self) -> int:
        """How many batches have not ended."""
        return len(self._waiting)

    def expect(self, batch: Batch) -> None:
        """Wait for one more batch."""
        self._waiting[batch.task_id] = batch

    def give_up(self) -> list[Batch]:
        """Wait for no batch any more; return those that have not ended."""
        left = list(self._waiting.values())
        self._waiting.clear()
        return left

    def look(self) -> Iterator[Row]:
        """Yield the rows of all batches that have ended since the last look."""
        for part in pieces(list(self._waiting), AT_ONCE):
            for task_id, end in self._retry(partial(self._ledger.ends, self._job, part)).items():
                yield from rows_of(self._waiting.pop(task_id), end)


def outcomes(
    ledger: Ledger,
    job: str,
    batches: Iterable[Batch],
    *,
    retry: RetryPolicy,
    wait: bool = True,
    idle: Callable[[float], None] | None = None,
) -> Iterator[Row]:
    """Yield the rows of these batches of a job as their tasks end; with `wait` until all have."""
    collector = Collector(ledger, job, batches, retry)
    backoff = Backoff(idle)
    while collector:
        progress = False
        for row in collector.look():
            progress = True
            yield row
        if not wait:
            return
        if collector:
            backoff.after(progress=progress)
