"""Photos of a job that failed are asked about again, and only they: what its other photos got stands."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from celery import Celery

from packsight.producer.broker import send_batch
from packsight.producer.collect import AT_ONCE, rows_of
from packsight.producer.rows import Row
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.pieces import pieces
from packsight.shared.queue.ledger import Ledger
from packsight.shared.storage.jobs import Job


def ask_again(app: Celery, ledger: Ledger, job: Job, codes: Collection[ErrorCode]) -> Iterator[list[Row]]:
    """Queue every ended batch again that has such failures, once they are yielded; codes: none for all that a retry can help.

    The other outcomes of a batch are handed to the worker that takes it, as after a delivery that came to no end. A batch whose
    message is not sent any more, since this was interrupted, is sent by the reconciler.
    """
    for part in pieces(job.batches, AT_ONCE):
        ends = ledger.results.read([batch.task_id for batch in part])
        for batch in part:
            rows = rows_of(batch, ends[batch.task_id]) if batch.task_id in ends else []
            wrong = [row for row in rows if _is_wanted(row, codes)]
            if not wrong:
                continue
            yield wrong  # before anything is done, so that whoever has to note it has done so
            right = {place: row.outcome.model_dump_json() for place, row in enumerate(rows) if row not in wrong}
            with ledger.client.pipeline() as pipe:  # at once: the reconciler takes a batch that has ended for done with
                ledger.jobs.take_up(pipe, job.id, len(job.batches), batch.index)
                ledger.deliveries.ask_again(pipe, batch.task_id, right)
                pipe.execute()
            send_batch(app, job.manifest, batch)


def _is_wanted(row: Row, codes: Collection[ErrorCode]) -> bool:
    failure = row.outcome.failure
    return failure is not None and (failure.code in codes if codes else failure.retryable)
