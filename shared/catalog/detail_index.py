"""Key points of the whole catalog, searched by descriptor: which of its photos have such a point, and how near."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.mapped_lists import map_lists, save_lists
from packsight.shared.parameters import DETAILS
from packsight.shared.vision.features import ByteArray, FloatArray

DETAIL_INDEX = "details.faiss"

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DetailIndex:
    """Points are numbered as in the version's descriptors.

    starts: [photos + 1] first point of each photo.
    """

    index: Any
    starts: IntArray

    def search(self, descriptors: ByteArray, neighbours: int) -> tuple[FloatArray, IntArray]:
        """Nearest points of the catalog to descriptors [n, 128], by squared distance in units of their length (0 to 2).

        Returns distances and points [n, neighbours], nearest first; where there are not so many, inf and -1.
        """
        if not len(descriptors) or not self.index.ntotal:
            shape = (len(descriptors), neighbours)
            return np.full(shape, np.inf, np.float32), np.full(shape, -1, np.int64)
        distance, point = self.index.search(unit(descriptors), neighbours)
        return np.where(point < 0, np.inf, np.maximum(distance, 0)).astype(np.float32), np.asarray(point, np.int64)

    def photo(self, points: IntArray) -> IntArray:
        """The photo that each point is on; for -1 some photo."""
        return np.searchsorted(self.starts, points, side="right") - 1

    @classmethod
    def open(cls, folder: Path, starts: IntArray) -> DetailIndex:
        """Memory-map what `write_index` wrote; raises OSError, RuntimeError or ValueError when it is damaged."""
        index = faiss.read_index(str(folder / DETAIL_INDEX), faiss.IO_FLAG_MMAP_IFC)
        if (inverted := _inverted(index)) is not None:
            map_lists(inverted, folder)
        return cls(index, starts)


def write_index(index: Any, folder: Path) -> None:
    """Write an index of key points; it is empty afterwards if it is compressed, since its lists go into a file of their own."""
    if (inverted := _inverted(index)) is not None:
        save_lists(inverted, folder)
    faiss.write_index(index, str(folder / DETAIL_INDEX))


def _inverted(index: Any) -> Any:
    """The inverted file behind an index's transform; None for an index that compares every point."""
    found = faiss.try_extract_index_ivf(index)
    return None if found is None else faiss.downcast_index(found)


def unit(descriptors: ByteArray) -> FloatArray:
    """Descriptors as they are compared, 0 to 1."""
    return descriptors.astype(np.float32) / np.float32(DETAILS.scale)
