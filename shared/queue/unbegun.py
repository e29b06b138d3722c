"""Children that hang between tasks: they were handed a message and do not begin with it, so that no limit of Celery's runs."""

from __future__ import annotations

import logging
import os
import signal
import time

from celery.worker import state

log = logging.getLogger(__name__)


class Unbegun:
    """Looks at what was handed over, and kills a child that has not begun with it in time; the pool gives it to another one.

    limit: seconds; an idle child begins within milliseconds, so that many are no sign of a busy machine.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._since: dict[str, float] = {}

    @property
    def period(self) -> float:
        """Seconds between two looks."""
        return self._limit / 4

    def look(self) -> None:
        """Look once; called by the event loop."""
        now, waiting = time.monotonic(), dict[str, float]()
        for request in tuple(state.reserved_requests):
            job = getattr(request, "_apply_result", None)
            job = job() if job is not None else None  # Celery keeps a weak reference
            if job is None or job._accepted or job.ready():
                continue
            child = job._write_to or job._scheduled_for
            if child is None:  # nobody is free
                continue
            waiting[request.id] = self._since.get(request.id, now)
            if now - waiting[request.id] >= self._limit and child._is_alive():
                log.error("process %s has not begun with %s[%s] and is killed", child.pid, request.name, request.id)
                os.kill(child.pid, signal.SIGKILL)
                del waiting[request.id]
        self._since = waiting
