"""Children that do nothing with what they were handed: they do not begin, are stopped, or take longer than they may.

Each is killed and replaced, and its message put back: by its parent, which lives, and therefore sooner or later, whatever has
befallen the child. So the parent may renew what its children hold: none of it is held by a dead one for long.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import Any

from celery.worker import state

from packsight.shared.queue.pulse import Pulses

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks at most. A look at a child takes some microseconds."""


class Watchdog:
    """Looks at what was handed to the children of a pool, Celery's.

    pulses: what they say. limit: seconds for which a child may be stopped, or not begin with what it was handed: an idle one
    begins within milliseconds, so that many are no sign of a busy machine.
    """

    def __init__(self, pool: Any, pulses: Pulses, limit: float) -> None:
        self._pool, self._pulses, self._limit = pool, pulses, limit
        self._since: dict[tuple[str, int], float] = {}

    @property
    def period(self) -> float:
        """Seconds between two looks."""
        return min(self._limit / 4, PERIOD)

    def look(self) -> None:
        """Look once; called by the event loop."""
        idle = dict[tuple[str, int], float]()
        for request in tuple(state.reserved_requests):
            job = request._apply_result and request._apply_result()  # Celery keeps a weak reference
            if job is None or job.ready():
                continue
            if job._accepted:
                self._look_at_work(request, job, idle)
            else:
                self._look_at_handover(request, job, idle)
        self._since = idle

    def _look_at_handover(self, request: Any, job: Any, idle: dict[tuple[str, int], float]) -> None:
        child = job._write_to or job._scheduled_for
        # What is still to be sent is in nobody's hands. Where it was meant for a child that died, the pool names the next
        # one with the same file descriptor, which may be starting yet, or at work with another message.
        if child is None or job in self._pool._pool.outbound_buffer:
            return
        if self._is_out_of_time(request, child.pid, idle) and child._is_alive():
            # The pool gives the message to another child.
            self._kill(child.pid, "has not begun with", request)

    def _look_at_work(self, request: Any, job: Any, idle: dict[tuple[str, int], float]) -> None:
        pid = job._worker_pid
        work = self._pulses.work(pid)
        if work is not None and work.overdue:
            what = "has taken too long for" if work.span else "stands still beside the photos of"
            log.error("process %s %s %s[%s] and is killed", pid, what, request.name, request.id, extra=_KILLED)
            # Ends the task in the parent first, so that the message goes back even where the child cannot be killed.
            self._pool._pool.on_hard_timeout(job)
        elif _is_stopped(pid) and self._is_out_of_time(request, pid, idle):
            request.blameless = True  # whoever stops a process, no photo does
            self._kill(pid, "is stopped in", request)

    def _is_out_of_time(self, request: Any, pid: int, idle: dict[tuple[str, int], float]) -> bool:
        now = time.monotonic()
        since = idle[request.id, pid] = self._since.get((request.id, pid), now)
        return now - since >= self._limit

    def _kill(self, pid: int, why: str, request: Any) -> None:
        log.error("process %s %s %s[%s] and is killed", pid, why, request.name, request.id, extra=_KILLED)
        os.kill(pid, signal.SIGKILL)


_KILLED = {"action": "child_killed"}


def _is_stopped(pid: int) -> bool:
    """Whether a child of ours is stopped, as by SIGSTOP; False where the system cannot tell."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False
