"""The PP-OCR detector: photos to boxes of text lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import openvino as ov

from packsight.worker.networks.base import Image
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.graph import take_pixels
from packsight.worker.networks.spotters.ppocr.boxes import Floats, text_boxes
from packsight.worker.networks.spotters.ppocr.tiles import Tile, divide, merge, without_fragments

SHAPES = ((640, 640), (480, 640), (640, 480), (320, 640), (640, 320))
"""Height and width that the network sees. Few and fixed: each new shape would cost memory that never comes back."""
ENLARGED = ((736, 736), (640, 832), (832, 640))
"""The same for small photos, whose blurred letters it finds only when they are larger."""
WARM = ((640, 480), (480, 640))
SMALL = 600
"""Pixels of the longer side below which a photo is small."""
REDUCED = 0.5
"""Scale from which on downwards a photo loses so much that a closer look can find more."""
SMALL_LINE = 17.0
"""Height of boxes in the network's pixels; where most are lower, there will be some that it could not see."""
GRIDS = ((1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (1, 4), (4, 1))
"""Rows and columns of a closer look: at most four tiles, which bounds its price."""


class Detector:
    """Finds lines of text.

    file: an ONNX or IR file that takes BGR [1, 3, h, w], (value − 127.5) / 127.5, and returns
        probabilities [1, 1, h, w].
    """

    def __init__(self, file: Path, compiler: Compiler) -> None:
        centre = (127.5, 127.5, 127.5)
        model = take_pixels(compiler.read(file), channels="BGR", mean=centre, std=centre)
        sides = ov.Dimension(min(map(min, SHAPES)), max(map(max, ENLARGED)))
        model.reshape(ov.PartialShape([1, sides, sides, 3]))
        self._network = compiler.compile(model)

    def detect(self, images: Sequence[Image]) -> Iterator[Floats]:
        """Yield corners [n, 4, 2] in pixels of each image."""
        sizes = [fit(image.shape[:2]) for image in images]
        pixels = (letterbox(image, *size) for image, size in zip(images, sizes, strict=True))
        for image, (_, (height, width)), (maps,) in zip(images, sizes, self._network.stream(pixels), strict=True):
            boxes = text_boxes(maps[0, 0, :height, :width])
            yield boxes * np.array((image.shape[1] / width, image.shape[0] / height), np.float32)

    def look_closer(self, images: Sequence[Image], found: Sequence[Floats]) -> Iterator[Floats]:
        """Look at each image again in tiles; yields what was `found` and the new boxes, joined: corners [n, 4, 2]."""
        grids = [tiles(image.shape) for image in images]
        parts = [
            image[tile.top : tile.bottom, tile.left : tile.right]
            for image, grid in zip(images, grids, strict=True)
            for tile in grid
        ]
        seen = self.detect(parts)
        for image, grid, first in zip(images, grids, found, strict=True):
            whole = []
            for tile in grid:
                boxes = next(seen) + np.array((tile.left, tile.top), np.float32)
                whole.append(boxes[~tile.cuts(boxes, image.shape, margin=2 / _scale(tile.size))])
            closer = without_fragments(merge(np.concatenate(whole)), first)
            yield merge(closer, first)

    def warm_up(self) -> None:
        """Run the shapes of upright and level photos."""
        for _ in self.detect([np.full((*shape, 3), 128, np.uint8) for shape in WARM]):
            pass


def fit(size: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Choose the declared shape in which a photo of this size (height, width) gets the most pixels.

    Returns the shape and the size that the photo has in it, aspect ratio kept; of equal ones the smallest shape.
    """
    height, width = size

    def inside(shape: tuple[int, int]) -> tuple[int, int]:
        scale = min(shape[0] / height, shape[1] / width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    best = max(ENLARGED if max(size) < SMALL else SHAPES, key=lambda shape: (np.prod(inside(shape)), -np.prod(shape)))
    return best, inside(best)


def misses_small_print(size: tuple[int, ...], boxes: Floats) -> bool:
    """Tell whether a closer look is worth its price: at a large photo whose lines [n, 4, 2] are mostly tiny, or none."""
    scale = _scale(size)
    if scale > REDUCED:
        return False
    sides = np.linalg.norm(boxes[:, [1, 3]] - boxes[:, :1], axis=2).min(axis=1)
    return not len(boxes) or bool(np.median(sides) * scale < SMALL_LINE)


def tiles(size: tuple[int, ...]) -> list[Tile]:
    """Divide a photo of this size (height, width) for a closer look: as few tiles as show it about as large as possible."""
    grids = sorted((divide(size, rows, columns) for rows, columns in GRIDS), key=len)
    scales = [min(1.0, _scale(grid[0].size)) for grid in grids]
    return next(grid for grid, scale in zip(grids, scales, strict=True) if scale >= 0.9 * max(scales))


def _scale(size: tuple[int, ...]) -> float:
    """Pixels of the network per pixel of a photo of this size."""
    return max(fit(size[:2])[1]) / max(size[:2])


def letterbox(image: Image, shape: tuple[int, int], size: tuple[int, int]) -> Image:
    """Resize to `size` and pad below and to the right with grey: [1, height, width, 3]."""
    canvas = np.full((1, *shape, 3), 128, np.uint8)
    shrinks = size[0] <= image.shape[0]
    cv2.resize(
        image,
        (size[1], size[0]),
        dst=canvas[0, : size[0], : size[1]],
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    return canvas
