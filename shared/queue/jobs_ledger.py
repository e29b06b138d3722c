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

_TAKE_UP = """
-- Batches of a job from one on are to end once more, also of one that is over. KEYS: job. ARGV: batches, the first of them.
if not redis.call('HGET', KEYS[1], 'batches') then
  redis.call('HSET', KEYS[1], 'enqueued', ARGV[1], 'finished', ARGV[2])
elseif tonumber(redis.call('HGET', KEYS[1], 'finished') or '0') > tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'finished', ARGV[2])
end
redis.call('HSET', KEYS[1], 'taken_up', (redis.call('HGET', KEYS[1], 'taken_up') or 0) + 1)
"""
_FOUND = """
-- What somebody found who looked at a job, unless it was taken up, cancelled or let go on since: batches may have ended then that
-- have not now. KEYS: job, the active jobs, its batches that were missing. ARGV: how often it was taken up, whether it was
-- cancelled, what was found, its name or a number.
local function field(name) return redis.call('HGET', KEYS[1], name) end
if not field('batches') or (field('taken_up') or '0') ~= ARGV[1] or (field('cancelled') or '') ~= ARGV[2] then return end
if ARGV[3] == 'finished' then
  redis.call('HSET', KEYS[1], 'finished', ARGV[4])
  return
end
redis.call('ZREM', KEYS[2], ARGV[4])
redis.call('DEL', KEYS[3])
if ARGV[3] == 'over' then redis.call('DEL', KEYS[1]) end
"""


_WRITTEN_WITHIN = 60.0
"""Seconds for which a job is announced; what is written by then is registered."""


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a job has got: messages in all, enqueued so far, and finished from the first one on without a gap.

    cancelled: whether no more of it is to be enqueued, or begun. taken_up: how often batches that had ended were to end again.
    """

    batches: int
    enqueued: int
    finished: int
    cancelled: bool = False
    taken_up: int = 0


class JobsLedger:
    """The active jobs. All methods raise redis.RedisError when the database cannot be reached.

    expires: seconds for which a job that nobody touches is kept.
    """

    def __init__(self, client: redis.Redis, expires: int) -> None:
        self._client, self._expires = client, expires
        self._advance = client.register_script(_ADVANCE)
        self._take_up = client.register_script(_TAKE_UP)
        self._found = client.register_script(_FOUND)

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

    def take_up(self, pipe: redis.client.Pipeline, job: str, batches: int, first: int) -> None:
        """Take a job that is over into the active set again, or one that is not, once the pipeline is executed.

        Batches from `first` on are to end once more. Forget in the same pipeline that they have: nobody is to see the one alone.
        """
        self._take_up(keys=[keys.job(job)], args=[batches, first], client=pipe)
        self._note(pipe, job, {"batches": str(batches)})

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
        cancelled, taken_up = fields.get("cancelled") == "1", int(fields.get("taken_up", 0))
        return JobState(int(fields["batches"]), enqueued, finished, cancelled, taken_up)

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

    def settle(self, job: str, seen: JobState) -> None:
        """Take a cancelled job out of the active set; that it was cancelled stays known as long as its results.

        Like `note_over` and `note_finished` nothing, where the job was taken up, cancelled or let go on since it was `seen`.
        """
        self._note_found(job, seen, "settled", job)

    def note_over(self, job: str, seen: JobState) -> None:
        """Take a job out of the active set all of whose batches have ended; its results stay."""
        self._note_found(job, seen, "over", job)

    def enqueued(self, job: str) -> int:
        """Return how many of a job's batches were enqueued, from the first on."""
        return int(cast("str | None", self._client.hget(keys.job(job), "enqueued")) or 0)

    def advance(self, job: str, enqueued: int) -> None:
        """Note that the batches below `enqueued` were enqueued; the cursor never goes back."""
        self._advance(keys=[keys.job(job)], args=[enqueued, self._expires])

    def note_finished(self, job: str, finished: int, seen: JobState) -> None:
        """Note that the batches below `finished` have ended, so that nobody asks for them again."""
        self._note_found(job, seen, "finished", str(finished))

    def _note_found(self, job: str, seen: JobState, what: str, argument: str) -> None:
        places = [keys.job(job), keys.JOBS, keys.missing_candidates(job)]
        self._found(keys=places, args=[seen.taken_up, "1" if seen.cancelled else "", what, argument])

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
