"""Photos of the catalog, searched by what they look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from packsight.shared.catalog.arrays import IntArray
from packsight.shared.catalog.placement import GONE, Placement
from packsight.shared.catalog.segmented_index import SegmentedIndex
from packsight.shared.vision.features import FloatArray

VECTOR_INDEX = "index"
"""What its files are called."""


@dataclass(frozen=True)
class VectorIndex:
    """Unit vectors under inner product, in the rows of segments."""

    index: SegmentedIndex
    placement: Placement

    @property
    def ntotal(self) -> int:
        """Photos that can be found."""
        return len(self.placement.photo_row)

    @property
    def d(self) -> int:
        """Length of a vector."""
        return self.index.d

    def search(self, vectors: FloatArray, wanted: int) -> tuple[FloatArray, IntArray]:
        """Cosines and photos [n, wanted] nearest to unit vectors, nearest first, of equally near ones in their order.

        Where there are not so many, the photo is -1.
        """
        photos = self.placement.row_photo
        cosine, row = self.index.search(vectors, wanted, lambda rows: photos[rows] != GONE)
        photo = np.where(row < 0, -1, photos.take(row)).astype(np.int64) if len(photos) else np.full(row.shape, -1, np.int64)
        if not (cosine[:, 1:] == cosine[:, :-1]).any():
            return cosine, photo
        order = np.lexsort((photo, -cosine), axis=1)
        return np.take_along_axis(cosine, order, axis=1), np.take_along_axis(photo, order, axis=1)
