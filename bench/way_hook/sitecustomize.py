"""Imported by every Python process that `bench.ways` starts: notes which code of the project is entered, by phase."""

from __future__ import annotations

import atexit
import os
import pickle
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

_OPTIMIZED = 1
"""Flag of code that is a function's; class bodies and modules lack it."""
_POLL_SECONDS = 0.05


class _Notes:
    """Functions and types entered so far, in a file per process that is renewed as long as it lives."""

    def __init__(self, folder: Path, root: str) -> None:
        self._folder, self._root = folder, root
        self._entered: dict[str, set[tuple[str, str, str]]] = {}
        self._phase = self._read_phase()

    def _read_phase(self) -> str:
        try:
            return (self._folder / "phase").read_text().strip()
        except OSError:
            return ""

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        """Profile function, as `sys.setprofile` wants it."""
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(self._root):
            if code.co_flags & _OPTIMIZED:
                self._add("function", code.co_filename, code.co_qualname)
        elif code.co_name == "__init__" and frame.f_back is not None and frame.f_back.f_code.co_flags & _OPTIMIZED:
            made = type(frame.f_locals.get("self"))
            if made.__module__.startswith("packsight."):
                self._add("type", made.__module__, made.__qualname__)

    def _add(self, kind: str, place: str, name: str) -> None:
        self._entered.setdefault(self._phase, set()).add((kind, place, name))

    def watch(self) -> None:
        """Follow the phase that the measuring process writes, and keep the file up to date."""
        while True:
            self._phase = self._read_phase()
            self.save()
            time.sleep(_POLL_SECONDS)

    def save(self) -> None:
        """Write what was entered."""
        part = self._folder / f"{os.getpid()}.part"
        part.write_bytes(pickle.dumps({phase: set(entered) for phase, entered in list(self._entered.items())}))
        part.replace(part.with_suffix(".entered"))


if folder := os.environ.get("PACKSIGHT_WAYS"):
    notes = _Notes(Path(folder), os.environ["PACKSIGHT_WAYS_ROOT"])
    atexit.register(notes.save)
    threading.Thread(target=notes.watch, daemon=True).start()
    threading.setprofile(notes.note)
    sys.setprofile(notes.note)
