"""A breaker opens at the first outage, looks again, and closes when what was away is back."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Iterator

import pytest

from packsight.shared.contract.errors import Dependency, Outage
from packsight.shared.contract.messages import DESCRIBE_QUEUE, WORKER_QUEUES
from packsight.worker.process import outages
from packsight.worker.process.breakers import BreakerParameters, Breakers

QUICK = BreakerParameters(first=0.01, most=0.05, steady=60)


class Storage:
    """Something that may be away."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.asked = 0

    def answers(self) -> bool:
        self.asked += 1
        return self.back.is_set()


@pytest.fixture
def storage() -> Iterator[Storage]:
    made = Storage()
    yield made
    made.back.set()  # so that nobody looks for it any longer


def breakers(storage: Storage, changed: threading.Semaphore, rules: BreakerParameters = QUICK) -> Breakers:
    return Breakers({Dependency.STORE: storage.answers}, changed.release, rules)


def test_work_is_taken_again_as_soon_as_what_was_away_answers(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    changed = threading.Semaphore(0)
    made = breakers(storage, changed)
    assert made.away == set()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):  # the batches of all children
            made.trip(Outage(Dependency.STORE, "no route"))
        assert changed.acquire(timeout=30)
        assert made.told() == {"object storage": "no route"}
        while storage.asked < 3:
            assert made.told()
        storage.back.set()
        assert changed.acquire(timeout=30)
    assert made.away == set() and made.told() == {}
    assert [vars(record)["action"] for record in caplog.records] == ["outage_began", "outage_ended"]


def test_an_outage_that_is_not_over_is_waited_for_longer(storage: Storage) -> None:
    changed, storage_back = threading.Semaphore(0), storage.back
    made = breakers(storage, changed, BreakerParameters(first=0.01, most=0.04, steady=60))
    storage_back.set()
    pauses = []
    for _ in range(4):
        made.trip(Outage(Dependency.STORE, "away"))
        pauses.append(made._breakers[Dependency.STORE].pause)
        assert changed.acquire(timeout=30) and changed.acquire(timeout=30)
    assert pauses == [0.01, 0.02, 0.04, 0.04]


def test_a_probe_that_fails_is_a_probe_that_says_no(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([ValueError("broken"), True])
    changed = threading.Semaphore(0)

    def probe() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    made = Breakers({Dependency.CATALOG: probe}, changed.release, QUICK)
    made.trip(Outage(Dependency.CATALOG, "refused"))
    assert changed.acquire(timeout=30) and changed.acquire(timeout=30)
    assert made.away == set()


def test_an_outage_goes_to_another_process_without_what_was_done() -> None:
    outage = pickle.loads(pickle.dumps(Outage(Dependency.STORE, "no route", {"a": object()})))
    assert (outage.dependency, outage.detail, dict(outage.finished)) == (Dependency.STORE, "no route", {})


def test_while_a_catalog_is_refused_photos_are_described_for_the_version_that_is_waited_for(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = BreakerParameters(first=0.2)
    made = Breakers(dict.fromkeys(Dependency, storage.answers), parameters=slow)
    monkeypatch.setattr(outages, "outages", lambda: made)
    made.trip(Outage(Dependency.CATALOG, "made by an older release"))
    assert [queue for queue in WORKER_QUEUES if outages.takes(queue)] == [DESCRIBE_QUEUE]
    made.trip(Outage(Dependency.STORE, "no route"))
    assert not any(map(outages.takes, WORKER_QUEUES))
    assert outages.takes("a question to the worker")
