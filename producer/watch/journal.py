"""What a watched place has had submitted, in a file that survives whoever watches: nothing is submitted twice.

A line is written before its job is made, with the id that the job is going to have. So a job that has a line and is not there was
never made, and its photos are new again; one that is there goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packsight.shared.contract.errors import UserError

Photos = Mapping[str, str]
"""Names of photos, each with the state in which it was taken."""


class Journal:
    """The journal of one place; held by one process at a time.

    Raises UserError when another one holds it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.taken: dict[str, str] = {}
        """Photos that are not to be taken again unless their state changes."""
        self.open: dict[str, Photos] = {}
        """Jobs that have not ended, each with its photos."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}. Name a folder for results with --out.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UserError(f"Another `packsight watch` is at work here: it holds {path}.") from None
        self._file.seek(0)
        data = self._file.read()
        for line in data.split(b"\n"):  # names may hold what else ends a line
            try:
                self._read(json.loads(line))
            except ValueError:
                continue  # the last words of a process that was cut off
        if data and not data.endswith(b"\n"):
            self._file.write(b"\n")

    def begin(self, job: str, photos: Photos) -> None:
        """Note that a job with these photos is about to be made."""
        self._write({"job": job, "photos": dict(photos)})

    def end(self, job: str) -> None:
        """Note that all photos of a job are answered."""
        self._write({"ended": job})

    def drop(self, job: str) -> None:
        """Note that a job was not made after all, or that its results are gone: its photos are new again."""
        self._write({"dropped": job})

    def refuse(self, photos: Photos) -> None:
        """Note photos that cannot be submitted as they are."""
        self._write({"refused": dict(photos)})

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"{self._file.name} cannot be written: {error.strerror}. Make room and start again.") from None
        self._read(entry)

    def _read(self, entry: dict[str, Any]) -> None:
        if job := entry.get("job"):
            self.open[job] = entry["photos"]
            self.taken |= entry["photos"]
        elif refused := entry.get("refused"):
            self.taken |= refused
        elif ended := entry.get("ended"):
            self.open.pop(ended, None)
        elif dropped := entry.get("dropped"):
            for name, state in self.open.pop(dropped, {}).items():
                if self.taken.get(name) == state:
                    del self.taken[name]
