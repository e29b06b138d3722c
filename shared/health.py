"""Is a worker or the indexer of this machine well? What its parent process writes of itself, and the one question about it.

    HOME/health/<node>.json    one block, locked by its process as long as that lives, written over every few seconds

Whoever restarts what is sick asks this: the local stack's supervisor, the health checks of containers, probes of Kubernetes. They
ask often, and while broker and result database are away, so the answer needs this file and the standard library alone. It is
written in place, so that a full disk silences nobody; the lock tells a living process from another that has its pid; times are
the machine's monotonic clock, so that setting the time makes nobody old.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

SILENT = 30.0
"""Seconds without a word after which a process counts as frozen: it says something every 2 s, every 12 while Redis is frozen."""
END_AFTER = 30.0
"""Seconds of sickness after which a process should be ended: less may be a machine that stood still for a moment."""
_BLOCK = 16_384
"""Bytes of a report: room for some ten sentences."""
_PATIENCE = 2.0
"""Seconds for which a lock may be held by somebody who asks, or by a predecessor that is just ending."""
_LEFT_BEHIND = 24 * 3600.0
"""Seconds after which the file of a process that is gone is removed: each new container has a host name of its own."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a process says of itself. Times are of time.monotonic."""

    pid: int
    at: float
    ready: bool = False
    """Whether it has worked with all that belongs to it: a worker with all its children, the indexer with its queue."""
    stopping: bool = False
    complaints: dict[str, float] = field(default_factory=dict)
    """What is wrong that a restart may mend, and since when it is."""
    notes: tuple[str, ...] = ()
    """What else is worth knowing: a dependency that is away."""


@dataclass(frozen=True, slots=True)
class Health:
    """The answer."""

    well: bool
    text: str
    """One sentence."""
    ready: bool = False
    pid: int | None = None
    """Of the living process; None when there is none."""
    sick_for: float = 0.0
    """Seconds."""


class Diary:
    """Where a living process writes its reports; raises OSError when another one of the same name does already."""

    def __init__(self, home: Path, name: str) -> None:
        path = _path(home, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy(path.parent)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(self._file)
        except BlockingIOError:
            self.close()
            raise

    def write(self, report: Report) -> None:
        """Write a report in the place of the last one."""
        os.pwrite(self._file, json.dumps(asdict(report), ensure_ascii=False).encode().ljust(_BLOCK)[:_BLOCK], 0)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)


def ask(home: Path, name: str) -> Health:
    """How a process of this machine is, by its node's name."""
    report = _read(home, name)
    if report is None:
        return Health(well=False, text=f"{name} does not run here; if it should, start it, or correct --name and --home ({home})")
    silent = time.monotonic() - report.at
    if report.stopping:
        return Health(well=True, text=f"{name} is stopping", pid=report.pid)
    if silent > SILENT:
        text = f"{name}: process {report.pid} has said nothing for {silent:.0f} s: it is frozen"
        return Health(well=False, text=text, pid=report.pid, sick_for=silent - SILENT)
    if report.complaints:
        text = f"{name}: {'; '.join(report.complaints)}"
        sick_for = time.monotonic() - min(report.complaints.values())
        return Health(well=False, text=text, ready=report.ready, pid=report.pid, sick_for=sick_for)
    text = "; ".join([f"{name} is {'well' if report.ready else 'starting'}", *report.notes])
    return Health(well=True, text=text, ready=report.ready, pid=report.pid)


def end(pid: int) -> None:
    """End a process that is sick: it may be unable to hear anything less. Its children end with it, its messages come back."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _path(home: Path, name: str) -> Path:
    return home / "health" / f"{name.replace('/', '_')}.json"


def _read(home: Path, name: str) -> Report | None:
    """The report of a living process; one that has just begun and said nothing yet counts as none."""
    try:
        with _opened(_path(home, name)) as file:
            if not _is_locked(file):
                return None
            return Report(**json.loads(os.pread(file, _BLOCK, 0)))
    except (OSError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


def _lock(file: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _tidy(folder: Path) -> None:
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError), _opened(path) as file:
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND and not _is_locked(file):
                path.unlink()
