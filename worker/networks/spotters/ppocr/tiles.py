"""A closer look at large photos: overlapping tiles, and one set of boxes out of both looks."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
import numpy.typing as npt

from packsight.worker.networks.spotters.ppocr.boxes import Floats
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING, SpottingParameters


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a photo, in its pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def cuts(self, boxes: Floats, size: tuple[int, ...], margin: float) -> npt.NDArray[np.bool_]:
        """Tell which boxes [n, 4, 2] come within `margin` of a side where the tile cuts a photo of `size`."""
        low, high = boxes.min(axis=1), boxes.max(axis=1)
        return np.asarray(
            ((self.left > 0) & (low[:, 0] <= self.left + margin))
            | ((self.top > 0) & (low[:, 1] <= self.top + margin))
            | ((self.right < size[1]) & (high[:, 0] >= self.right - margin))
            | ((self.bottom < size[0]) & (high[:, 1] >= self.bottom - margin))
        )


def divide(size: tuple[int, ...], rows: int, columns: int, overlap: float = SPOTTING.tiles.overlap) -> list[Tile]:
    """Divide a photo of this size (height, width) into overlapping tiles of one size, row by row."""
    downs, rights = _spans(size[0], rows, overlap), _spans(size[1], columns, overlap)
    return [Tile(top, left, bottom, right) for top, bottom in downs for left, right in rights]


def merge(*looks: Floats, parameters: SpottingParameters = SPOTTING) -> Floats:
    """Join boxes [n, 4, 2] of several looks, the most trusted first, from top to bottom.

    A box counts where those before it leave most of it free; of one look's own boxes the larger come first, since a
    seam makes them smaller.
    """
    kept = looks[0][:0]
    for boxes in looks:
        for index in np.argsort([-cv2.contourArea(box) for box in boxes], kind="stable"):
            if _covered(boxes[index], kept) < parameters.tiles.same:
                kept = np.concatenate([kept, boxes[index : index + 1]])
    kept = kept[: parameters.boxes.most]
    return kept[np.lexsort((kept[:, 0, 0], kept[:, 0, 1]))]


def without_fragments(closer: Floats, first: Floats, same: float = SPOTTING.tiles.same) -> Floats:
    """Drop closer boxes that are only a part of a box of the first look of which they, together, leave most free.

    So a headline that runs across tiles, or falls into letters at close range, stays one line.
    """
    whole = np.array([box for box in first if _covered(box, closer) < same], np.float32).reshape(-1, 4, 2)
    separate = np.array([_covered(box, whole) < same for box in closer], np.bool_)
    return np.asarray(closer[separate], np.float32)


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    side = ceil(length / (count - (count - 1) * overlap))
    starts = np.linspace(0, length - side, count).round().astype(int)
    return [(int(start), int(start) + side) for start in starts]


def _covered(box: Floats, others: Floats) -> float:
    """Share of a box [4, 2] that lies in others [n, 4, 2], which hardly overlap each other."""
    low, high = box.min(axis=0), box.max(axis=0)
    near = (others.min(axis=1) < high).all(axis=1) & (others.max(axis=1) > low).all(axis=1)
    shared = sum(cv2.intersectConvexConvex(box, other)[0] for other in others[near])
    return float(shared / max(1e-6, cv2.contourArea(box)))
