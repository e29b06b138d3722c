"""Slow photos have the patience of their batch, and no more."""

from __future__ import annotations

import time

import pytest

from packsight.shared.storage import deadline
from packsight.worker.pipeline.patience import Patience


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


def test_photos_use_up_what_a_batch_has_and_then_get_the_least_each(clock: Clock) -> None:
    patience = Patience(30, least=4)
    allowed = []
    for _ in range(4):
        with patience.fetching():
            allowed.append(deadline.remaining())
            clock.now += 14
    assert allowed == [30, 16, 4, 4]
    assert deadline.remaining() == float("inf")


def test_photos_that_come_at_once_take_nothing_from_the_others(clock: Clock) -> None:
    patience = Patience(30, least=4)
    for _ in range(100):
        with patience.fetching():
            clock.now += 0.01
    with patience.fetching():
        assert deadline.remaining() == pytest.approx(29)


def test_the_time_of_a_photo_that_failed_is_counted(clock: Clock) -> None:
    patience = Patience(30, least=4)
    with pytest.raises(TimeoutError), patience.fetching():
        clock.now += 29
        raise TimeoutError
    with patience.fetching():
        assert deadline.remaining() == 4


def test_a_shorter_deadline_of_the_photo_itself_stays(clock: Clock) -> None:
    with deadline.within(2), Patience(30, least=4).fetching():
        assert deadline.remaining() == 2
