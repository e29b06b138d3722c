"""Arrays that are written row by row, so that no more than a row of them need be in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from packsight.shared.catalog.arrays import open_array


class GrowingArray:
    """A file as np.save writes it, of rows that come one after the other; whole when it is closed."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, *row: int) -> None:
        self._dtype, self._row = np.dtype(dtype), row
        self._file = path.open("wb")
        self._write_header()
        self.rows = 0

    rows = 0
    """So many have been written."""

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Write rows [n, …] after those before; raises ValueError for rows of another shape."""
        if rows.shape[1:] != self._row:
            raise ValueError(f"rows of {rows.shape[1:]} where those before are of {self._row}")
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self.rows += len(rows)

    def _write_header(self) -> None:
        # Numpy leaves room in it for another number of rows.
        shape = (self.rows, *self._row)
        npy.write_array_header_1_0(self._file, {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape})

    def __enter__(self) -> GrowingArray:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()


class GrowingRows:
    """The two files of a Ragged, of rows that come one after the other."""

    def __init__(self, folder: Path, name: str, dtype: npt.DTypeLike, *row: int) -> None:
        self._starts = GrowingArray(folder / f"{name}.starts.npy", np.int64)
        self._values = GrowingArray(folder / f"{name}.npy", dtype, *row)
        self._starts.append(np.zeros(1, np.int64))

    def append(self, row: npt.NDArray[Any]) -> None:
        """Write a row after those before."""
        self._values.append(row)
        self._starts.append(np.array([self._values.rows]))

    def __enter__(self) -> GrowingRows:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for part in (self._starts, self._values):
            part.__exit__(kind, error, trace)


@contextmanager
def passing(path: Path) -> Iterator[Path]:
    """A file that is gone at the end."""
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def blocks(path: Path, rows: int) -> Iterator[npt.NDArray[Any]]:
    """Rows of an array's file, so many at a time."""
    array = open_array(path)
    return (array[start : start + rows] for start in range(0, len(array), rows))
