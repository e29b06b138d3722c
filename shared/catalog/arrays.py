"""Rows of unequal length as two flat arrays, so that a file can be memory-mapped and shared between processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

_LOW_BITS = (1 << 14) - 1
"""Of whole numbers, by which a few hundred of them are told from most others."""


def evenly_spread(count: int, most: int) -> IntArray:
    """The numbers 0 to count - 1 when there are at most `most`, else `most` of them, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).astype(np.int64))


def spans(low: npt.NDArray[Any], high: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Numbers from low[i] to high[i] - 1 of every span i, one span after the other, and beside each the i of its span."""
    low = np.asarray(low, np.int64)
    lengths = np.maximum(np.asarray(high, np.int64) - low, 0)
    owner = np.arange(len(lengths)).repeat(lengths)
    return np.arange(len(owner)) + (low - lengths.cumsum() + lengths).repeat(lengths), owner


def begins(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a value is another than the one before it; the first is."""
    other = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=other[1:])
    return other


def among(values: npt.NDArray[Any], rising: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which of some whole numbers are among others that rise, as numpy's isin tells: less costly where both are few."""
    if not len(rising):
        return np.zeros(len(values), np.bool_)
    place = np.minimum(rising.searchsorted(values), len(rising) - 1)
    return np.asarray(rising[place] == values, np.bool_)


def found_in(values: npt.NDArray[Any], rising: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Which of many whole numbers are among a few others that rise: their places here, and beside each its place there."""
    low = np.zeros(_LOW_BITS + 1, np.bool_)
    low[rising & _LOW_BITS] = True
    here = np.flatnonzero(low[values & _LOW_BITS])  # most are ruled out without a search
    some = values[here]
    there = rising.searchsorted(some)
    found = np.flatnonzero(rising[np.minimum(there, len(rising) - 1)] == some) if len(rising) else there
    return here[found], there[found]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Row i is values[starts[i]:starts[i + 1]]."""

    starts: npt.NDArray[np.int64]
    values: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, index: int) -> npt.NDArray[Any]:
        """One row, not copied."""
        return self.values[self.starts[index] : self.starts[index + 1]]

    def rows(self, indices: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
        """Positions in `values` of several rows, one after the other, each with its row's place in `indices`."""
        return spans(self.starts[indices], self.starts[np.asarray(indices) + 1])

    def save(self, folder: Path, name: str) -> None:
        """Write `<name>.starts.npy` and `<name>.npy`."""
        np.save(folder / f"{name}.starts.npy", self.starts)
        np.save(folder / f"{name}.npy", self.values)

    @classmethod
    def open(cls, folder: Path, name: str) -> Ragged:
        """Memory-map what `save` wrote; raises OSError or ValueError when it is damaged."""
        opened = cls(open_array(folder / f"{name}.starts.npy"), open_array(folder / f"{name}.npy"))
        if not len(opened.starts) or opened.starts[0] != 0 or opened.starts[-1] != len(opened.values):
            raise ValueError(f"the rows of {name} do not end where its values do")
        return opened

    @classmethod
    def of(cls, rows: Iterable[npt.NDArray[Any]], dtype: npt.DTypeLike) -> Ragged:
        """Lay rows one after the other."""
        parts = [np.asarray(row, dtype) for row in rows]
        starts = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=starts[1:])
        return cls(starts, np.concatenate(parts) if parts else np.zeros(0, dtype))


@dataclass(frozen=True, slots=True)
class Stacked:
    """Arrays one below the other as if they were one, none of them copied.

    starts: [arrays + 1] number of the first row of each.
    """

    arrays: tuple[npt.NDArray[Any], ...]
    starts: IntArray

    def __len__(self) -> int:
        return int(self.starts[-1])

    def take(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy of rows by their numbers, in the shape of these."""
        if len(self.arrays) == 1:
            return np.asarray(self.arrays[0][rows])
        rows = np.asarray(rows, np.int64)
        owner = np.searchsorted(self.starts, rows, side="right") - 1
        taken = np.empty((*rows.shape, *self.arrays[0].shape[1:]), self.arrays[0].dtype)
        for number in np.unique(owner).tolist():
            mine = owner == number
            taken[mine] = self.arrays[number][rows[mine] - self.starts[number]]
        return taken

    @classmethod
    def of(cls, arrays: Iterable[npt.NDArray[Any]]) -> Stacked:
        """Number the rows of arrays through."""
        stacked = tuple(arrays)
        return cls(stacked, np.cumsum([0, *map(len, stacked)], dtype=np.int64))


def open_array(path: Path) -> npt.NDArray[Any]:
    """Memory-map an array; an empty one is read, since nothing can be mapped then."""
    try:
        # A plain view: every slice of a memmap would be a Python object that looks for its file.
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except ValueError:
        array = np.load(path, allow_pickle=False)
        if array.size:
            raise
    return array
