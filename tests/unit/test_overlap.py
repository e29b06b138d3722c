"""Work ahead and behind: in order, bounded, and going on while others are busy."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from packsight.shared.overlap import postprocess, prefetch, started


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as one:
        yield one


def all_done(pool: ThreadPoolExecutor) -> None:
    """Wait for what was submitted so far: the pool has one thread."""
    pool.submit(int).result()


def test_groups_come_in_order_and_none_is_larger_than_asked(pool: ThreadPoolExecutor) -> None:
    groups = []
    for group in prefetch(pool, str, range(11), most=5, group=3):
        groups.append(group)
        all_done(pool)
    assert [item for group in groups for item in group] == [str(number) for number in range(11)]
    assert max(map(len, groups)) == 3


def test_the_next_items_are_worked_on_while_a_group_is_dealt_with(pool: ThreadPoolExecutor) -> None:
    begun: list[int] = []
    groups = prefetch(pool, begun.append, range(100), most=4, group=2)
    taken = 0
    for _ in range(5):
        taken += len(next(groups))
        all_done(pool)
        assert len(begun) == taken + 4


def test_work_is_begun_ahead_of_whoever_asks_and_nobody_waits_for_it(pool: ThreadPoolExecutor) -> None:
    begun: list[int] = []
    gate = Event()

    def work(number: int) -> int:
        gate.wait(30)
        begun.append(number)
        return number

    futures = started(pool, work, range(10), most=3)
    first = next(futures)
    assert not first.done()
    gate.set()
    assert first.result() == 0
    all_done(pool)
    assert begun == [0, 1, 2, 3]
    assert [future.result() for future in futures] == list(range(1, 10))


def test_no_items_give_no_groups(pool: ThreadPoolExecutor) -> None:
    assert list(prefetch(pool, str, [], most=4, group=2)) == []


def test_an_error_comes_out_where_its_item_would(pool: ThreadPoolExecutor) -> None:
    groups = prefetch(pool, lambda number: 1 // number, [1, 1, 0], most=1, group=1)
    assert [next(groups), next(groups)] == [[1], [1]]
    with pytest.raises(ZeroDivisionError):
        next(groups)


def test_few_results_wait_behind(pool: ThreadPoolExecutor) -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    results = postprocess(pool, str, items(), most=3)
    assert next(results) == "0"
    assert len(asked) == 4
    assert [*results] == [str(number) for number in range(1, 10)]
