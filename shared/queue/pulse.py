"""What each child has in work, and by when it will have ended: said by the thread that works, read by the child's parent.

A child writes its word into a file of its own, in a folder that its parent makes: one write for it, one read of 16 bytes for the
parent. No thread beside the work repeats it, since that would go on while the work hangs; each word says how long it holds
instead, so that a native call may take as long as its photos may, and no longer.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = "PACKSIGHT_PULSES"
"""Variable by which children, which are spawned, are told of the folder."""

_WORD = struct.Struct("=dII")
_PREFIX = "packsight-pulses-"
_LOCK = "lock"
"""File that a parent keeps locked while it lives."""
_YOUNG = 60.0
"""Seconds in which a folder may not be locked yet."""


@dataclass(frozen=True, slots=True)
class Work:
    """Photos of a message that are in work together.

    start, stop: their places, from the first to before the last's next. due: seconds on the clock of time.monotonic, which the
    processes of a machine share.
    """

    start: int
    stop: int
    due: float

    @property
    def overdue(self) -> bool:
        """Whether they have taken longer than they may."""
        return time.monotonic() > self.due


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever works on a message: a process, of a parent whose name no other has had."""

    parent: str
    pid: int

    def __str__(self) -> str:
        return f"{self.parent}:{self.pid}"


class Pulse:
    """The word of this process. folder: where its parent looks for it; None where nobody looks."""

    def __init__(self, folder: Path | None = None) -> None:
        self.holder = Holder(folder.name if folder else uuid.uuid4().hex, os.getpid())
        self._file = _path(folder, os.getpid()).open("wb", buffering=0) if folder else None

    @classmethod
    def of_child(cls) -> Pulse:
        """The word of a worker's child."""
        return cls(Path(os.environ[FOLDER]) if FOLDER in os.environ else None)

    @contextmanager
    def working(self, start: int, stop: int, seconds: float) -> Iterator[None]:
        """Say that photos are in work and will have ended in so many seconds; nothing is taken back where the process dies."""
        self._say(_WORD.pack(time.monotonic() + seconds, start, stop))
        try:
            yield
        except Exception:
            self._say(b"")
            raise
        self._say(b"")

    def close(self) -> None:
        """Say nothing any more, at an orderly end."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)

    def _say(self, word: bytes) -> None:
        if self._file is not None:
            os.pwrite(self._file.fileno(), word.ljust(_WORD.size, b"\0"), 0)


class Pulses:
    """The words of this process's children."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """The folder that children share with this process."""
        return self._folder

    def holder(self, pid: int) -> Holder:
        """What a child is called."""
        return Holder(self._folder.name, pid)

    def work(self, pid: int) -> Work | None:
        """What a child has in work, or had when it died; None when that is nothing, or when it never said."""
        try:
            word = _path(self._folder, pid).read_bytes()
        except OSError:
            return None
        due, start, stop = _WORD.unpack(word) if len(word) == _WORD.size else (0.0, 0, 0)
        return Work(start, stop, due) if stop > start else None

    def forget(self, pid: int) -> None:
        """Remove the word of a child that has died."""
        with suppress(OSError):
            _path(self._folder, pid).unlink()


@lru_cache(maxsize=1)
def pulses() -> Pulses:
    """Those of this process, a worker's parent; it calls this before it has children."""
    place = Path(tempfile.gettempdir())
    _sweep(place)
    made = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place)
    folder = Path(made.name)
    lock = (folder / _LOCK).open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    _held.extend((made, lock))
    os.environ[FOLDER] = made.name
    return Pulses(folder)


_held: list[object] = []
"""The folder of this process, removed when it ends in order, and its lock, which ends with it in any case."""


def _sweep(place: Path) -> None:
    """Remove the folders of parents that were killed."""
    for folder in place.glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < _YOUNG:
                continue
            with (folder / _LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # it lives, or is another user's
            continue
        shutil.rmtree(folder, ignore_errors=True)


def _path(folder: Path, pid: int) -> Path:
    return folder / str(pid)
