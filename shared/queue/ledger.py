"""The book of what was handed out and how it ended, in the result database beside Celery's own results.

Every key has a time to live, so nothing piles up when a producer goes away.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.queue.connection import result_database
from packsight.shared.settings import Settings

ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})

_JOBS = "packsight:jobs"
_CHUNK = 500
_STATUS = re.compile(r'"status": "(\w+)"')
_STATUS_BYTES = 64
"""Celery writes the status first; so much of a result is enough to know whether the task has ended."""

_ADVANCE = """
-- The cursor never goes back, whichever of two producers comes last. KEYS: job. ARGV: enqueued, time to live.
if tonumber(redis.call('HGET', KEYS[1], 'enqueued') or '0') < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'enqueued', ARGV[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended: `result` of a SUCCESS, else `error` in one line."""

    state: str
    result: dict[str, Any] | None
    error: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known when a message arrives: how often it has, this time included, and whether its task has ended."""

    count: int
    ended: bool


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a job has got: messages in all, enqueued so far, and finished from the first one on without a gap."""

    batches: int
    enqueued: int
    finished: int


@dataclass(frozen=True, slots=True)
class Partial:
    """A batch run image by image: what is done, how often each image was begun, and what last ended the child."""

    done: dict[int, str]
    begun: dict[int, int]
    deaths: int
    cause: ErrorCode


class Ledger:
    """One connection pool to the result database; make it in the process that uses it.

    All methods raise redis.RedisError when the database cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = result_database(settings)
        self._expires = settings.queue.result_expires
        self._advance = self.client.register_script(_ADVANCE)

    # Jobs that are under way.

    def register(self, job: str, batches: int) -> None:
        """Take a job into the active set; registering again changes nothing but the time to live."""
        with self.client.pipeline() as pipe:
            pipe.hset(_job(job), "batches", str(batches))
            pipe.expire(_job(job), self._expires)
            pipe.zadd(_JOBS, {job: time.time() + self._expires})
            pipe.expire(_JOBS, self._expires)
            pipe.execute()

    def jobs(self) -> list[str]:
        """Return the active jobs."""
        self.client.zremrangebyscore(_JOBS, "-inf", time.time())
        return cast("list[str]", self.client.zrange(_JOBS, 0, -1))

    def job(self, job: str) -> JobState | None:
        """Return how far an active job has got; None when it is not active."""
        fields = cast("dict[str, str]", self.client.hgetall(_job(job)))
        if "batches" not in fields:
            return None
        return JobState(int(fields["batches"]), int(fields.get("enqueued", 0)), int(fields.get("finished", 0)))

    def enqueued(self, job: str) -> int:
        """Return how many of a job's batches were enqueued, from the first on."""
        return int(cast("str | None", self.client.hget(_job(job), "enqueued")) or 0)

    def advance(self, job: str, enqueued: int) -> None:
        """Note that the batches below `enqueued` were enqueued; the cursor never goes back."""
        self._advance(keys=[_job(job)], args=[enqueued, self._expires])

    def note_finished(self, job: str, finished: int) -> None:
        """Note that the batches below `finished` have ended, so that nobody asks for them again."""
        self.client.hset(_job(job), "finished", str(finished))

    def forget(self, job: str) -> None:
        """Take a job out of the active set; its results stay."""
        with self.client.pipeline() as pipe:
            pipe.zrem(_JOBS, job)
            pipe.delete(_job(job), _suspects(job))
            pipe.execute()

    def still_missing(self, job: str, missing: Sequence[str]) -> set[str]:
        """Return which of these batches were missing at the last call too, and remember them for the next."""
        key = _suspects(job)
        with self.client.pipeline() as pipe:
            pipe.smembers(key)
            pipe.delete(key)
            if missing:
                pipe.sadd(key, *missing)
                pipe.expire(key, self._expires)
            before = cast("set[str]", pipe.execute()[0])
        return before.intersection(missing)

    # Results, as Celery stores them.

    def results(self, task_ids: Sequence[str]) -> dict[str, TaskEnd]:
        """Return how tasks ended; those that have not are left out."""
        found: dict[str, TaskEnd] = {}
        for chunk in _chunks(task_ids):
            for name, raw in zip(chunk, cast("list[str | None]", self.client.mget(map(_meta, chunk))), strict=True):
                end = _end_of(raw)
                if end is not None:
                    found[name] = end
        return found

    def finished(self, task_ids: Sequence[str]) -> set[str]:
        """Return which of these tasks have ended; much cheaper than reading their results."""
        found: set[str] = set()
        for chunk in _chunks(task_ids):
            with self.client.pipeline(transaction=False) as pipe:
                for name in chunk:
                    pipe.getrange(_meta(name), 0, _STATUS_BYTES)
                heads = cast("list[str]", pipe.execute())
            found.update(name for name, head in zip(chunk, heads, strict=True) if _has_ended(head))
        return found

    # One message's way through the workers.

    def begin(self, task_id: str) -> Delivery:
        """Count a delivery and tell whether the task has already ended, in one round trip."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.incr(_deliveries(task_id))
            pipe.expire(_deliveries(task_id), self._expires)
            pipe.getrange(_meta(task_id), 0, _STATUS_BYTES)
            count, _, head = pipe.execute()
        return Delivery(int(count), _has_ended(head))

    def end(self, task_id: str) -> None:
        """Forget the deliveries and the partial outcomes of a task whose result is stored."""
        self.client.delete(_deliveries(task_id), _partial(task_id))

    def reopen(self, task_id: str) -> None:
        """Forget that a task has ended, so that it can be sent again under its own id; without this it would be skipped."""
        self.client.delete(_meta(task_id), _deliveries(task_id), _partial(task_id))

    def deliveries(self, task_id: str) -> int:
        """Return how often a task that has not ended was begun."""
        return int(cast("str | None", self.client.get(_deliveries(task_id))) or 0)

    def partial(self, task_id: str) -> Partial:
        """Return how far a batch got that is run image by image."""
        fields = cast("dict[str, str]", self.client.hgetall(_partial(task_id)))
        return Partial(
            done={int(key[5:]): value for key, value in fields.items() if key.startswith("done:")},
            begun={int(key[6:]): int(value) for key, value in fields.items() if key.startswith("begun:")},
            deaths=int(fields.get("deaths", 0)),
            cause=ErrorCode(fields.get("cause", ErrorCode.WORKER_KILLED)),
        )

    def begin_image(self, task_id: str, index: int) -> None:
        """Note that an image is in work, before anything is done with it."""
        with self.client.pipeline() as pipe:
            pipe.hincrby(_partial(task_id), f"begun:{index}", 1)
            pipe.expire(_partial(task_id), self._expires)
            pipe.execute()

    def end_image(self, task_id: str, index: int, outcome: str) -> None:
        """Keep the outcome of one image until the whole batch has its result."""
        with self.client.pipeline() as pipe:
            pipe.hset(_partial(task_id), f"done:{index}", outcome)
            pipe.expire(_partial(task_id), self._expires)
            pipe.execute()

    def blame(self, task_id: str, cause: ErrorCode) -> int:
        """Note what ended the child that worked on a task; returns how many children it has cost."""
        with self.client.pipeline() as pipe:
            pipe.hset(_partial(task_id), "cause", cause.value)
            pipe.hincrby(_partial(task_id), "deaths", 1)
            pipe.expire(_partial(task_id), self._expires)
            return int(pipe.execute()[1])

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def _job(job: str) -> str:
    return f"packsight:job:{job}"


def _suspects(job: str) -> str:
    return f"packsight:suspects:{job}"


def _deliveries(task_id: str) -> str:
    return f"packsight:deliveries:{task_id}"


def _partial(task_id: str) -> str:
    return f"packsight:partial:{task_id}"


def _meta(task_id: str) -> str:
    return f"celery-task-meta-{task_id}"


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _has_ended(head: str) -> bool:
    status = _STATUS.search(head)
    return status is not None and status.group(1) in ENDED


def _end_of(raw: str | None) -> TaskEnd | None:
    meta = json.loads(raw) if raw else {}
    state = meta.get("status")
    if state not in ENDED:
        return None
    result = meta.get("result")
    if state == "SUCCESS":
        return TaskEnd(state, result if isinstance(result, dict) else {"value": result}, "")
    if isinstance(result, dict) and "exc_type" in result:
        message = result.get("exc_message", "")
        text = " ".join(map(str, message)) if isinstance(message, list | tuple) else str(message)
        return TaskEnd(state, None, f"{result['exc_type']}: {text}")
    return TaskEnd(state, None, str(result or state))
