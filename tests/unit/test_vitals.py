"""When a worker or the indexer counts as sick: judged by what was seen, second by second."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from packsight.shared.queue.heartbeat import Beat, InWork
from packsight.shared.queue.vitals import Judge, Rules, Signs

RULES = Rules(cold_start=100, stuck=50, loop=60, overdue=10)
CHILDREN = (11, 12)


class Worker:
    """A worker's life in steps of a second, from 0; it is well unless a test says otherwise."""

    def __init__(self, *, ticks: bool = False) -> None:
        self.now = 0.0
        self.judge = Judge(RULES, 0.0, has_children=not ticks, ticks=ticks)
        self.beat = Beat(0.0, connected=True, takes=True, queues=("q",), children=CHILDREN)
        self.signs = Signs(self.beat, children_seen=frozenset(CHILDREN))
        self.beats = True

    def live(self, seconds: int, *, begins: bool = False, **changes: Any) -> dict[str, str]:
        """Complaints after some seconds in which what is said of the beat or the signs holds."""
        of_beat = {name: value for name, value in changes.items() if hasattr(self.beat, name)}
        of_signs = {name: value for name, value in changes.items() if name not in of_beat}
        found: dict[str, str] = {}
        for _ in range(seconds):
            self.now += 1
            begun = self.beat.begun + begins
            self.beat = replace(self.beat, at=self.now if self.beats else self.beat.at, begun=begun, **of_beat)
            self.signs = replace(self.signs, beat=self.beat, **of_signs)
            found = self.judge.complaints(self.signs, self.now)
        return found


def test_an_idle_worker_is_well_for_ever() -> None:
    assert Worker().live(1000) == {}


def test_messages_that_wait_while_a_worker_with_nothing_to_do_begins_none_are_told() -> None:
    worker = Worker()
    assert worker.live(1000) == {}
    assert worker.live(50, waiting=7) == {}
    found = worker.live(1)
    assert list(found) == ["work"]
    assert "7 messages wait" in found["work"]
    assert worker.live(1, begins=True) == {}


@pytest.mark.parametrize(
    "excuse",
    [
        {"begins": True},
        {"in_work": (InWork("recognize[1]", 0.0, 10_000.0),)},
        {"takes": False},
        {"connected": False},
    ],
    ids=str,
)
def test_messages_may_wait_while(excuse: dict[str, Any]) -> None:
    worker = Worker()
    assert worker.live(1000, waiting=7, **excuse) == {}


def test_what_could_not_be_looked_at_does_not_count() -> None:
    worker = Worker()
    worker.live(49, waiting=7)
    worker.judge.excuse(worker.now)
    assert worker.live(50) == {}
    assert "work" in worker.live(1)


def test_work_beyond_its_limit_is_told_by_name_and_other_work_is_not() -> None:
    worker = Worker()
    good, endless = InWork("describe[2]", 0.0, 90.0), InWork("sync[3]", 0.0, None)
    assert worker.live(100, in_work=(InWork("recognize[1]", 0.0, 90.0), good, endless)) == {}
    found = worker.live(1)
    assert list(found) == ["overdue"]
    assert "recognize[1]" in found["overdue"]
    assert worker.live(1, in_work=(endless,)) == {}


def test_a_loop_without_a_beat_is_told_and_at_the_start_it_has_longer() -> None:
    worker = Worker()
    worker.live(1)
    worker.beats = False
    assert worker.live(60) == {}
    assert list(worker.live(1)) == ["loop"]
    beginner = Worker()
    beginner.beats = False
    assert beginner.live(160, connected=False) == {}
    assert list(beginner.live(1)) == ["loop"]


def test_children_may_be_missing_for_a_cold_start() -> None:
    worker = Worker()
    worker.live(500)
    assert worker.live(100, children_seen=frozenset({11})) == {}
    found = worker.live(1)
    assert list(found) == ["children"]
    assert "1 of 2" in found["children"]
    assert worker.live(1, children_seen=frozenset(CHILDREN)) == {}


def test_children_that_die_one_after_the_other_are_no_sickness_as_long_as_others_come() -> None:
    worker = Worker()
    for pid in range(20, 40):
        assert worker.live(60, children=(pid, pid + 100), children_seen=frozenset({pid})) == {}


def test_children_that_never_come_are() -> None:
    worker = Worker()
    assert worker.live(100, children_seen=frozenset()) == {}
    assert "children" in worker.live(1)


def test_a_worker_is_ready_once_all_its_children_are_and_stays_so() -> None:
    worker = Worker()
    worker.live(5, children_seen=frozenset({11}))
    assert not worker.judge.ready
    worker.live(1, children_seen=frozenset(CHILDREN))
    worker.live(1, children_seen=frozenset({11}))
    assert worker.judge.ready


def test_an_indexer_whose_clock_gives_it_nothing_is_told_though_nothing_waits() -> None:
    indexer = Worker(ticks=True)
    indexer.live(1000, begins=True, children_seen=frozenset())
    assert indexer.judge.ready
    assert indexer.live(50) == {}
    assert list(indexer.live(1)) == ["work"]
    assert indexer.live(1, begins=True) == {}
    assert indexer.live(1000, connected=False) == {}


def test_a_long_sync_does_not_hide_that_the_clock_stands_still() -> None:
    indexer = Worker(ticks=True)
    assert list(indexer.live(51, in_work=(InWork("sync[1]", 0.0, 86_400.0),))) == ["work"]
