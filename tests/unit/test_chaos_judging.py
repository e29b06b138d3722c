"""The chaos run sees what it is there for: photos lost, doubled or answered otherwise, and how long work stood still."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, cast

import pytest

from packsight.producer.rows import Row
from packsight.shared.contract.outcomes import Outcome, Product, Provenance, RecognizeResult, Status
from packsight.shared.queue.results import TaskEnd
from tests.chaos import run as chaos_run
from tests.chaos.parts import Part
from tests.chaos.plan import BROKER, INDEXER, STORE, Fault, Kind, everything, kills, mixed
from tests.chaos.real import TOLERANCE, compare
from tests.chaos.run import Event, Run, missing, recoveries
from tests.chaos.stage import Answer, Judgement, Stage
from tests.chaos.standins import IMAGES, judge_batch

WORKERS = ("worker", "worker-2")
EVERYTHING = everything(WORKERS, real=True)


def test_a_seed_makes_the_same_plan_again_and_another_seed_another() -> None:
    assert mixed(1, EVERYTHING, 30, 100) == mixed(1, EVERYTHING, 30, 100) != mixed(2, EVERYTHING, 30, 100)


def test_a_long_plan_has_every_kind_of_event_for_everybody_with_bounded_lengths() -> None:
    plan = mixed(3, EVERYTHING, 2 * len(EVERYTHING), 200)
    assert sorted((fault.kind, fault.part) for fault in plan) == sorted(2 * EVERYTHING)
    frozen = [fault.seconds for fault in plan if fault.kind in {Kind.FREEZE, Kind.FREEZE_CHILD}]
    assert 5 <= min(frozen) < max(frozen) <= 60
    assert {fault.kind for fault in plan if fault.part == STORE} == {Kind.KILL, Kind.FREEZE}


def test_kills_are_as_many_as_asked_for() -> None:
    plan = kills(1, [("worker", 150), ("worker-2", 150), (BROKER, 60)], 8)
    assert [sum(fault.part == part for fault in plan) for part in (*WORKERS, BROKER)] == [150, 150, 60]
    assert {fault.part for fault in plan[:20]} > {"worker"}, "in a random order"


def test_a_run_that_did_not_carry_out_its_plan_shows_nothing() -> None:
    plan = mixed(3, EVERYTHING, 2 * len(EVERYTHING), 200)
    events = [Event(fault, begun=0) for fault in plan]
    assert not missing(plan, events)
    assert not missing(plan, events[: len(EVERYTHING) + 7]), "each kind, and two thirds"
    assert missing(plan, events[: len(EVERYTHING)]) == [f"{len(EVERYTHING)} of {len(plan)} planned events done"]
    for kind, part in ((Kind.KILL, STORE), (Kind.FREEZE, STORE), (Kind.PUBLISH, INDEXER)):
        others = [event for event in events if (event.fault.kind, event.fault.part) != (kind, part)]
        assert missing(plan, others) == [f"{part} {kind}: planned, never done"]
    events[0].done = False
    assert not missing(plan, events), "the other pack had it"
    assert missing(plan[:1], events[:1])


class Bursts:
    """A stage that publishes only, whose batches are seen to end by twenties, as behind a broker that stood still."""

    parts: ClassVar[dict[str, Part]] = {}
    tasks = tuple(map(str, range(100)))

    def __init__(self) -> None:
        self.published = self.looks = self.ended = 0

    def publish(self) -> None:
        self.published += 1

    def sent(self) -> bool:
        return True

    def look(self) -> int:
        self.looks += 1
        self.ended = self.looks // 100 * 20
        return self.ended

    def close(self) -> None:
        pass


def test_a_plan_is_carried_out_though_batches_end_in_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Bursts()
    monkeypatch.setattr(chaos_run, "Watch", lambda stage: stage)
    monkeypatch.setattr(chaos_run, "TICK", 0.001)
    run = Run(cast(Stage, stage), mixed(1, [(Kind.PUBLISH, INDEXER)], 20, len(stage.tasks)), 60, lambda _: None)
    assert run.go()
    assert stage.published == len(run.events) == 20


def test_what_a_burst_owes_does_not_happen_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Bursts()
    monkeypatch.setattr(chaos_run, "Watch", lambda stage: stage)
    monkeypatch.setattr(chaos_run, "TICK", 0.001)
    plan = mixed(1, [(Kind.PUBLISH, INDEXER)], 5, len(stage.tasks))
    run = Run(cast(Stage, stage), plan, 60, lambda _: None, apart=0.05)
    assert run.go()
    begun = [event.begun for event in run.events]
    assert len(begun) > 2
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(begun))


class Starting:
    """A worker that has no child at first."""

    ended = None

    def __init__(self) -> None:
        self.looks = self.killed = 0

    def children(self) -> list[Starting]:
        self.looks += 1
        return [self] if self.looks > 150 else []

    def kill(self) -> None:
        self.killed += 1


def test_what_befalls_a_child_waits_until_there_is_one_and_holds_nothing_else_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, worker = Bursts(), Starting()
    monkeypatch.setattr(stage, "parts", {"worker": worker}, raising=False)
    monkeypatch.setattr(chaos_run, "Watch", lambda stage: stage)
    monkeypatch.setattr(chaos_run, "TICK", 0.001)
    plan = [Fault(Kind.KILL_CHILD, "worker", 0.0, 1), Fault(Kind.PUBLISH, INDEXER, 0.0, 1)]
    run = Run(cast(Stage, stage), plan, 60, lambda _: None)
    assert run.go()
    assert [event.fault.kind for event in run.events] == [Kind.PUBLISH, Kind.KILL_CHILD]
    assert worker.killed == 1
    assert not missing(plan, run.events)


def ended(*names: str, status: Status = Status.NO_MATCH) -> TaskEnd:
    result = RecognizeResult(outcomes=[Outcome(image=name, status=status) for name in names])
    return TaskEnd("SUCCESS", result.model_dump(mode="json"), "")


ALL = tuple(f"sleep:{number}" for number in range(IMAGES))


@pytest.mark.parametrize(
    ("end", "wrong"),
    [
        (ended(*ALL), []),
        (None, ["lost"]),
        (ended(*ALL[:-1]), ["lost"]),
        (ended(*ALL, ALL[0]), ["doubled"]),
        (ended(*ALL, status=Status.FAILED), ["differing"]),
        (TaskEnd("FAILURE", None, "worker_killed"), ["differing"]),
    ],
)
def test_a_batch_of_stand_ins_is_judged(end: TaskEnd | None, wrong: list[str]) -> None:
    found = Judgement(IMAGES)
    judge_batch("task", end, IMAGES, found)
    assert [name for name in ("lost", "doubled", "differing") if getattr(found, name)] == wrong
    assert found.holds is not bool(wrong)


def row(confidence: float, product: str, version: str) -> Row:
    outcome = Outcome(
        image="s3://b/k", status=Status.MATCHED, product=Product(id=product, name=""), confidence=confidence,
        provenance=Provenance(catalog="default", catalog_version=version, embedder="e", spotter="s"),
    )  # fmt: skip
    return Row("job", 0, "007_c-00011.jpg", outcome)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (row(0.9, "401", "v1"), True),
        (row(0.9 + TOLERANCE / 2, "401", "v1"), True),
        (row(0.9 + 2 * TOLERANCE, "401", "v1"), False),
        (row(0.9, "402", "v1"), False),
        (row(0.9, "402", "v2"), True),
        (row(0.9, "401", "v3"), False),
    ],
)
def test_an_outcome_is_compared_with_that_of_its_own_version(given: Row, same: bool) -> None:
    products = {"v1": "401", "v2": "402"}
    quiet = {(version, "007"): Answer(Status.MATCHED, product, 0.9, "", version) for version, product in products.items()}
    found = Judgement(1)
    compare([given], quiet, found)
    assert found.holds is same


def test_recovery_runs_from_the_end_of_an_event_to_the_end_of_the_next_batch() -> None:
    fault = Fault(Kind.KILL, BROKER, 0, 0)
    first, second, last = (Event(fault, begun=begun, ended=done) for begun, done in ((10, 12), (11, 20), (50, 51)))
    recoveries([first, second, last], [11.5, 15.0, 21.0])
    assert (first.recovered, second.recovered, last.recovered) == (3.0, 1.0, None)
    assert (first.beside, second.beside) == (1, 0)
