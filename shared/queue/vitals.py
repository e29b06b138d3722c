"""The health of a worker's or the indexer's parent process: a thread judges it, writes it down and tells it to the others.

What counts is whether work is being done, and of what is wrong only what a restart may mend. A broker, result database or
object storage that is away is told and waited for; while Redis cannot be asked nothing is judged but the replica.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import redis

from packsight.shared.health import Diary, Report
from packsight.shared.queue import registry
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.heartbeat import Beat, Heartbeat
from packsight.shared.settings import Settings

log = logging.getLogger(__name__)

PERIOD = 2.0
"""Seconds between two looks."""
_NOTE = 200
"""Characters of a note: what is away may say much."""
BROKER_OR_RESULTS = "broker or result database"
"""What is away when a look fails."""
COMPLAINTS = ("loop", "overdue", "children", "work", "replica")
"""Words by which complaints are told apart."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How long something may last before it is wrong; seconds."""

    cold_start: float
    """Until all children are there, or a further one: what a child may take to build its networks, and its entry to be read."""
    stuck: float
    """While messages wait and none is begun, or the indexer's clock does not tick."""
    loop: float = 60.0
    """Without a beat: of a frozen broker each question waits for its time limit, and there may be some in a row."""
    overdue: float = 15.0
    """Beyond a task's limit, at which its child is killed within a second or two."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What was seen in one look."""

    beat: Beat
    waiting: int = 0
    """Messages in the queues that it was started for, of those that it takes now."""
    children_seen: frozenset[int] = frozenset()
    """Process ids of the children that have given a sign of life lately."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a look."""

    ready: bool
    complaints: frozenset[str]
    """By their words."""
    away: frozenset[str]
    children: tuple[int, int | None] | None
    """How many there should be, and how many have given a sign of life, None where that cannot be asked. None: they give none."""


class Judge:
    """Remembers since when something lasts.

    has_children: whether its children register, as those of a recognition worker do. ticks: whether it has a clock that gives it
    work, as the indexer's; else it works only when messages wait.
    """

    def __init__(self, rules: Rules, now: float, *, has_children: bool = False, ticks: bool = False) -> None:
        self._rules, self._ticks = rules, ticks
        self.has_children = has_children
        self._began = now
        self._begun = 0
        self._moved = self._grown = now
        self._known: frozenset[int] = frozenset()
        self.ready = False

    def excuse(self, now: float) -> None:
        """Count nothing of what has lasted up to now: it could not be looked at."""
        self._moved = self._grown = now

    def complaints(self, signs: Signs, now: float) -> dict[str, str]:
        """What is wrong, a sentence each, by a word that stays the same as long as it is."""
        beat, found = signs.beat, dict[str, str]()
        silent = now - beat.at
        if silent > self._rules.loop + (0 if beat.connected else self._rules.cold_start):
            found["loop"] = f"its event loop has not answered for {silent:.0f} s"
        late = [work for work in beat.in_work if work.limit and now - work.since > work.limit + self._rules.overdue]
        if late:
            found["overdue"] = f"{late[0].task} is in work for {now - late[0].since:.0f} s, its limit is {late[0].limit:.0f} s"
        if self.has_children:
            found |= self._children(signs, now)
        found |= self._work(signs, now)
        self.ready = self.ready or (beat.connected and bool(beat.children) and not self._missing(signs))
        return found

    def _missing(self, signs: Signs) -> int:
        return len(set(signs.beat.children) - signs.children_seen) if self.has_children else 0

    def _children(self, signs: Signs, now: float) -> dict[str, str]:
        missing = self._missing(signs)
        if not missing or signs.children_seen - self._known:
            self._grown = now
        self._known = signs.children_seen
        short = now - self._grown
        if short <= self._rules.cold_start:
            return {}
        text = f"{missing} of {len(signs.beat.children)} children give no sign of life, and no other has come for {short:.0f} s"
        return {"children": text}

    def _work(self, signs: Signs, now: float) -> dict[str, str]:
        beat = signs.beat
        able = beat.connected and beat.takes
        # Tasks in work end by themselves or by their limits, and children that are not there yet are told apart.
        asked = able and (self._ticks or (signs.waiting > 0 and not beat.in_work and bool(signs.children_seen)))
        if beat.begun != self._begun or not asked:
            self._begun, self._moved = beat.begun, now
        still = now - self._moved
        if still <= self._rules.stuck:
            return {}
        if self._ticks:
            return {"work": f"its clock does not tick, or nobody does what it asks for, for {still:.0f} s"}
        return {"work": f"{signs.waiting} messages wait and it has begun none for {still:.0f} s"}


