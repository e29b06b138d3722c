"""A folder of backups: each a list of keys and hashes, over files that all of them share.

    <folder>/objects/<2 digits>/<sha256>     content, each once, whichever backups and keys have it
    <folder>/backups/<name>.jsonl.gz         a backup: its head, then a line for each object; written last
    <folder>/backups/<name>.env              the settings of whoever took it, without secrets, for a person to read
    <folder>/unfinished.jsonl                what was copied since the last backup, by which an interrupted one goes on

Files are written aside and renamed, and never changed: a folder can be copied, or synced to another place, at any moment.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from packsight import __version__
from packsight.shared.contract.errors import UserError
from packsight.shared.storage.files import hash_file, write_whole, written_aside

_LIST = ".jsonl.gz"


@dataclass(frozen=True, slots=True)
class Copied:
    """An object as it was when it was copied."""

    key: Annotated[str, StringConstraints(min_length=1)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size: int
    """Bytes."""
    etag: str
    """By which the object storage that it came from tells that it is still the same."""


_COPIED = TypeAdapter(Copied)


class Head(BaseModel):
    """What a backup says of itself."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Literal[1] = 1
    taken_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    release: str = __version__
    bucket: str
    objects: int
    bytes: int
    left_out: tuple[str, ...] = ()
    """Prefixes of the bucket that are not in it."""

    @property
    def name(self) -> str:
        """Under which it lies; sorts by time."""
        return f"{self.taken_at:%Y%m%dT%H%M%S}-{self.taken_at.microsecond // 1000:03}"


class BackupFolder:
    """A folder that holds backups; nothing is made before something is to be written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects, self._lists, self._journal = root / "objects", root / "backups", root / "unfinished.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against another backup; raises UserError while one is at work, OSError where nothing can be written."""
        self._lists.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"Another backup into {self.root} is at work. Wait for it to end.") from None
            for left in self._objects.glob("*/*.part"):
                left.unlink()
            yield

    def place(self, sha256: str) -> Path:
        """Where content lies, or is to lie."""
        return self._objects / sha256[:2] / sha256

    def holds(self, one: Copied) -> bool:
        """Whether an object's content is there, by its size; its bytes are looked at by `damaged`."""
        try:
            return self.place(one.sha256).stat().st_size == one.size
        except OSError:
            return False

    @contextmanager
    def incoming(self, number: int) -> Iterator[Path]:
        """Where to write content whose hash is not known yet; `settle` gives it its name, or it is gone afterwards."""
        path = self._objects / "00" / f"{os.getpid()}-{number}.part"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def settle(self, path: Path) -> str:
        """Give content its name; returns its sha256."""
        sha256 = hash_file(path)
        place = self.place(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
        return sha256

    def damaged(self, copies: Iterable[Copied]) -> Iterator[Copied]:
        """Objects whose content is missing or other than its name says; each content is read once."""
        verdicts: dict[str, bool] = {}
        for one in copies:
            if one.sha256 not in verdicts:
                verdicts[one.sha256] = self.holds(one) and hash_file(self.place(one.sha256)) == one.sha256
            if not verdicts[one.sha256]:
                yield one

    def names(self) -> list[str]:
        """All backups, oldest first."""
        return sorted(path.name.removesuffix(_LIST) for path in self._lists.glob(f"*{_LIST}"))

    def read(self, name: str) -> tuple[Head, list[Copied]]:
        """A backup; raises UserError for one that is missing, damaged, or of a release that writes others."""
        path = self._lists / f"{name}{_LIST}"
        try:
            with gzip.open(path, "rb") as file:
                head = Head.model_validate_json(file.readline())
                copies = [_COPIED.validate_json(line) for line in file]
        except FileNotFoundError:
            there = f"It has {', '.join(self.names())}." if self.names() else "`packsight backup FOLDER` makes one."
            raise UserError(f"{self.root} has no backup {name}. {there}") from None
        except (OSError, EOFError, zlib.error, ValidationError) as error:
            why = f"{path} is damaged, or of a newer release ({type(error).__name__})"
            raise UserError(f"{why}. {self._instead_of(name)}") from None
        if len(copies) != head.objects:
            raise UserError(f"{path} is damaged: it lists {len(copies)} of {head.objects} objects. {self._instead_of(name)}")
        return head, copies

    def _instead_of(self, name: str) -> str:
        others = [other for other in self.names() if other != name]
        return f"Others are here: `--at {others[-1]}`." if others else "Take another backup."

    def unreadable(self, keep: int) -> list[str]:
        """What is wrong with the lists of the last backups, a sentence each: what only these name is not known."""
        return [
            f"{self._lists / name}{_LIST} is damaged, or of a newer release: until it is removed, no older backup is"
            for name in self.names()[-keep:]
            if not self._is_readable(name)
        ]

    def _is_readable(self, name: str) -> bool:
        try:
            self.read(name)
        except UserError:
            return False
        return True

    def latest(self) -> str:
        """Name of the last backup; raises UserError when there is none."""
        names = self.names()
        if not names:
            raise UserError(f"{self.root} holds no backup. `packsight backup {self.root}` makes one.")
        return names[-1]

    def known(self) -> dict[str, Copied]:
        """What was copied last of each key, by the last backup whose list can be read, or an interrupted one."""
        last = next(filter(self._is_readable, reversed(self.names())), None)
        found = {one.key: one for one in self.read(last)[1]} if last is not None else {}
        try:
            lines = self._journal.read_bytes().splitlines()
        except FileNotFoundError:
            return found
        for line in lines:
            try:
                one = _COPIED.validate_json(line)
            except ValidationError:  # the last line of one that was killed
                continue
            found[one.key] = one
        return found

    def note(self, copies: Iterable[Copied]) -> None:
        """Remember what was copied, for when this backup is interrupted."""
        with self._journal.open("ab") as file:
            file.writelines(_COPIED.dump_json(one) + b"\n" for one in copies)

    def finish(self, head: Head, copies: Iterable[Copied], settings: str) -> None:
        """Write the list of a backup, when all of its content is on the disk."""
        os.sync()
        write_whole(self._lists / f"{head.name}.env", settings)
        with (
            written_aside(self._lists / f"{head.name}{_LIST}") as part,
            part.open("wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file,
        ):
            file.write(head.model_dump_json().encode() + b"\n")
            file.writelines(_COPIED.dump_json(one) + b"\n" for one in copies)
        self._journal.unlink(missing_ok=True)

    def settings_of(self, name: str) -> Path:
        """The settings that were kept with a backup."""
        return self._lists / f"{name}.env"

    def prune(self, keep: int) -> list[str]:
        """Remove all but the last backups, and content that none of these has; returns the names of those removed.

        Raises UserError, before anything is removed, where one of these is `unreadable`.
        """
        names = self.names()
        gone = names[:-keep]
        named = {one.sha256 for name in names[-keep:] for one in self.read(name)[1]} if gone else set()
        for name in gone:
            (self._lists / f"{name}{_LIST}").unlink()
            self.settings_of(name).unlink(missing_ok=True)
        for path in self._objects.glob("??/*") if gone else ():
            if path.name not in named:
                path.unlink()
        return gone
