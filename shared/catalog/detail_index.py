"""Key points of the whole catalog, searched by descriptor: which of its photos have such a point, and how near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.placement import GONE, Placement
from packsight.shared.catalog.segmented_index import SegmentedIndex
from packsight.shared.parameters import DETAILS
from packsight.shared.vision.features import ByteArray, FloatArray

DETAILS_INDEX = "details"
"""What its files are called."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DetailIndex:
    """Points are numbered through all segments, and in each as in its descriptors.

    starts: of each segment, [rows + 1] first point of each row.
    """

    index: SegmentedIndex
    starts: Sequence[IntArray]
    placement: Placement

    def search(self, descriptors: ByteArray, neighbours: int) -> tuple[FloatArray, IntArray]:
        """Nearest points of the catalog to descriptors [n, 128], by squared distance in units of their length (0 to 2).

        Returns distances and points [n, neighbours], nearest first, of equal ones in the order of the photos, so that they are
        the same however rows stand in segments; where there are not so many, inf and -1.
        """
        if not len(descriptors) or not self.index.ntotal:
            shape = (len(descriptors), neighbours)
            return np.full(shape, np.inf, np.float32), np.full(shape, -1, np.int64)
        distance, point = self.index.search(unit(descriptors), neighbours, lambda points: self.photo(points) != GONE)
        distance = np.where(point < 0, np.inf, np.maximum(distance, 0)).astype(np.float32)
        order = np.lexsort((point, self.photo(point), distance), axis=1)
        return np.take_along_axis(distance, order, axis=1), np.take_along_axis(point, order, axis=1)

    def photo(self, points: IntArray) -> IntArray:
        """The photo that each point is on, GONE where it is gone; for -1 some photo, or GONE."""
        if not self.index.ntotal:
            return np.full(points.shape, GONE, np.int64)
        segment = np.maximum(np.searchsorted(self.index.starts, points, side="right") - 1, 0)
        row = np.zeros(points.shape, np.int64)
        for number in np.unique(segment).tolist():
            mine = segment == number
            within = np.searchsorted(self.starts[number], points[mine] - self.index.starts[number], side="right") - 1
            row[mine] = self.placement.starts[number] + within
        return np.asarray(self.placement.row_photo[row], np.int64)


def unit(descriptors: ByteArray) -> FloatArray:
    """Descriptors as they are compared, 0 to 1."""
    return descriptors.astype(np.float32) / np.float32(DETAILS.scale)
