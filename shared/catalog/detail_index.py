"""Key points of the whole catalog, searched by descriptor: which of its photos have such a point, and how near."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

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
        """Memory-map what the build wrote."""
        return cls(faiss.read_index(str(folder / DETAIL_INDEX), faiss.IO_FLAG_MMAP_IFC), starts)


def unit(descriptors: ByteArray) -> FloatArray:
    """Descriptors as they are compared, 0 to 1."""
    return descriptors.astype(np.float32) / np.float32(DETAILS.scale)
