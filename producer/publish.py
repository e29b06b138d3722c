"""From a job to queued messages, in order, and never more of them at a time than the caller allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from celery import Celery

from packsight.producer.backoff import Backoff, RetryPolicy
from packsight.producer.broker import queue_is_empty, send_batch
from packsight.producer.collect import Collector
from packsight.producer.rows import Row
from packsight.shared.queue.ledger import Ledger
from packsight.shared.storage.jobs import Batch, Job


class Publisher:
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
        lost = queue_is_empty(self._app)
        ended = self._ledger.results.ended([batch.task_id for batch in self._job.batches])
        self.cursor = self._ledger.jobs.enqueued(self._job.id)
        self.unsent = deque(
            batch for batch in self._job.batches if batch.task_id not in ended and (lost or batch.index >= self.cursor)
        )
        if self.unsent:
            self._ledger.jobs.register(self._job.id, len(self._job.batches))
        elif (state := self._ledger.jobs.state(self._job.id)) is not None and state.enqueued < state.batches:
            # Whoever sent the last of them died over it; the job would be looked after as long as it is known.
            self._ledger.jobs.advance(self._job.id, state.batches)

    @property
    def job(self) -> str:
        """The job's id."""
        return self._job.id

    def is_forgotten(self) -> bool:
        """Whether nobody looks after the job: it has ended, or the servers have lost what they had."""
        return self._ledger.jobs.state(self._job.id) is None

    def publish_again(self, lost: Sequence[Batch]) -> None:
        """Have batches published once more of a job that was forgotten, and it looked after."""
        if lost:
            self._ledger.jobs.register(self._job.id, len(self._job.batches))
            self.cursor = 0
            self.unsent.extendleft(reversed(lost))

    def sent(self) -> list[Batch]:
        """The batches that need not be published, or have been."""
        unsent = {batch.task_id for batch in self.unsent}
        return [batch for batch in self._job.batches if batch.task_id not in unsent]

    def publish_next(self) -> Batch | None:
        """Publish the next batch and return it; when that fails, it is still the next.

        Returns None once the job is cancelled; raises JobRemoved once it is removed.
        """
        if self._ledger.is_cancelled(self._job.id):
            return None
        batch = self.unsent[0]
        send_batch(self._app, self._job.manifest, batch)
        reached = batch.index + 1 if len(self.unsent) > 1 else len(self._job.batches)
        if reached > self.cursor:
            self._ledger.jobs.advance(self._job.id, reached)
            self.cursor = reached
        return self.unsent.popleft()

    def give_up(self) -> list[Batch]:
        """Publish no more; return what was not published."""
        left = list(self.unsent)
        self.unsent.clear()
        return left


def run(
    ledger: Ledger,
    publisher: Publisher,
    *,
    bound: int,
    retry: RetryPolicy,
    idle: Callable[[float], None] | None = None,
) -> Iterator[Row]:
    """Publish everything and yield the rows as they come, never more than `bound` batches ahead of the workers."""
    collector = Collector(ledger, publisher.job, publisher.sent(), retry)
    backoff = Backoff(idle)
    while collector or publisher.unsent:
        progress = False
        for row in collector.look():
            progress = True
            yield row
        while publisher.unsent and len(collector) < bound:
            sent = retry(publisher.publish_next)
            for batch in [sent] if sent else publisher.give_up():  # which have ended: nobody has begun them
                collector.expect(batch)
        if collector:
            if not progress and retry(publisher.is_forgotten):
                yield from collector.look()  # it may have ended since the look before
                retry(partial(publisher.publish_again, collector.give_up()))
            backoff.after(progress=progress)


def enqueue(
    ledger: Ledger,
    publisher: Publisher,
    *,
    bound: int,
    retry: RetryPolicy,
    idle: Callable[[float], None] | None = None,
) -> Iterator[Batch]:
    """Publish everything without reading results, never more than `bound` batches ahead of the workers."""
    waiting: dict[str, Batch] = {}
    backoff = Backoff(idle)
    while publisher.unsent:
        if len(waiting) >= bound:
            forgotten = retry(publisher.is_forgotten)  # asked first: what has ended by itself has its results
            ended = retry(partial(ledger.results.ended, list(waiting)))
            waiting = {task_id: batch for task_id, batch in waiting.items() if task_id not in ended}
            if retry(partial(ledger.is_cancelled, publisher.job)):
                publisher.give_up()
                continue
            if forgotten:
                retry(partial(publisher.publish_again, list(waiting.values())))
                waiting = {}
            backoff.after(progress=bool(ended))
        elif (batch := retry(publisher.publish_next)) is not None:
            waiting[batch.task_id] = batch
            yield batch
        else:
            publisher.give_up()
