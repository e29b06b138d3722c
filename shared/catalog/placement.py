"""Where a version's photos have their rows: they are numbered in the order of the products, rows as they were written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import IntArray, Stacked, open_array

GONE = -1
"""In the place of a photo: the row's own is in the version no longer."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The row of each photo, and the photo of each row.

    photo_row: [photos]. row_photo: [rows], GONE for those that no photo has. starts: [segments + 1] first row of each segment.
    """

    photo_row: npt.NDArray[np.int32]
    row_photo: npt.NDArray[np.int32]
    starts: IntArray

    def place(self, photo: int) -> tuple[int, int]:
        """Segment of a photo, and its row there."""
        row = int(self.photo_row[photo])
        segment = int(np.searchsorted(self.starts, row, side="right")) - 1
        return segment, row - int(self.starts[segment])

    @property
    def whole(self) -> tuple[bool, ...]:
        """Of each segment, whether no row of it is gone."""
        ends = zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)
        return tuple(bool((self.row_photo[first:end] != GONE).all()) for first, end in ends)

    def save(self, folder: Path) -> None:
        """Write `photo_row.npy` and `row_photo.npy`."""
        np.save(folder / "photo_row.npy", self.photo_row)
        np.save(folder / "row_photo.npy", self.row_photo)

    @classmethod
    def open(cls, folder: Path, rows: Sequence[int]) -> Placement:
        """Map what `save` wrote of segments with so many rows each; raises OSError or ValueError when it is damaged."""
        photo_row, row_photo = open_array(folder / "photo_row.npy"), open_array(folder / "row_photo.npy")
        found = cls(photo_row, row_photo, _starts(rows))
        ends = photo_row.min(initial=0), photo_row.max(initial=-1)
        if len(row_photo) != found.starts[-1] or ends[0] < 0 or ends[1] >= len(row_photo):
            raise ValueError("the photos' rows are not those of the segments")
        if not np.array_equal(row_photo[photo_row], np.arange(len(photo_row))) or (row_photo >= 0).sum() != len(photo_row):
            raise ValueError("the photos of the rows are not those whose rows they are")
        return found

    @classmethod
    def of(cls, photo_row: npt.NDArray[Any], rows: Sequence[int]) -> Placement:
        """Of photos by the row of each, in segments with so many rows."""
        starts = _starts(rows)
        row_photo = np.full(int(starts[-1]), GONE, np.int32)
        row_photo[photo_row] = np.arange(len(photo_row), dtype=np.int32)
        return cls(photo_row.astype(np.int32), row_photo, starts)

    @classmethod
    def in_order(cls, photos: int) -> Placement:
        """Of photos that stand in one segment, each in the row of its number."""
        return cls.of(np.arange(photos), [photos])


def _starts(rows: Sequence[int]) -> IntArray:
    return np.cumsum([0, *rows], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ByPhoto:
    """Rows of segments by the number of the photo; numbers, slices and arrays of them give copies."""

    rows: Stacked
    photo_row: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.photo_row)

    def __getitem__(self, photos: Any) -> npt.NDArray[Any]:
        return self.rows.take(self.photo_row[photos])
