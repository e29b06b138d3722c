"""Enqueue again what a job has neither a result nor a message for: the last net under a broker that lost its disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import redis

from packsight.shared.contract.errors import ErrorCode, PacksightError
from packsight.shared.contract.messages import RECOGNIZE, WORKER_QUEUES
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings
from packsight.shared.storage import jobs
from packsight.shared.storage.objects import ObjectStore

if TYPE_CHECKING:
    from celery import Celery

LOCK = "packsight:reconciler"
_LOCK_SECONDS = 300
"""A reconciler that died holds up the next for so long."""
_CHUNK = 200
"""Messages that the server reads in one step: a few milliseconds."""

_IDS = """
-- Names of the tasks of some messages of a list, so that only ids travel. KEYS: list. ARGV: first, last.
local ids = {}
for _, message in ipairs(redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])) do
  local understood, content = pcall(cjson.decode, message)
  local headers = understood and type(content) == 'table' and content.headers
  ids[#ids + 1] = type(headers) == 'table' and type(headers.id) == 'string' and headers.id or ''
end
return ids
"""
_UNACKED_IDS = """
-- The same for unacknowledged messages. KEYS: hash. ARGV: cursor, count. Returns the next cursor and the ids.
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local ids = {}
for i = 2, #page[2], 2 do
  local understood, content = pcall(cjson.decode, page[2][i])
  local headers = understood and type(content) == 'table' and type(content[1]) == 'table' and content[1].headers
  ids[#ids + 1] = type(headers) == 'table' and type(headers.id) == 'string' and headers.id or ''
end
return {page[1], ids}
"""


def reconcile(settings: Settings, app: Celery, store: ObjectStore) -> int:
    """Look after all active jobs once; returns how many batches were enqueued again.

    A batch counts as lost when two rounds in a row find it enqueued, without a result and without a message: in a
    single look a message may slip from one place to another. Jobs that are finished leave the active set. Of several
    reconcilers one works and the others return 0. Raises redis.RedisError, StorageError or kombu's OperationalError
    when a service cannot be reached; nothing is left half done that the next round would not finish.
    """
    ledger = Ledger(settings)
    lock = ledger.client.lock(LOCK, timeout=_LOCK_SECONDS, blocking=False)
    try:
        if not lock.acquire():
            return 0
        try:
            return sum(_reconcile_job(job, ledger, app, jobs.JobStore(store), settings) for job in ledger.jobs.active())
        finally:
            if lock.owned():
                lock.release()
    finally:
        ledger.close()


def _reconcile_job(job: str, ledger: Ledger, app: Celery, store: jobs.JobStore, settings: Settings) -> int:
    state = ledger.jobs.state(job)
    if state is None:
        ledger.jobs.forget(job)
        return 0
    handed_out = [jobs.task_id(job, index) for index in range(state.finished, state.enqueued)]
    ended = ledger.results.ended(handed_out)
    unfinished = [name for name in handed_out if name not in ended]
    if not unfinished and state.enqueued >= state.batches:
        ledger.jobs.forget(job)
        return 0
    ledger.jobs.note_finished(job, _first_gap(state.finished, handed_out, ended))
    if not unfinished:
        return 0
    with redis.Redis.from_url(
        settings.broker_url.get_secret_value(), socket_timeout=settings.queue.socket_timeout, decode_responses=True
    ) as broker:
        waiting = _waiting(broker)
    missing = [name for name in unfinished if name not in waiting]
    lost = ledger.jobs.still_missing(job, missing)
    return _enqueue_again(job, sorted(lost), app, store, ledger) if lost else 0


def _first_gap(start: int, names: list[str], ended: set[str]) -> int:
    return start + next((offset for offset, name in enumerate(names) if name not in ended), len(names))


def _enqueue_again(job: str, lost: list[str], app: Celery, store: jobs.JobStore, ledger: Ledger) -> int:
    try:
        whole = store.load(job)
    except PacksightError as error:
        if error.code is not ErrorCode.OBJECT_MISSING:
            raise
        ledger.jobs.forget(job)  # its manifest was deleted: nobody asks for it any more
        return 0
    wanted = set(lost)
    for batch in whole.batches:
        if batch.task_id in wanted:
            argument = batch.request(whole.manifest).model_dump(mode="json")
            app.send_task(RECOGNIZE, args=[argument], task_id=batch.task_id)
    return len(wanted)


def _waiting(broker: redis.Redis) -> set[str]:
    """Return the ids of all tasks that have a message, in a queue or with a worker."""
    # Queues first: a message moves from there to the unacknowledged ones, so it is met at least once.
    return {name for queue in WORKER_QUEUES for name in _queued(broker, queue)} | set(_unacknowledged(broker))


def _queued(broker: redis.Redis, queue: str) -> Iterator[str]:
    script = broker.register_script(_IDS)
    # From the left, where new messages come in: what shifts under the reader is met twice rather than never.
    start = 0
    while names := cast("list[str]", script(keys=[queue], args=[start, start + _CHUNK - 1])):
        yield from names
        start += _CHUNK


def _unacknowledged(broker: redis.Redis) -> Iterator[str]:
    script = broker.register_script(_UNACKED_IDS)
    cursor = "0"
    while True:
        cursor, names = cast("tuple[str, list[str]]", script(keys=["unacked"], args=[cursor, _CHUNK]))
        yield from names
        if cursor == "0":
            return
