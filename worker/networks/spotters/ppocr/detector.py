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
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING, DetectorParameters, Shape, SpottingParameters
from packsight.worker.networks.spotters.ppocr.tiles import Tile, divide, merge, without_fragments

_WARM = ((640, 480), (480, 640))
"""Shapes of upright and level photos, run before the first real one."""


class Detector:
    """Finds lines of text.

    file: an ONNX or IR file that takes BGR [1, 3, h, w], (value − 127.5) / 127.5, and returns
        probabilities [1, 1, h, w].
    """

    def __init__(self, file: Path, compiler: Compiler, parameters: SpottingParameters = SPOTTING) -> None:
        self._parameters = parameters
        shapes = (*parameters.detector.shapes, *parameters.detector.enlarged)
        centre = (127.5, 127.5, 127.5)
        model = take_pixels(compiler.read(file), channels="BGR", mean=centre, std=centre)
        sides = ov.Dimension(min(map(min, shapes)), max(map(max, shapes)))
        model.reshape(ov.PartialShape([1, sides, sides, 3]))
        self._network = compiler.compile(model)

    def detect(self, images: Sequence[Image]) -> Iterator[Floats]:
        """Yield corners [n, 4, 2] in pixels of each image."""
        rules = self._parameters.detector
        sizes = [fit(image.shape[:2], rules) for image in images]
        pixels = (letterbox(image, *size, rules.padding) for image, size in zip(images, sizes, strict=True))
        for image, (_, (height, width)), (maps,) in zip(images, sizes, self._network.stream(pixels), strict=True):
            boxes = text_boxes(maps[0, 0, :height, :width], self._parameters.boxes)
            yield boxes * np.array((image.shape[1] / width, image.shape[0] / height), np.float32)

    def look_closer(self, images: Sequence[Image], found: Sequence[Floats]) -> Iterator[Floats]:
        """Look at each image again in tiles; yields what was `found` and the new boxes, joined: corners [n, 4, 2]."""
        rules = self._parameters
        grids = [tiles(image.shape, rules) for image in images]
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
                margin = rules.detector.margin / _scale(tile.size, rules.detector)
                whole.append(boxes[~tile.cuts(boxes, image.shape, margin)])
            closer = merge(np.concatenate(whole), parameters=rules)
            yield merge(without_fragments(closer, first, rules.tiles.same), first, parameters=rules)

    def warm_up(self) -> None:
        """Run the shapes of upright and level photos."""
        grey = self._parameters.detector.padding
        for _ in self.detect([np.full((*shape, 3), grey, np.uint8) for shape in _WARM]):
            pass


def fit(size: tuple[int, ...], parameters: DetectorParameters = SPOTTING.detector) -> tuple[Shape, Shape]:
    """Choose the declared shape in which a photo of this size (height, width) gets the most pixels.

    Returns the shape and the size that the photo has in it, aspect ratio kept; of equal ones the smallest shape.
    """
    height, width = size

    def inside(shape: Shape) -> Shape:
        scale = min(shape[0] / height, shape[1] / width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    shapes = parameters.enlarged if max(size) < parameters.small else parameters.shapes
    best = max(shapes, key=lambda shape: (np.prod(inside(shape)), -np.prod(shape)))
    return best, inside(best)


def misses_small_print(
    size: tuple[int, ...], boxes: Floats, parameters: DetectorParameters = SPOTTING.detector
) -> bool:
    """Tell whether a closer look is worth its price: at a large photo whose lines [n, 4, 2] are mostly tiny, or none."""
    scale = _scale(size, parameters)
    if scale > parameters.reduced:
        return False
    sides = np.linalg.norm(boxes[:, [1, 3]] - boxes[:, :1], axis=2).min(axis=1)
    return not len(boxes) or bool(np.median(sides) * scale < parameters.small_line)


def tiles(size: tuple[int, ...], parameters: SpottingParameters = SPOTTING) -> list[Tile]:
    """Divide a photo of this size (height, width) for a closer look: as few tiles as show it about as large as possible."""
    rules, overlap = parameters.detector, parameters.tiles.overlap
    grids = sorted((divide(size, rows, columns, overlap) for rows, columns in rules.grids), key=len)
    scales = [min(1.0, _scale(grid[0].size, rules)) for grid in grids]
    good = rules.good_scale * max(scales)
    return next(grid for grid, scale in zip(grids, scales, strict=True) if scale >= good)


def _scale(size: tuple[int, ...], parameters: DetectorParameters) -> float:
    """Pixels of the network per pixel of a photo of this size."""
    return max(fit(size[:2], parameters)[1]) / max(size[:2])


def letterbox(image: Image, shape: Shape, size: Shape, padding: int = SPOTTING.detector.padding) -> Image:
    """Resize to `size` and pad below and to the right with grey: [1, height, width, 3]."""
    canvas = np.full((1, *shape, 3), padding, np.uint8)
    shrinks = size[0] <= image.shape[0]
    cv2.resize(
        image,
        (size[1], size[0]),
        dst=canvas[0, : size[0], : size[1]],
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    return canvas
