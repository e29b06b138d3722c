"""Threads around one that asks, as the networks: they work on some items ahead of it and some behind, all in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def started(pool: Executor, work: Callable[[S], T], items: Iterable[S], *, most: int) -> Iterator[Future[T]]:
    """Yield work in order that has begun, waiting for none of it; up to `most` more are begun before they are asked for."""
    waiting: deque[Future[T]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > most:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def prefetch(pool: Executor, work: Callable[[S], T], items: Iterable[S], *, most: int, group: int) -> Iterator[list[T]]:
    """Yield results in groups of up to `group` that are ready, so as to wait for one at most.

    Up to `most` items are worked on before their turn, also while the one who asked is busy with a group.
    """
    unasked = iter(items)
    waiting: deque[Future[T]] = deque()

    def refill() -> None:
        for item in islice(unasked, most - len(waiting)):
            waiting.append(pool.submit(work, item))

    refill()
    while waiting:
        ready = [waiting.popleft().result()]
        while waiting and waiting[0].done() and len(ready) < group:
            ready.append(waiting.popleft().result())
        refill()
        yield ready


def postprocess(pool: Executor, work: Callable[[S], T], items: Iterable[S], *, most: int) -> Iterator[T]:
    """Work on items as they come, while the next ones are being made; up to `most` wait for it."""
    return (future.result() for future in started(pool, work, items, most=most))
