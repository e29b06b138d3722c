"""Where print stands on the catalog's photos: lines of text, with the terms on each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import Ragged
from packsight.shared.catalog.words.word_notes import CORNERS


@dataclass(frozen=True, slots=True)
class PhotoLines:
    """Lines of all photos, one photo after the other.

    boxes: row per photo, [lines, 9] float16: the corners (x, y) of each line as shares of the photo's sides, clockwise from the
    text's top left, and its confidence. terms: row per line.
    """

    boxes: Ragged
    terms: Ragged

    def corners(self, photo: int) -> npt.NDArray[np.float64]:
        """Corners [lines, 4, 2] of a photo's lines, as shares of its sides."""
        return np.asarray(self.boxes.row(photo)[:, :CORNERS], np.float64).reshape(-1, 4, 2)

    def words(self, photo: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Words of a photo: the line of each, its term, and the confidence of its line."""
        first, last = self.boxes.starts[photo : photo + 2].tolist()
        positions, line = self.terms.rows(np.arange(first, last))
        confidence = np.asarray(self.boxes.row(photo)[:, CORNERS], np.float64)
        return line, np.asarray(self.terms.values[positions], np.int64), confidence[line]

    def save(self, folder: Path) -> None:
        """Write the files."""
        self.boxes.save(folder, "line_boxes")
        self.terms.save(folder, "line_terms")

    @classmethod
    def open(cls, folder: Path) -> PhotoLines:
        """Memory-map what `save` wrote."""
        return cls(Ragged.open(folder, "line_boxes"), Ragged.open(folder, "line_terms"))
