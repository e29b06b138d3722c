"""What lies in a watched place, and which of it is whole."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packsight.producer.excluded import Excluded
from packsight.producer.sources import Item, is_photo, is_photo_below, printable_path, refuse_folder
from packsight.shared.contract.errors import UserError
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.walk import files_below

SETTLED = 2.0
"""Seconds for which a file must have stayed as it is: whoever copies one writes to it more often."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A photo that is there. state: what changes when its content does, as size and time tell; item: how it is submitted."""

    state: str
    item: Item


class Place(Protocol):
    """Where photos arrive."""

    name: str
    """As it was named."""
    settling: bool
    """Whether the last look has found photos that may not be whole yet."""
    excluded: Excluded
    """What the last look has left out."""

    def look(self) -> Mapping[str, Arrival]:
        """The photos that are there and whole, by their name below the place."""


class Folder:
    """A folder, searched through. A file is whole once two looks, SETTLED apart from its last change, find the same of it."""

    def __init__(self, root: Path, excluded: Excluded | None = None, now: Callable[[], float] = time.time) -> None:
        self.name, self.excluded = str(root), excluded or Excluded()
        self._root, self._now = root, now
        self._before: dict[str, str] = {}
        self.settling = False

    def look(self) -> Mapping[str, Arrival]:
        """The photos that are whole; raises UserError when the folder cannot be listed."""
        if not self._root.is_dir():
            raise UserError(f"{self._root} is not there any more. Bring it back, or watch another folder.")
        seen, whole = {}, {}
        excluded = self.excluded.anew()
        for path in files_below(self._root, Counter(), refuse_folder):
            name = printable_path(str(path.relative_to(self._root)))
            if not is_photo(path) or excluded.leaves_out("", name):
                continue
            try:
                status = path.stat()
            except OSError:
                continue  # it has gone since
            seen[name] = f"{status.st_size}-{status.st_mtime_ns}"
            if self._before.get(name) == seen[name] and self._now() - status.st_mtime >= SETTLED:
                whole[name] = Arrival(seen[name], Item(name, path))
        self._before, self.settling, self.excluded = seen, len(whole) < len(seen), excluded
        return whole


class Prefix:
    """A prefix of object storage, where objects are always whole."""

    settling = False

    def __init__(self, address: str, store: ObjectStore, excluded: Excluded | None = None) -> None:
        self.name, self.excluded = address, excluded or Excluded()
        self._store = store
        self._bucket, _, self._prefix = address.removeprefix("s3://").partition("/")
        if not self._bucket:
            raise UserError(f"{address} names no bucket. Use s3://bucket/prefix/.")

    def look(self) -> Mapping[str, Arrival]:
        """The photos there; raises StorageError when the prefix cannot be listed."""
        excluded = self.excluded.anew()
        found = dict(self._found(excluded))
        self.excluded = excluded
        return found

    def _found(self, excluded: Excluded) -> Iterator[tuple[str, Arrival]]:
        for found in self._store.listed(self._prefix, bucket=self._bucket):
            name = found.key.removeprefix(self._prefix)
            if is_photo_below(self._prefix, found.key) and not excluded.leaves_out("", name):
                state = f"{found.size}-{found.modified.isoformat()}"
                yield name, Arrival(state, Item(name, f"s3://{self._bucket}/{found.key}"))


def below(root: Path, name: str) -> Path:
    """A path below a folder for a name that may be any key: what would lead out of the folder is written otherwise."""
    parts = [part.replace(os.sep, "_").replace("\0", "_") for part in name.split("/") if part]
    return root.joinpath(*(f"_{part}" if part in {".", ".."} else part for part in parts))
