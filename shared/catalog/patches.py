"""Tables of a version as patches of its parent's: little where little changed, though most of the numbers in them moved.

A table is compressed with zstd (RFC 8878) as what follows its parent's: piece by piece, each after what it may have come of, so
that memory grows with what is numbered, not with the table. Terms and products are numbered anew for every version: numbers of
the parent's are put into those of the version first, by what both have, and where rows begin is told by how long they are.

A patch is the file's head (the header of such arrays, of all else nothing), then its values piece by piece: of each the length
of a zstd frame, and the frame. How large pieces are and what lies beside each is not in it: who makes one and who applies it
must have the same numbers here. Where they differ, as where anything is damaged, the file that comes of it has another hash.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

from packsight.shared.catalog.zstandard import zstd
from packsight.shared.extras import Later

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow.compute as pc

    from packsight.shared.catalog import arrays, arrow_files
else:
    np, pc = Later("numpy", extra="matching"), Later("pyarrow.compute", extra="matching")
    arrays, arrow_files = (Later(f"packsight.shared.catalog.{name}", extra="matching") for name in ("arrays", "arrow_files"))

TERMS = "terms.arrow"
PRODUCTS = "products.arrow"
NUMBERED = {TERMS: "key", PRODUCTS: "id"}
"""Tables whose rows others name by number, and the column that says which each is. Patches of those others need them first."""
_NUMBERS = {
    "deletions.terms.npy": TERMS, "exact.terms.npy": TERMS, "stems.terms.npy": TERMS, "line_terms.npy": TERMS,
    "photo_terms.npy": TERMS, "product_terms.npy": TERMS, "postings.npy": PRODUCTS,
}  # fmt: skip
"""Files of such numbers, and of which table."""
_STARTS = "starts.npy"
"""How names of files end that say where rows begin."""
_PIECE = 1 << 21
"""Bytes that are compressed at a time."""
_MARGIN = 1 << 20
"""Bytes of the parent's on either side of where a piece was, if all that came or went did so before or after it."""
_MOVED = 1 << 23
"""Bytes by which both may differ in size: so far a piece may have moved, and so much more of the parent's lies beside it."""
_OPTIONS = {"compression_level": 9, "window_log": 24, "enable_long_distance_matching": 1}
"""It looks back over a piece and all that lies beside it, 14 MB at most. Level 9 left 254 kB of 12 MB of tables where 3 left 471,
in twice the time (0.2 s); 12 took 0.5 s for 251."""
_LENGTH = struct.Struct("<I")
_HEAD = 1 << 14
"""Bytes before a table's values at most."""


class ParentFiles:
    """Files of a version's parent, each in the numbers of the version, whose own files are in a folder. Threads may share it."""

    def __init__(self, folder: Path, own: Path) -> None:
        self._folder, self._own = folder, own
        self._renumbered, self._renumbering = cache(self._numbers), Lock()

    def has(self, name: str) -> bool:
        """Whether a file can be made of the parent's."""
        return all((self._folder / one).exists() for one in (name, _NUMBERS.get(name, name)))

    def table(self, name: str) -> Table:
        """The parent's file of that name; raises ValueError where it, or the table whose rows it names, is damaged or gone."""
        numbered, numbers = _NUMBERS.get(name), None
        try:
            if numbered is not None:
                with self._renumbering:  # it takes some 70 MB for 1.5 million terms, and several files ask for it at once
                    numbers = self._renumbered(numbered)
            return Table.of(self._folder / name, numbers)
        except Exception as error:  # what the libraries raise over damaged files is no list that one could keep
            raise ValueError(f"the parent's cannot be read: {type(error).__name__}: {error}") from error

    def _numbers(self, table: str) -> npt.NDArray[np.int32]:
        """By number of a row of the parent's table that of the same one in the version's, 0 where there is none."""
        old, new = (arrow_files.mapped(folder / table)[NUMBERED[table]].combine_chunks() for folder in (self._folder, self._own))
        found = pc.index_in(old, value_set=new).fill_null(0)
        return np.frombuffer(found.buffers()[1] or b"", np.int32, len(found), 4 * found.offset)


