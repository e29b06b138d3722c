"""Slow photos have the patience of their batch, and no more."""

from __future__ import annotations

import time

import pytest

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.storage import deadline
from packsight.worker.pipeline.patience import Patience

PHOTO = "s3://b/a.jpg"


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
        with patience.fetching(PHOTO):
            allowed.append(deadline.remaining())
            clock.now += 14
    assert allowed == [30, 16, 4, 4]
    assert deadline.remaining() == float("inf")


def test_photos_that_come_at_once_take_nothing_from_the_others(clock: Clock) -> None:
    patience = Patience(30, least=4)
    for _ in range(100):
        with patience.fetching(PHOTO):
            clock.now += 0.01
    with patience.fetching(PHOTO):
        assert deadline.remaining() == pytest.approx(29)


def test_the_time_of_a_photo_that_failed_is_counted(clock: Clock) -> None:
    patience = Patience(30, least=4)
    with pytest.raises(TimeoutError), patience.fetching(PHOTO):
        clock.now += 29
        raise TimeoutError
    with patience.fetching(PHOTO):
        assert deadline.remaining() == 4


def test_a_shorter_deadline_of_the_photo_itself_stays(clock: Clock) -> None:
    with deadline.within(2), Patience(30, least=4).fetching(PHOTO):
        assert deadline.remaining() == 2


def timed_out(patience: Patience, reference: str) -> None:
    with pytest.raises(ImageError), patience.fetching(reference):
        raise ImageError(ErrorCode.FETCH_TIMEOUT, "not read in time")


def left(patience: Patience, reference: str) -> float:
    with patience.fetching(reference):
        return deadline.remaining()


def test_photos_of_a_host_of_which_one_did_not_come_in_time_have_the_least_and_those_of_others_all(clock: Clock) -> None:
    patience = Patience(30, least=4)
    timed_out(patience, "https://Slow.example/1.jpg")
    assert left(patience, "https://slow.example/2.jpg?size=9") == 4
    assert left(patience, "https://slow.example:8443/2.jpg") == 30
    assert left(patience, "https://quick.example/1.jpg") == 30


def test_our_own_store_is_never_taken_for_a_slow_host(clock: Clock) -> None:
    patience = Patience(30, least=4)
    timed_out(patience, "s3://b/1.jpg")
    assert left(patience, "s3://b/2.jpg") == 30


def test_a_host_that_fails_at_once_is_not_slow(clock: Clock) -> None:
    patience = Patience(30, least=4)
    with pytest.raises(ImageError), patience.fetching("https://odd.example/1.jpg"):
        raise ImageError(ErrorCode.HTTP_STATUS, "status 500")
    assert left(patience, "https://odd.example/2.jpg") == 30
