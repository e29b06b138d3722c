"""The book of jobs that are under way: how many of their batches were enqueued and have ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import redis

from packsight.shared.queue import keys

_ADVANCE = """
-- The cursor never goes back, whichever of two producers comes last. KEYS: job. ARGV: enqueued, time to live.
if tonumber(redis.call('HGET', KEYS[1], 'enqueued') or '0') < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'enqueued', ARGV[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


_WRITTEN_WITHIN = 60.0
"""Seconds for which a job is announced; what is written by then is registered."""


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a job has got: messages in all, enqueued so far, and finished from the first one on without a gap.

    cancelled: whether no more of it is to be enqueued, or begun.
    """

    batches: int
    enqueued: int
    finished: int
    cancelled: bool = False


class JobsLedger:
    """The active jobs. All methods raise redis.RedisError when the database cannot be reached.

    expires: seconds for which a job that nobody touches is kept.
    """

    def __init__(self, client: redis.Redis, expires: int) -> None:
        self._client, self._expires = client, expires
        self._advance = client.register_script(_ADVANCE)

    def announce(self, job: str) -> None:
        """Take a job that is about to be written into the active set for a while; one that is there stays as long as it would.

        So that a database that keeps nothing new refuses it before anything is written.
        """
        self._client.zadd(keys.JOBS, {job: time.time() + _WRITTEN_WITHIN}, gt=True)

    def register(self, job: str, batches: int) -> None:
        """Take a job into the active set; registering again changes nothing but the time to live."""
        with self._client.pipeline() as pipe:
            self._note(pipe, job, {"batches": str(batches)})
            pipe.execute()

    def take_up(self, job: str, batches: int, first: int) -> None:
        """Take a job that is over into the active set again, or one that is not: batches from `first` on are to end once more."""
        state = self.state(job)
        self.register(job, batches)
        if state is None:
            self.advance(job, batches)
        if state is None or state.finished > first:
            self.note_finished(job, first)

    def active(self) -> list[str]:
        """Return the active jobs."""
        self._client.zremrangebyscore(keys.JOBS, "-inf", time.time())
        return cast("list[str]", self._client.zrange(keys.JOBS, 0, -1))

    def state(self, job: str) -> JobState | None:
        """Return how far an active job has got; None when it is not active."""
        fields = cast("dict[str, str]", self._client.hgetall(keys.job(job)))
        if "batches" not in fields:
            return None
        enqueued, finished = int(fields.get("enqueued", 0)), int(fields.get("finished", 0))
        return JobState(int(fields["batches"]), enqueued, finished, fields.get("cancelled") == "1")

    def cancel(self, pipe: redis.client.Pipeline, job: str, batches: int) -> None:
        """Note, once the pipeline is executed, that no more of a job is to be enqueued.

        It is looked after until what workers hold of it has ended.
        """
        self._note(pipe, job, {"batches": str(batches), "cancelled": "1"})

    def let_go_on(self, pipe: redis.client.Pipeline, job: str, batches: int) -> None:
        """Take a cancellation back once the pipeline is executed."""
        self._note(pipe, job, {"batches": str(batches), "cancelled": ""})

    def is_cancelled(self, job: str) -> bool:
        """Whether a job was cancelled, as long as that is known."""
        return self._client.hget(keys.job(job), "cancelled") == "1"

    def is_half_taken_back(self, job: str) -> bool:
        """Whether a cancellation was taken back, and not everything has been enqueued since."""
        fields = cast("dict[str, str]", self._client.hgetall(keys.job(job)))
        return fields.get("cancelled") == "" and int(fields.get("enqueued", 0)) < int(fields.get("batches", 0))

    def settle(self, job: str) -> None:
        """Take a cancelled job out of the active set; that it was cancelled stays known as long as its results."""
        with self._client.pipeline() as pipe:
            pipe.zrem(keys.JOBS, job)
            pipe.delete(keys.missing_candidates(job))
            pipe.execute()

    def enqueued(self, job: str) -> int:
        """Return how many of a job's batches were enqueued, from the first on."""
        return int(cast("str | None", self._client.hget(keys.job(job), "enqueued")) or 0)

    def advance(self, job: str, enqueued: int) -> None:
        """Note that the batches below `enqueued` were enqueued; the cursor never goes back."""
        self._advance(keys=[keys.job(job)], args=[enqueued, self._expires])

    def note_finished(self, job: str, finished: int) -> None:
        """Note that the batches below `finished` have ended, so that nobody asks for them again."""
        self._client.hset(keys.job(job), "finished", str(finished))

    def forget(self, job: str) -> None:
        """Take a job out of the active set; its results stay."""
        with self._client.pipeline() as pipe:
            pipe.zrem(keys.JOBS, job)
            pipe.delete(keys.job(job), keys.missing_candidates(job))
            pipe.execute()

    def still_missing(self, job: str, missing: Sequence[str]) -> set[str]:
        """Return which of these batches were missing at the last call too, and remember them for the next."""
        key = keys.missing_candidates(job)
        with self._client.pipeline() as pipe:
            pipe.smembers(key)
            pipe.delete(key)
            if missing:
                pipe.sadd(key, *missing)
                pipe.expire(key, self._expires)
            before = cast("set[str]", pipe.execute()[0])
        return before.intersection(missing)

    def _note(self, pipe: redis.client.Pipeline, job: str, fields: dict[str, str]) -> None:
        """Write fields of a job, and take it into the active set."""
        pipe.hset(keys.job(job), mapping=fields)  # type: ignore[arg-type]
        pipe.expire(keys.job(job), self._expires)
        pipe.zadd(keys.JOBS, {job: time.time() + self._expires})
        pipe.expire(keys.JOBS, self._expires)