class Vitals(threading.Thread):
    """Looks every few seconds. See `shared.health` for who asks.

    replica_age: seconds since the copy of the catalogs was last looked after; replica_limit: how many are too many.
    outages: what is away and how that was seen. takes: whether messages of a queue are taken meanwhile.
    """

    def __init__(
        self,
        settings: Settings,
        node: str,
        heartbeat: Heartbeat,
        judge: Judge,
        *,
        outages: Callable[[], Mapping[str, str]] = dict,
        takes: Callable[[str], bool] = lambda _: True,
        replica_age: Callable[[], float] = float,
        replica_limit: float = 60.0,
    ) -> None:
        super().__init__(name="vitals", daemon=True)
        self._settings, self._node, self._heartbeat, self._judge = settings, node, heartbeat, judge
        self._outages, self._takes, self._replica_age, self._replica_limit = outages, takes, replica_age, replica_limit
        self._redis = result_database(settings)
        self._broker = open_broker(settings)
        self._since: dict[str, float] = {}
        self._ended = threading.Event()
        self._diary: Diary | None = None
        self.last: Seen | None = None
        """The last look."""

    def start(self) -> None:
        """Write the first report, then look from a thread."""
        try:
            self._diary = Diary(self._settings.home, self._node)
            self._write({}, (), stopping=False)
        except OSError as error:
            log.error(
                "the health of %s cannot be told (%s): give each worker of this folder a name of its own (--name), and the "
                "folder %s to this user", self._node, error, self._settings.home / "health",
            )  # fmt: skip
        super().start()

    def run(self) -> None:
        """Look until stopped."""
        while not self._ended.wait(PERIOD):
            try:
                self.look()
            except Exception:
                log.exception("the health of %s cannot be judged", self._node)
        with contextlib.suppress(OSError):
            self._write({}, (), stopping=True)
        with contextlib.suppress(redis.RedisError, OSError):
            registry.withdraw_process(self._redis, self._node)

    def stop(self) -> None:
        """Say that this process is stopping, however long that takes, and look no more. May be called by a signal's handler."""
        self._ended.set()

    def look(self) -> None:
        """Look once, write it down and tell it."""
        away = dict(self._outages())
        try:
            signs = self._signs()
            found = self._judge.complaints(signs, time.monotonic())
        except (redis.RedisError, OSError) as error:
            signs, found = None, {}
            away[BROKER_OR_RESULTS] = f"{type(error).__name__}: {error}"
            self._judge.excuse(time.monotonic())
        if (age := self._replica_age()) > self._replica_limit:
            found["replica"] = f"its copy of the catalogs was last looked after {age:.0f} s ago"
        self.last = self._seen(signs, found, away)
        now = time.monotonic()
        self._since = {word: self._since.get(word, now) for word in found}
        self._write({text: self._since[word] for word, text in found.items()}, _notes(away), stopping=False)
        if signs is not None:
            self._announce(signs, list(found.values()), away)

    def _seen(self, signs: Signs | None, found: Mapping[str, str], away: Mapping[str, str]) -> Seen:
        own = self._heartbeat.last.children
        ready = None if signs is None else len(signs.children_seen.intersection(own))
        return Seen(self._judge.ready, frozenset(found), frozenset(away), (len(own), ready) if self._judge.has_children else None)

    def _signs(self) -> Signs:
        beat = self._heartbeat.last
        # All are counted, so that a broker that is away is noticed whatever is taken.
        waiting = sum(count for queue, count in self._broker.backlog(beat.queues).waiting.items() if self._takes(queue))
        seen = registry.living(self._redis, socket.gethostname(), beat.children)
        return Signs(beat, waiting, frozenset(seen))

    def _write(self, complaints: dict[str, float], notes: tuple[str, ...], *, stopping: bool) -> None:
        if self._diary is not None:
            report = Report(os.getpid(), time.monotonic(), self._judge.ready, stopping, complaints, notes)
            self._diary.write(report)

    def _announce(self, signs: Signs, complaints: list[str], away: dict[str, str]) -> None:
        now, beat = time.monotonic(), signs.beat
        entry = registry.ProcessEntry(
            node=self._node,
            ready=self._judge.ready,
            children=len(beat.children) if self._judge.has_children else 0,
            complaints=complaints,
            outages=away,
            overdue=[work.task for work in beat.in_work if work.limit and now - work.since > work.limit],
            replica_age=round(self._replica_age(), 1),
            at=datetime.now(UTC),
        )
        with contextlib.suppress(redis.RedisError, OSError):
            registry.announce_process(self._redis, entry)


def _notes(away: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"it {registry.idleness(name)}: {name}: {text}"[:_NOTE] for name, text in away.items())
