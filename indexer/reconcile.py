"""Enqueue again what a job has neither a result nor a message for: the last net under a broker that lost its disk."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from packsight.indexer.lock import LockHeldError, held
from packsight.shared.contract.errors import ObjectMissing
from packsight.shared.contract.messages import PRIORITIES, RECOGNIZE, WORKER_QUEUES
from packsight.shared.queue import keys
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings
from packsight.shared.storage import jobs
from packsight.shared.storage.objects import ObjectStore

if TYPE_CHECKING:
    from celery import Celery

_LOCK_SECONDS = 15.0
"""A reconciler that died holds up the next for so long, a round or two; one that lives renews its lock. Two at a time would do no
harm but send a message twice."""


def reconcile(settings: Settings, app: Celery, store: ObjectStore) -> int:
    """Look after all active jobs once; returns how many batches were enqueued again.

    A batch counts as lost when two rounds in a row find it enqueued, without a result and without a message: in a
    single look a message may slip from one place to another. Jobs that are finished leave the active set. Of several
    reconcilers one works and the others return 0. Raises redis.RedisError, StorageError or kombu's OperationalError
    when a service cannot be reached; nothing is left half done that the next round would not finish.
    """
    with closing(Ledger(settings)) as ledger:
        try:
            with held(ledger.client, keys.RECONCILER_LOCK, _LOCK_SECONDS, "Jobs are looked after", "a reconciler"):
                return sum(_reconcile_job(job, ledger, app, jobs.JobStore(store), settings) for job in ledger.jobs.active())
        except LockHeldError:
            return 0


def _reconcile_job(job: str, ledger: Ledger, app: Celery, store: jobs.JobStore, settings: Settings) -> int:
    state = ledger.jobs.state(job)
    if state is None:  # announced: it may be registered just now, and ends by itself else
        return 0
    handed_out = [jobs.task_id(job, index) for index in range(state.finished, state.enqueued)]
    ended = ledger.results.ended(handed_out)
    unfinished = [name for name in handed_out if name not in ended]
    if not unfinished and state.cancelled:
        ledger.jobs.settle(job, state)
        return 0
    if not unfinished and state.enqueued >= state.batches:
        ledger.jobs.note_over(job, state)
        return 0
    ledger.jobs.note_finished(job, _first_gap(state.finished, handed_out, ended), state)
    if not unfinished:
        return 0
    with closing(open_broker(settings)) as broker:
        waiting = broker.task_ids(WORKER_QUEUES)
    missing = [name for name in unfinished if name not in waiting]
    lost = ledger.jobs.still_missing(job, missing)
    return _enqueue_again(job, sorted(lost), app, store, ledger) if lost else 0


def _first_gap(start: int, names: list[str], ended: set[str]) -> int:
    return start + next((offset for offset, name in enumerate(names) if name not in ended), len(names))


def _enqueue_again(job: str, lost: list[str], app: Celery, store: jobs.JobStore, ledger: Ledger) -> int:
    try:
        whole = store.load(job)
    except ObjectMissing:
        ledger.jobs.forget(job)  # its manifest was deleted: nobody asks for it any more
        return 0
    wanted = set(lost)
    for batch in whole.batches:
        if batch.task_id in wanted:
            argument = batch.request(whole.manifest).argument()
            app.send_task(
                RECOGNIZE,
                args=[argument],
                task_id=batch.task_id,
                priority=PRIORITIES[whole.manifest.priority],
                headers=batch.headers,
            )
    return len(wanted)
