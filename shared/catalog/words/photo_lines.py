"""Where print stands on the catalog's photos: lines of text, with the terms on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import IntArray, Ragged
from packsight.shared.catalog.placement import Placement
from packsight.shared.contract.outcomes import WordRead

LINE_BOXES = "line_boxes"
"""What the files of a segment are called that say where the lines of its photos stand."""
CORNERS = 8
"""Numbers of a line's corners, x and y of each."""


def sure_lines(words: Sequence[WordRead], least: float) -> list[WordRead]:
    """The lines read of a photo that are sure enough to be kept."""
    return [line for line in words if line.confidence >= least]


def line_boxes(lines: Sequence[WordRead], size: tuple[int, int]) -> npt.NDArray[np.float16]:
    """What is kept of where lines stand, [lines, CORNERS + 1]: corners as shares of the photo's sides, and confidence.

    size: width and height in pixels.
    """
    if not lines:
        return np.zeros((0, CORNERS + 1), np.float16)
    corners = np.array([line.box for line in lines], np.float64).reshape(len(lines), -1, 2) / size
    sure = np.array([[line.confidence] for line in lines])
    return np.hstack([corners.reshape(len(lines), CORNERS), sure]).astype(np.float16)


@dataclass(frozen=True, slots=True)
class PhotoLines:
    """Lines of all photos.

    starts: [photos + 1] first line of each photo, and terms: row per line, one photo after the other. boxes: of each segment, row
    per photo as it was written: the corners (x, y) of each of its lines as shares of the photo's sides, clockwise from the text's
    top left, and its confidence. placement: the photos' rows.
    """

    starts: IntArray
    terms: Ragged
    boxes: Sequence[Ragged]
    placement: Placement

    def corners(self, photo: int) -> npt.NDArray[np.float64]:
        """Corners [lines, 4, 2] of a photo's lines, as shares of its sides."""
        return np.asarray(self._boxes(photo)[:, :CORNERS], np.float64).reshape(-1, 4, 2)

    def words(self, photo: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Words of a photo: the line of each, its term, and the confidence of its line."""
        first, last = self.starts[photo : photo + 2].tolist()
        positions, line = self.terms.rows(np.arange(first, last))
        confidence = np.asarray(self._boxes(photo)[:, CORNERS], np.float64)
        return line, np.asarray(self.terms.values[positions], np.int64), confidence[line]

    def are_whole(self) -> bool:
        """Whether there is a place for each line of each photo."""
        rows = np.concatenate([np.zeros(0, np.int64), *(np.diff(boxes.starts) for boxes in self.boxes)])
        return np.array_equal(rows[self.placement.photo_row], np.diff(self.starts)) and self.starts[-1] == len(self.terms)

    def _boxes(self, photo: int) -> npt.NDArray[np.float16]:
        segment, row = self.placement.place(photo)
        return self.boxes[segment].row(row)
