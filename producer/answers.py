"""Waiting for the ends of single tasks, many at a time: one look at the result database for all that wait."""

from __future__ import annotations

import os
import threading
import time
import weakref
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillWaiting

from redis.exceptions import AuthenticationError

from packsight.producer.backoff import PATIENCE, UNANSWERED, GivenUpError
from packsight.shared.queue.results import Results, TaskEnd

_SHORTEST, _LONGEST = 0.004, 0.05
"""Seconds between two looks: a photo that was seen before is answered within some 20 ms, others take a second."""
_SLOWER = 1.2
"""By how much the pause grows with each look that finds nothing."""
_ALL: weakref.WeakSet[Answers] = weakref.WeakSet()


class Answers:
    """Looks for the ends of tasks in a thread of its own, which lives while somebody waits."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        self._waiting: dict[str, Future[TaskEnd]] = {}
        self._changed = threading.Condition()
        self._looking = False
        self._error: Exception | None = None

    def wait(self, task_id: str, seconds: float) -> TaskEnd | None:
        """Return how a task ended; None when it has not within so many seconds.

        An outage of the database is waited out; raises its error when it lasts until then, and any other at once, as that it
        refuses the password. Raises GivenUpError once the caller's patience is lost.
        """
        end: Future[TaskEnd] = Future()
        with self._changed:
            self._waiting[task_id] = end
            self._changed.notify()
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name="answers", daemon=True).start()
        try:
            with PATIENCE.get().told(lambda: self._give_up(task_id)):
                return end.result(seconds)
        except StillWaiting:
            if self._error is not None:
                raise self._error from None
            return None
        finally:
            with self._changed:
                self._waiting.pop(task_id, None)

    def _give_up(self, task_id: str) -> None:
        with self._changed:
            end = self._waiting.pop(task_id, None)
        if end is not None:
            end.set_exception(GivenUpError())

    def _look(self) -> None:
        try:
            self._look_on()
        except Exception as error:  # nothing that passes: whoever waits hears of it, and whoever comes next has another look
            with self._changed:
                self._looking = False
                for end in self._waiting.values():
                    if not end.done():
                        end.set_exception(error)
                self._waiting.clear()

    def _look_on(self) -> None:
        pause = _SHORTEST
        while True:
            with self._changed:
                if not self._waiting:
                    self._looking = False
                    return
                waiting = list(self._waiting)
            ends = self._read(waiting)
            with self._changed:
                for task_id, end in ends.items():
                    if (future := self._waiting.pop(task_id, None)) is not None:
                        future.set_result(end)
                newly = self._changed.wait(pause)
            pause = _SHORTEST if newly or ends else min(_LONGEST, pause * _SLOWER)

    def _read(self, task_ids: list[str]) -> dict[str, TaskEnd]:
        try:
            found = self._results.read(task_ids)
        except AuthenticationError:  # which redis-py counts among lost connections
            raise
        except UNANSWERED as error:
            self._error = error
            time.sleep(_LONGEST)
            return {}
        self._error = None
        return found


def _begin_anew() -> None:
    """A forked child has none of its parent's threads, and nobody in it waits yet."""
    for answers in _ALL:
        answers._begin()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
