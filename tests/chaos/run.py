"""Let a plan happen to a stage, bring back what died, and say what became of every photo."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import psutil
import redis

from packsight.shared.contract.errors import UserError
from packsight.shared.queue.connection import open_redis
from tests.chaos.parts import freeze
from tests.chaos.plan import Fault, Kind
from tests.chaos.stage import PATIENCE, Judgement, Stage, Watch

TICK = 0.1
IMPATIENCE = 20.0
"""Seconds after which the next event begins though too few batches ended: what stands still for long is hit again meanwhile."""
STOP_SECONDS = 60.0
"""What a worker that is told to stop may take; the batch that it has begun is part of it."""
CUTS = 5
"""How often in a row all connections are cut: a client that connects again at once loses the new one too."""
LEAST_DONE = 2 / 3
"""Of the plan: a job whose end comes before most of it has gone through quiet, not through faults."""
NAMED = 20
"""Photos and events that a document lists at most of each kind."""

Say = Callable[[str], None]


@dataclass
class Event:
    """A fault that happened. Times are seconds since the epoch; recovered: from its end to the end of the next batch."""

    fault: Fault
    begun: float
    ended: float = 0.0
    note: str = ""
    done: bool = True
    """False where there was nothing to do it to."""
    recovered: float | None = None
    beside: int = 0
    """Other events that were under way within that time."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Hold:
    """What ends a fault, and what tells that it is over where that is not a matter of its seconds."""

    lift: Callable[[], None] = _nothing
    over: Callable[[], bool] | None = None


@dataclass
class _Active:
    event: Event
    hold: Hold

    @property
    def over(self) -> bool:
        return self.hold.over() if self.hold.over else time.time() >= self.event.begun + self.event.fault.seconds


class Run:
    """One run.

    bound: seconds after which it is given up, whatever has not ended. apart: seconds from one event to the next at least, so that
    what a burst of batches owes does not happen all at once.
    """

    def __init__(self, stage: Stage, plan: Sequence[Fault], bound: float, say: Say, *, apart: float = 0.0) -> None:
        self._stage, self._bound, self._say, self._apart = stage, bound, say, apart
        self.plan = tuple(plan)
        self._left = list(plan)
        self._active: list[_Active] = []
        self._launched = dict.fromkeys(stage.parts, 0.0)
        self.events: list[Event] = []
        self.died: list[str] = []
        """Parts that ended without being told to."""

    def go(self) -> bool:
        """Let everything happen; returns whether all batches ended in time. Every part runs when it returns."""
        watch, begun, since, due = Watch(self._stage), time.time(), time.time(), 0
        try:
            while not (self._stage.sent() and watch.look() == len(self._stage.tasks)):
                now = time.time()
                if now - begun > self._bound:
                    self._say(f"given up after {self._bound:.0f} s with {watch.ended} of {len(self._stage.tasks)} batches ended")
                    return False
                self._lift_what_is_over()
                self._revive()
                fault = next(filter(self._can, self._left), None)
                wanted = fault is not None and (watch.ended >= due + fault.after or now - since > IMPATIENCE)
                if fault is not None and wanted and now - since >= self._apart:
                    self._left.remove(fault)
                    self._begin(fault)
                    # Counted from the job's beginning: batches end in bursts, and what one burst owes is done after it.
                    since, due = time.time(), due + fault.after
                time.sleep(TICK)
            return True
        finally:
            for active in self._active:
                self._end(active)
            self._active = []
            self._revive()
            watch.close()

    def _can(self, fault: Fault) -> bool:
        """Whether there is something to do it to: a worker that has just started has no child yet, and gets one."""
        if fault.part in self._held():
            return False
        return fault.kind not in {Kind.KILL_CHILD, Kind.FREEZE_CHILD} or bool(self._stage.parts[fault.part].children())

    def _held(self) -> set[str]:
        return {active.event.fault.part for active in self._active}

    def _begin(self, fault: Fault) -> None:
        event = Event(fault, time.time())
        self.events.append(event)
        self._say(f"{fault.part} {fault.kind}" + (f" for {fault.seconds} s" if fault.seconds else ""))
        do = {
            Kind.KILL_CHILD: self._kill_child, Kind.FREEZE_CHILD: self._freeze_child, Kind.KILL: self._kill,
            Kind.FREEZE: self._freeze, Kind.STOP: self._stop, Kind.FILL: self._fill, Kind.CUT: self._cut,
            Kind.PUBLISH: self._publish,
        }[fault.kind]  # fmt: skip
        try:
            hold = do(fault, event)
        except (redis.RedisError, UserError) as error:
            event.note, event.done = str(error), False
            hold = Hold()
        self._active.append(_Active(event, hold))

    def _kill_child(self, fault: Fault, event: Event) -> Hold:
        for child in self._child(fault, event):
            child.kill()
        return Hold()

    def _freeze_child(self, fault: Fault, event: Event) -> Hold:
        return Hold(freeze(self._child(fault, event)))

    def _child(self, fault: Fault, event: Event) -> list[psutil.Process]:
        children = self._stage.parts[fault.part].children()
        if not children:
            event.note, event.done = "it had no child just then", False
        return children[int(fault.choice * len(children)) :][:1]

    def _kill(self, fault: Fault, _: Event) -> Hold:
        self._stage.parts[fault.part].kill()
        return Hold(lambda: self._launch(fault.part))

    def _freeze(self, fault: Fault, _: Event) -> Hold:
        # Half of them with their children, half the parent alone, whose children then work on unseen.
        family = self._stage.parts[fault.part].family()
        return Hold(freeze(family if fault.choice < 0.5 else family[:1]))

    def _stop(self, fault: Fault, event: Event) -> Hold:
        part, latest = self._stage.parts[fault.part], time.time() + STOP_SECONDS
        part.ask_to_stop()
        return Hold(lambda: self._replace(fault.part, event), lambda: part.ended is not None or time.time() > latest)

    def _fill(self, _: Fault, __: Event) -> Hold:
        self._broker(lambda client: client.config_set("maxmemory", 1))
        return Hold(lambda: self._broker(lambda client: client.config_set("maxmemory", 0)))

    def _cut(self, _: Fault, __: Event) -> Hold:
        def cut(client: redis.Redis) -> None:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)

        for _again in range(CUTS):
            self._broker(cut)
            time.sleep(TICK)
        return Hold()

    def _publish(self, _: Fault, __: Event) -> Hold:
        self._stage.publish()
        return Hold()

    def _broker(self, command: Callable[[redis.Redis], Any]) -> None:
        with open_redis(self._stage.settings.broker_url.get_secret_value(), timeout=PATIENCE) as client:
            command(client)

    def _replace(self, name: str, event: Event) -> None:
        part = self._stage.parts[name]
        if part.ended is None:
            event.note = f"killed, since it had not ended after {STOP_SECONDS:.0f} s"
            part.kill()
        self._launch(name)

    def _launch(self, name: str) -> None:
        self._launched[name] = time.time()
        self._stage.parts[name].launch()

    def _lift_what_is_over(self) -> None:
        over = [active for active in self._active if active.over]
        self._active = [active for active in self._active if active not in over]
        for active in over:
            self._end(active)

    def _end(self, active: _Active) -> None:
        for _ in range(30):  # a broker that was full and then killed by another event may be on its way up
            try:
                active.hold.lift()
            except redis.RedisError:
                time.sleep(TICK)
            else:
                break
        active.event.ended = time.time()

    def _revive(self) -> None:
        """Start what ended by itself, as a supervisor would."""
        for name, part in self._stage.parts.items():
            if name not in self._held() and part.ended is not None and time.time() - self._launched[name] > 1:
                self.died.append(f"{name} ended by itself with code {part.ended}")
                self._say(self.died[-1])
                self._launch(name)


