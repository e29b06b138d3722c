"""Memory that is shared out: bounded together, one at a time where one needs all of it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from packsight.shared.vision.room import Room


def most_together(amounts: list[int], size: int) -> int:
    """The most that was taken at a time by as many threads; each holds its share until it was seen."""
    room, lock = Room(), threading.Lock()
    now = most = 0

    def take(amount: int) -> None:
        nonlocal now, most
        with room.taken(amount, size):
            with lock:
                now += amount
                most = max(most, now)
            threading.Event().wait(0.002)
            with lock:
                now -= amount

    with ThreadPoolExecutor(len(amounts)) as pool:
        list(pool.map(take, amounts))
    return most


def test_what_threads_take_together_is_bounded() -> None:
    assert most_together([3] * 24, 10) <= 9


def test_what_needs_more_than_there_is_has_it_alone() -> None:
    assert most_together([50, 3, 50, 3, 3, 50], 10) == 50


def test_those_that_fit_hold_theirs_at_the_same_time() -> None:
    room, together = Room(), threading.Barrier(3)

    def take(_: int) -> None:
        with room.taken(3, 10):
            together.wait(30)

    with ThreadPoolExecutor(3) as pool:
        assert len(list(pool.map(take, range(3)))) == 3


def test_room_is_free_again_after_an_error() -> None:
    room = Room()
    for _ in range(3):
        with pytest.raises(ValueError, match="damaged"), room.taken(10, 10):
            raise ValueError("damaged")
    with room.taken(10, 10):
        pass
