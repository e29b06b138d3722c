"""The end of processes that a stack started."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping

import psutil

from packsight.deploy.stack.state import Part

_LOOK = 0.02
"""Seconds between two looks at processes that are to end."""
FAMILY = 2.0
"""Seconds that what a part started may live on after it."""
_KILLED = 5.0
"""Seconds within which the system ends what was killed."""


def end(parts: list[Part]) -> list[str]:
    """End processes with their descendants: TERM to all at once, KILL to what is left after its time.

    Returns the names of parts that had to be killed. A process that took over the pid of an ended part is left alone.
    """
    names: dict[psutil.Process, str] = {}
    seconds: dict[psutil.Process, float] = {}
    family: list[psutil.Process] = []
    for part in parts:
        process = part.process()
        if process is None:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            family += process.children(recursive=True)
            process.terminate()
            names[process], seconds[process] = part.name, part.stop_seconds
    left = still_alive(seconds)
    # psutil compares start times before it signals, so a child's pid that was given to another process is safe too.
    kill([*left, *still_alive(dict.fromkeys(family, FAMILY))])
    return [names[process] for process in left]


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill them, and return when they have ended."""
    processes = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    still_alive(dict.fromkeys(processes, _KILLED))


def still_alive(seconds: Mapping[psutil.Process, float]) -> list[psutil.Process]:
    """Wait for the end of each of these processes for so long; returns those that are alive then.

    One that has ended is not waited for until somebody reaps it: whose parent has ended before is adopted by the first process
    of the machine or container, and some of those reap late, others never.
    """
    begun = time.monotonic()
    waiting, left = dict(seconds), []
    while waiting:
        waiting = {process: limit for process, limit in waiting.items() if _is_alive(process)}
        late = [process for process, limit in waiting.items() if time.monotonic() - begun >= limit]
        left += late
        for process in late:
            del waiting[process]
        if waiting:
            time.sleep(_LOOK)
    return left


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        alive: bool = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return alive
    return False