def recoveries(events: Sequence[Event], ends: Sequence[float]) -> None:
    """Note of each event how long after its end the next batch ended; those behind the last batch have none."""
    for event in events:
        at = bisect.bisect_left(ends, event.ended)
        if at < len(ends):
            event.recovered = ends[at] - event.ended
            others = (one for one in events if one is not event)
            event.beside = sum(one.begun < ends[at] and one.ended > event.ended for one in others)


def missing(plan: Sequence[Fault], events: Sequence[Event]) -> list[str]:
    """What a plan has too little of that was done: nothing where the run shows what it is there for."""
    done = Counter(_kind(event.fault) for event in events if event.done)
    found = [f"{kind}: planned, never done" for kind in sorted({_kind(fault) for fault in plan} - set(done))]
    if done.total() < LEAST_DONE * len(plan):
        found.append(f"{done.total()} of {len(plan)} planned events done")
    return found


def document(run: Run, judgement: Judgement, ends: Sequence[float], began: float, *, in_time: bool) -> dict[str, Any]:
    """What is printed and written."""
    recoveries(run.events, ends)
    known = [event for event in run.events if event.done and event.recovered is not None]
    worst = max(known, key=lambda event: event.recovered or 0.0, default=None)
    return {
        "in_time": in_time,
        "photos": judgement.photos,
        "batches": len(ends),
        "seconds": round(max(ends, default=began) - began, 1),
        "lost": len(judgement.lost),
        "doubled": len(judgement.doubled),
        "differing": len(judgement.differing),
        "named": {name: getattr(judgement, name)[:NAMED] for name in ("lost", "doubled", "differing")},
        "versions": dict(judgement.versions),
        "planned": len(run.plan),
        "missing": missing(run.plan, run.events),
        "died_by_themselves": run.died[:NAMED],
        "longest_pause_s": round(max((b - a for a, b in pairwise(ends)), default=0.0), 1),
        "worst_recovery": None if worst is None else _shown(worst, began),
        "recovery_s": _by_kind(known),
        "done": [_shown(event, began) for event in run.events if event.done],
        "not_done": [_shown(event, began) for event in run.events if not event.done],
    }


def _by_kind(events: Sequence[Event]) -> dict[str, dict[str, float]]:
    found: dict[str, list[float]] = {}
    for event in events:
        found.setdefault(_kind(event.fault), []).append(event.recovered or 0.0)
    return {
        name: {"count": len(times), "median": round(sorted(times)[len(times) // 2], 1), "worst": round(max(times), 1)}
        for name, times in sorted(found.items())
    }


def _kind(fault: Fault) -> str:
    return f"{'worker' if fault.part.startswith('worker') else fault.part} {fault.kind}"


def _shown(event: Event, began: float) -> dict[str, Any]:
    shown = asdict(event.fault) | {"at": round(event.begun - began, 1), "lasted": round(event.ended - event.begun, 1)}
    del shown["after"], shown["choice"], shown["seconds"]
    shown["recovered_s"] = None if event.recovered is None else round(event.recovered, 1)
    return shown | ({"beside": event.beside} if event.beside else {}) | ({"note": event.note} if event.note else {})
