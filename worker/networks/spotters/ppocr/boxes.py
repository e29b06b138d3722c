"""From a probability map of text to boxes: the post-processing of Differentiable Binarization.

Liao et al., Real-time Scene Text Detection with Differentiable Binarization, AAAI 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING, BoxParameters

Floats = npt.NDArray[np.float32]


def text_boxes(probability: Floats, parameters: BoxParameters = SPOTTING.boxes) -> Floats:
    """Find the boxes of a probability map [h, w]: corners [n, 4, 2] in pixels of the map.

    Corners (x, y) go clockwise from the upper left; the first edge is within 45° of horizontal. Boxes are sorted from
    top to bottom.
    """
    widened = np.ones((parameters.dilation, parameters.dilation), np.uint8)
    mask = cv2.dilate((probability > parameters.binary).astype(np.uint8), widened)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    rectangles = np.array([_flat(cv2.minAreaRect(contour)) for contour in contours], np.float32).reshape(-1, 5)
    rectangles = rectangles[rectangles[:, 2:4].min(axis=1) >= parameters.min_side]
    scores = np.array([_score(probability, core) for core in corners(rectangles)], np.float32)
    best_first = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores >= parameters.score)]
    rectangles = rectangles[best_first[: parameters.most]]
    grown = corners(unclip(rectangles, parameters.unclip))
    return grown[np.lexsort((grown[:, 0, 0], grown[:, 0, 1]))]


def unclip(rectangles: Floats, ratio: float = SPOTTING.boxes.unclip) -> Floats:
    """Grow rectangles [n, 5] (centre x, y, width, height, degrees) to undo the shrinking of the training targets.

    Offsetting a polygon by d and boxing the result, as the paper does, makes a rectangle 2d wider and higher.
    """
    width, height = rectangles[:, 2], rectangles[:, 3]
    distance = width * height * ratio / (2 * (width + height))
    grown = rectangles.copy()
    grown[:, 2] += 2 * distance
    grown[:, 3] += 2 * distance
    return grown


def corners(rectangles: Floats) -> Floats:
    """Corners [n, 4, 2] of rectangles [n, 5] (centre x, y, width, height, degrees), clockwise from the upper left."""
    x, y, width, height, degrees = rectangles.T
    quarter_turns = np.round(degrees / 90)
    odd = quarter_turns % 2 == 1
    width, height = np.where(odd, height, width), np.where(odd, width, height)
    angle = np.radians(degrees - 90 * quarter_turns)
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (width / 2)[:, np.newaxis]
    down = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * (height / 2)[:, np.newaxis]
    centre = np.stack([x, y], axis=1)
    upper, lower = centre - down, centre + down
    return np.stack([upper - along, upper + along, lower + along, lower - along], axis=1, dtype=np.float32)


def _flat(rectangle: tuple[Sequence[float], Sequence[float], float]) -> tuple[float, ...]:
    centre, size, degrees = rectangle
    return (*centre, *size, degrees)


def _score(probability: Floats, box: Floats) -> float:
    """Mean probability inside a box [4, 2]."""
    height, width = probability.shape
    left, top = np.clip(np.floor(box.min(axis=0)), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(box.max(axis=0)), 0, (width - 1, height - 1)).astype(int)
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [(box - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(probability[top : bottom + 1, left : right + 1], mask)[0])
