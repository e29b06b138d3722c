"""Records that come in any order and leave in another, with only their keys in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

K = TypeVar("K", bound=tuple[float | str, ...])


class ExternalSort(Generic[K]):
    """A temporary file of byte records that is read back in the order of their keys."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._entries: list[tuple[K, int, int]] = []

    def add(self, key: K, record: bytes) -> None:
        """Keep a record."""
        self._entries.append((key, self._file.tell(), len(record)))
        self._file.write(record)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the records by rising key; nothing may be added meanwhile."""
        for _, offset, size in sorted(self._entries):
            self._file.seek(offset)
            yield self._file.read(size)
        self._file.seek(0, 2)

    def close(self) -> None:
        """Give the disk space back."""
        with suppress(OSError):  # what a full disk has not taken is written once more, and wanted by nobody
            self._file.close()
