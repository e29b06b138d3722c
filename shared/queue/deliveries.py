"""The book of one message's way through the workers: how often it came, what is done of its batch, who died over which photos.

Whoever works on photos notes so before, in a field of its own, and takes it back after. What stands there when it is gone for
good is what it died over, unless its parent lived to see it and has noted that instead.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import cast

import redis

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.queue import keys
from packsight.shared.queue.pulse import Holder
from packsight.shared.queue.results import STATUS_BYTES, has_ended
from packsight.shared.storage.jobs import job_of

Span = tuple[int, int]
"""Places of photos in their batch: of the first, and the one after the last."""
_STOP = "stop"
_COUNT = "count"
_BEGIN = (Path(__file__).parent / "begin.lua").read_text()
_NOTE_END = (Path(__file__).parent / "note_end.lua").read_text()


class Stop(StrEnum):
    """Why a job's batches are not begun any more."""

    CANCELLED = "cancelled"
    """Their photos are answered, without a look at them."""
    REMOVED = "removed"
    """Nobody is to be told anything of them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch got in earlier deliveries; photos by their places."""

    done: dict[int, str] = field(default_factory=dict)
    """Outcomes."""
    broken: frozenset[Span] = frozenset()
    """Photos that were in work together when that came to no end, and photos at which it was seen to stand still."""
    deaths: dict[int, int] = field(default_factory=dict)
    """Children that died over a photo alone, as their parents saw."""
    causes: dict[int, ErrorCode] = field(default_factory=dict)
    """What ended the last of them."""
    lost: dict[int, int] = field(default_factory=dict)
    """Parents that were not heard of again while a child of theirs had a photo alone in work."""
    idle_deaths: int = 0
    """Children that died over none of the photos."""
    attempts: int = 0
    """How often photos of foreign hosts were put off."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known when a message arrives.

    count: how often it has, this time included; ended: whether its task has; stop: whether its job was cancelled or removed.
    """

    count: int
    ended: bool
    stop: Stop | None = None
    progress: Progress = Progress()