@dataclass(frozen=True, slots=True)
class Table:
    """A file in the form in which it is compared.

    head: bytes before its values; values: [count]; numbers: by value, what stands for it; lengths: each is told by how much it is
    more than the one before it.
    """

    head: bytes
    values: npt.NDArray[Any]
    numbers: npt.NDArray[np.int32] | None
    lengths: bool

    @classmethod
    def of(cls, path: Path, numbers: npt.NDArray[np.int32] | None = None) -> Table:
        """Map a file; raises for one that is damaged."""
        if path.name not in _NUMBERS and not path.name.endswith(_STARTS):
            raw = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
            return cls(b"", raw, None, lengths=False)
        values = arrays.open_array(path)
        if values.ndim != 1 or values.dtype.kind != "i":
            raise ValueError(f"{path.name} has no whole numbers, one after the other")
        with path.open("rb") as file:
            head = file.read(path.stat().st_size - values.nbytes)
        return cls(head, values, numbers, path.name.endswith(_STARTS))

    def piece(self, start: int, end: int) -> bytes:
        """Some values, as far as there are such."""
        start, end = max(start, 0), min(end, len(self.values))
        found = self.values[start:end]
        if self.lengths and len(found):
            found = np.diff(found, prepend=self.values[start - 1] if start else found.dtype.type(0))
        elif self.numbers is not None and len(self.numbers):
            found = self.numbers.take(found, mode="clip").astype(found.dtype)
        return bytes(found.tobytes())

    def pieces(self, count: int) -> Iterator[tuple[int, bytes]]:
        """How many values each piece of a file of so many has, and what of this one lies beside it.

        Raises ValueError where that file is much shorter or longer.
        """
        size = self.values.itemsize
        rows, margin, more = _PIECE // size, _MARGIN // size, count - len(self.values)
        if abs(more) * size > _MOVED:
            raise ValueError("too much came or went")
        for start in range(0, count, rows):
            end = min(start + rows, count)
            yield end - start, self.piece(start - max(more, 0) - margin, end + max(-more, 0) + margin)


def write_patch(path: Path, into: Path, parent: ParentFiles, most: float) -> bool:
    """Write what makes a file of the parent's of its name.

    False, with nothing written, where that is damaged, or so different that the patch would have more than `most` bytes.
    """
    new = Table.of(path)
    try:
        old = parent.table(path.name)
        if new.values.dtype != old.values.dtype or len(new.head) > _HEAD:
            raise ValueError("it is of another kind")
        with into.open("wb") as sink:
            _write(sink, new.head, old.head)
            start = 0
            for length, beside in old.pieces(len(new.values)):
                _write(sink, new.piece(start, start + length), beside)
                start += length
                if sink.tell() > most:
                    raise ValueError("it is too different")
    except ValueError:
        into.unlink(missing_ok=True)
        return False
    return True


def apply_patch(patch: Path, into: Path, size: int, parent: ParentFiles) -> None:
    """Make a file of so many bytes of the parent's of its name.

    Raises ValueError where that or the patch is damaged, OSError where the disk fails.
    """
    old = parent.table(into.name)
    with patch.open("rb") as source, into.open("wb") as sink:
        head = _read(source, old.head, _HEAD)
        sink.write(head)
        count, rest = divmod(size - len(head), old.values.itemsize)
        if rest or count < 0:
            raise ValueError("it is for a file of another size")
        last = old.values.dtype.type(0)
        for length, beside in old.pieces(count):
            values = np.frombuffer(_read(source, beside, length * old.values.itemsize), old.values.dtype)
            if len(values) != length:
                raise ValueError("a piece of it is too short")
            if old.lengths:
                values = np.cumsum(values, dtype=values.dtype) + last
                last = values[-1] if len(values) else last
            sink.write(values.tobytes())


def _write(sink: BinaryIO, data: bytes, beside: bytes) -> None:
    packed = zstd.compress(data, options=_options(), zstd_dict=_dictionary(beside))
    sink.write(_LENGTH.pack(len(packed)) + packed)


def _read(source: BinaryIO, beside: bytes, most: int) -> bytes:
    length = source.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        raise ValueError("it ends too early")
    reader = zstd.ZstdDecompressor(zstd_dict=_dictionary(beside))
    try:
        data: bytes = reader.decompress(source.read(_LENGTH.unpack(length)[0]), max_length=most + 1)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from None
    if len(data) > most or not reader.eof:
        raise ValueError(f"a piece of it is none of {most} bytes at most")
    return data


@cache
def _options() -> dict[Any, int]:
    return {getattr(zstd.CompressionParameter, name): value for name, value in _OPTIONS.items()}


def _dictionary(beside: bytes) -> Any:
    """What was before, as zstd takes it; it takes none of fewer bytes."""
    return zstd.ZstdDict(beside, is_raw=True).as_prefix if len(beside) >= 8 else None
