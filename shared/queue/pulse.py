"""What each child has in work, and by when it will have ended: said by the thread that works, read by the child's parent.

A child writes its word into a file of its own, in a folder that its parent makes: one write for it, one read of 32 bytes for the
parent. No thread beside the work repeats it, since that would go on while the work hangs; each word says how long it holds
instead, so that a native call may take as long as its photos may, and no longer. Of a large batch that is long: a second word
beside it is of those photos that a stage, or a thread, has before it now. What a child does beside photos, as storing its result,
has a word without any, which is said anew before each of the things that it may wait for.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType

FOLDER = "PACKSIGHT_PULSES"
"""Variable by which children, which are spawned, are told of the folder."""

_WORD = struct.Struct("=dIIdII")
_NOTHING = (0.0, 0, 0)
_PREFIX = "packsight-pulses-"
_LOCK = "lock"
"""File that a parent keeps locked while it lives."""
Limit = Callable[[int], float]
NOWHERE: Mapping[str, int] = MappingProxyType({})
_YOUNG = 60.0
"""Seconds in which a folder may not be locked yet."""


@dataclass(frozen=True, slots=True)
class Work:
    """Photos of a message that are in work together, or none while something is done for it beside them.

    start, stop: their places, from the first to before the last's next. due: seconds on the clock of time.monotonic, which the
    processes of a machine share. part: those of them that are next to be ended.
    """

    start: int
    stop: int
    due: float
    part: Work | None = None

    @property
    def span(self) -> tuple[int, int] | None:
        """Places of the photos; None where there are none."""
        return (self.start, self.stop) if self.stop > self.start else None

    @property
    def overdue(self) -> bool:
        """Whether it has taken longer than it may, or some of the photos have."""
        return time.monotonic() > self.due or (self.part is not None and self.part.overdue)

    @property
    def late_part(self) -> tuple[int, int] | None:
        """Places of some of them that have taken longer than they may, when all of them have not."""
        part = self.part
        if part is None or not part.overdue or time.monotonic() > self.due or (part.start, part.stop) == (self.start, self.stop):
            return None
        return part.start, part.stop


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
        self._lock = threading.Lock()
        self._work: Work | None = None
        self._parts: dict[int, Work] = {}
        self._places: Mapping[str, int] = NOWHERE
        self._limit: Limit = lambda _: 0.0
        self._seconds: float | None = None
        self._say()  # so that its room on the disk is taken

    def begin(self, seconds: float) -> None:
        """Say that a message is in hand; seconds: how long a word holds while none of its photos are in work."""
        self._seconds = seconds
        self._begin(self._beside())

    def renew(self) -> None:
        """Say anew that something is done beside photos; nothing while there are some in work, or no message is in hand."""
        if self._work is not None and self._work.span is None:
            self._begin(self._beside())

    def end(self) -> None:
        """Say that no message is in hand; photos that a process dies over stay said."""
        self._seconds = None
        if self._work is not None and self._work.span is None:
            self._begin(None)

    @contextmanager
    def working(self, start: int, stop: int, limit: Limit, places: Mapping[str, int] = NOWHERE) -> Iterator[None]:
        """Say that photos are in work and by when they will have ended; nothing is taken back where the process dies.

        limit: seconds that so many may take. places: of photos by what they are called, as `part` is told of them.
        """
        self._limit, self._places = limit, places
        self._begin(self._photos(start, stop))
        with self._at_last(self._beside):
            yield

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Say that the photos in work wait for what none of them can hold up; they have all of their time once it is there."""
        work = self._work
        if work is None or work.span is None:
            yield
            return
        self._begin(self._beside())
        with self._at_last(partial(self._photos, work.start, work.stop)):
            yield

    @contextmanager
    def part(self, photos: Sequence[str]) -> Iterator[None]:
        """Say that some of the photos in work are before a stage, and may take as long as if they alone were; from any thread."""
        places = [self._places[photo] for photo in photos if photo in self._places]
        if not places:
            yield
            return
        part = Work(min(places), max(places) + 1, time.monotonic() + self._limit(len(places)))
        with self._lock:
            self._parts[id(part)] = part
            self._say()
        try:
            yield
        finally:
            with self._lock:
                self._parts.pop(id(part), None)
                self._say()

    def close(self) -> None:
        """Say nothing any more, at an orderly end."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)

    def _begin(self, work: Work | None) -> None:
        with self._lock:
            self._work = work
            self._parts.clear()
            self._say()

    @contextmanager
    def _at_last(self, word: Callable[[], Work | None]) -> Iterator[None]:
        """Say something else at the end, but not where the process ends with it."""
        try:
            yield
        except Exception:
            self._begin(word())
            raise
        self._begin(word())

    def _photos(self, start: int, stop: int) -> Work:
        return Work(start, stop, time.monotonic() + self._limit(stop - start))

    def _beside(self) -> Work | None:
        return None if self._seconds is None else Work(0, 0, time.monotonic() + self._seconds)

    def _say(self) -> None:
        if self._file is not None:
            part = min(self._parts.values(), key=attrgetter("due"), default=None) if self._work and self._work.span else None
            os.pwrite(self._file.fileno(), _WORD.pack(*_told(self._work), *_told(part)), 0)


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
        """What a child has in work, or had when it died; None when it has no message in hand, or never said."""
        try:
            word = _path(self._folder, pid).read_bytes()
        except OSError:
            return None
        if len(word) != _WORD.size:
            return None
        due, start, stop, due_of_part, first, last = _WORD.unpack(word)
        part = Work(first, last, due_of_part) if last > first else None
        return Work(start, stop, due, part) if due else None

    def forget(self, pid: int) -> None:
        """Remove the word of a child that has died."""
        with suppress(OSError):
            _path(self._folder, pid).unlink()


@lru_cache(maxsize=1)
def pulse() -> Pulse:
    """The word of this process, a worker's child."""
    return Pulse(Path(os.environ[FOLDER]) if FOLDER in os.environ else None)


def renew() -> None:
    """Say anew what is done beside photos, before something is waited for again, where this process says any word."""
    if pulse.cache_info().currsize:
        pulse().renew()


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


def _told(work: Work | None) -> tuple[float, int, int]:
    return (work.due, work.start, work.stop) if work else _NOTHING


def _path(folder: Path, pid: int) -> Path:
    return folder / str(pid)