class Deliveries:
    """Deliveries of tasks that have not ended. All methods raise redis.RedisError when the database cannot be reached.

    expires: seconds for which a task that nobody touches is remembered.
    """

    def __init__(self, client: redis.Redis, expires: int) -> None:
        self._client, self._expires = client, expires
        self._begin = client.register_script(_BEGIN)
        self._noted = client.register_script(_NOTE_END)
        self._left_open: set[str] = set()

    def begin(self, task_id: str, holder: Holder, images: int) -> Delivery:
        """Count a delivery, note that all of its photos are in work, and tell what is known.

        Of a batch that nobody had begun when its job was stopped nothing is noted: whoever looks at the job counts its photos as
        ended, and they stay so.
        """
        if self._left_open:
            with self._client.pipeline(transaction=False) as pipe:
                for other in self._left_open - {task_id}:
                    pipe.hdel(keys.partial(other), _work(holder))
                pipe.execute()
            self._left_open.clear()
        count, head, stop, book = self._begin(
            keys=[keys.stopped(job_of(task_id)), keys.partial(task_id), keys.task_result(task_id)],
            args=[_STOP, _COUNT, _work(holder), _text((0, images)), self._expires, STATUS_BYTES],
        )
        fields = dict(zip(book[::2], book[1::2], strict=True))
        return Delivery(int(count), has_ended(head.encode()), Stop(stop) if stop else None, _progress(fields, holder))

    def begin_part(self, task_id: str, holder: Holder, span: Span) -> None:
        """Note that only some photos are in work."""
        with self._client.pipeline() as pipe:
            self._note(pipe, task_id, holder, span)
            pipe.execute()

    def keep(self, task_id: str, outcomes: Mapping[int, str], holder: Holder | None = None) -> None:
        """Keep outcomes until the whole batch has its result; holder: whoever has worked on them and has nothing in work now."""
        if not outcomes and holder is None:
            return
        with self._client.pipeline() as pipe:
            if outcomes:
                self._keep(pipe, task_id, outcomes)
            if holder is not None:
                pipe.hdel(keys.partial(task_id), _work(holder))
                pipe.expire(keys.partial(task_id), self._expires)
            pipe.execute()

    def hand_back(self, task_id: str, holder: Holder, *, attempted: bool = False) -> None:
        """Count a delivery no more that came to no end through no fault of the batch; attempted: since photos were put off."""
        attempts = [("HINCRBY", "attempts", 1)] if attempted else []
        self._note_end(task_id, holder, ("HINCRBY", _COUNT, -1), *attempts)

    def leave_open(self, task_id: str) -> None:
        """Remember that the database could not be told how work on a task ended; it is told at the next `begin`."""
        self._left_open.add(task_id)

    def record_death(
        self, task_id: str, holder: Holder, cause: ErrorCode, span: Span | None, *, proven: bool = True
    ) -> int:
        """Note what ended a child, as its parent saw, and what it had in work; return the deaths over none of the photos.

        proven: whether it speaks against a photo that is there alone; not where others were in work too, or it had time left.
        """
        if span is None:
            return self._note_end(task_id, holder, ("HINCRBY", "idle_deaths", 1))
        if span[1] - span[0] == 1 and proven:
            died = ("HINCRBY", f"deaths:{span[0]}", 1), ("HSET", f"cause:{span[0]}", cause.value)
            return self._note_end(task_id, holder, *died)
        return self._note_end(task_id, holder, ("HSET", f"broken:{_text(span)}", cause.value))

    def _note_end(self, task_id: str, holder: Holder, *commands: tuple[str, str, str | int]) -> int:
        words = [word for command in commands for word in command]
        return int(self._noted(keys=[keys.partial(task_id)], args=[uuid.uuid4().hex, self._expires, _work(holder), *words]))

    def count(self, task_id: str) -> int:
        """Return how often a task that has not ended was begun."""
        return int(cast("str | None", self._client.hget(keys.partial(task_id), _COUNT)) or 0)

    def kept(self, task_id: str) -> dict[int, str]:
        """Return the outcomes that a task that has not ended has so far, by place."""
        fields = cast("dict[str, str]", self._client.hgetall(keys.partial(task_id)))
        return {int(name.removeprefix("done:")): outcome for name, outcome in fields.items() if name.startswith("done:")}

    def end(self, *task_ids: str) -> None:
        """Forget the deliveries and the partial outcomes of tasks whose result is stored."""
        self._client.delete(*map(keys.partial, task_ids))

    def reopen(self, task_id: str) -> None:
        """Forget that a task has ended, so that it can be sent again under its own id; without this it would be skipped."""
        with self._client.pipeline() as pipe:
            self.ask_again(pipe, task_id, {})
            pipe.execute()

    def ask_again(self, pipe: redis.client.Pipeline, task_id: str, outcomes: Mapping[int, str]) -> None:
        """The same once the pipeline is executed, keeping outcomes by place as if an earlier delivery had come to no end."""
        pipe.delete(keys.partial(task_id))  # two commands: rights to results and to deliveries are apart, and each needs one
        pipe.delete(keys.task_result(task_id))
        if outcomes:
            self._keep(pipe, task_id, outcomes)

    def stop(self, pipe: redis.client.Pipeline, job: str, why: Stop) -> None:
        """Have a job's batches begun by nobody once the pipeline is executed; those in work come to their end."""
        pipe.hset(keys.stopped(job), _STOP, why.value)
        pipe.expire(keys.stopped(job), self._expires)

    def why_stopped(self, job: str) -> Stop | None:
        """Return why a job's batches are not begun any more; None where they are."""
        why = cast("str | None", self._client.hget(keys.stopped(job), _STOP))
        return Stop(why) if why else None

    def let_go_on(self, pipe: redis.client.Pipeline, job: str) -> None:
        """Have a job's batches begun again once the pipeline is executed."""
        pipe.delete(keys.stopped(job))

    def begun(self, task_ids: Sequence[str]) -> set[str]:
        """Return which of these tasks were begun, or have outcomes of earlier, and have not ended as far as is known.

        Whoever takes the message of one that has outcomes answers with them, though its job was cancelled.
        """
        with self._client.pipeline(transaction=False) as pipe:
            for task_id in task_ids:
                pipe.exists(keys.partial(task_id))
            found = pipe.execute()
        return {task_id for task_id, there in zip(task_ids, found, strict=True) if there}

    def _keep(self, pipe: redis.client.Pipeline, task_id: str, outcomes: Mapping[int, str]) -> None:
        pipe.hset(keys.partial(task_id), mapping={f"done:{place}": outcome for place, outcome in outcomes.items()})
        pipe.expire(keys.partial(task_id), self._expires)

    def _note(self, pipe: redis.client.Pipeline, task_id: str, holder: Holder, span: Span) -> None:
        pipe.hset(keys.partial(task_id), _work(holder), _text(span))
        pipe.expire(keys.partial(task_id), self._expires)


def _work(holder: Holder) -> str:
    return f"work:{holder}"


def _text(span: Span) -> str:
    return f"{span[0]}-{span[1]}"


def _span(text: str) -> Span:
    start, _, stop = text.partition("-")
    return int(start), int(stop)


def _progress(fields: Mapping[str, str], holder: Holder) -> Progress:
    """Read the book of a batch; whoever reads lives, and so does his parent."""
    named: dict[str, dict[str, str]] = {"done": {}, "broken": {}, "deaths": {}, "cause": {}, "work": {}}
    for name, value in fields.items():
        kind, colon, rest = name.partition(":")
        if colon and kind in named:  # others are of other releases
            named[kind][rest] = value
    left = {one: _span(text) for one, text in named["work"].items() if one != str(holder)}
    alone = {(one.rpartition(":")[0], start) for one, (start, stop) in left.items() if stop - start == 1}
    return Progress(
        done={int(place): outcome for place, outcome in named["done"].items()},
        broken=frozenset([*map(_span, named["broken"]), *(span for span in left.values() if span[1] - span[0] > 1)]),
        deaths={int(place): int(count) for place, count in named["deaths"].items()},
        causes={int(place): ErrorCode(cause) for place, cause in named["cause"].items()},
        lost=Counter(place for parent, place in alone if parent != holder.parent),
        idle_deaths=int(fields.get("idle_deaths", 0)),
        attempts=int(fields.get("attempts", 0)),
    )
