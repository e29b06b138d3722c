"""Where the pack is on a catalog photo: roughly, without any network."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from packsight.indexer.made.parameters import CutoutParameters

Pixels = npt.NDArray[np.uint8]
"""RGB, [height, width, 3]."""
Mask = npt.NDArray[np.uint8]
"""[height, width], 255 where the pack is."""


def cut_out(pixels: Pixels, parameters: CutoutParameters) -> tuple[Pixels, Mask]:
    """The part of a photo around the pack, and what of it is the pack.

    A margin of one colour that reaches the edge, as of a studio's photo, is none of it. Where there is no such margin, or
    hardly anything is left without it, the whole photo counts as a flat pack.
    """
    inside = _without_margin(pixels, parameters)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return np.ascontiguousarray(pixels[part]), np.ascontiguousarray(inside[part])


def _without_margin(pixels: Pixels, parameters: CutoutParameters) -> Mask:
    height, width = pixels.shape[:2]
    whole = np.full((height, width), 255, np.uint8)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    colour = np.median(edge, axis=0)
    if (np.abs(edge - colour).max(axis=1) <= parameters.tolerance).mean() < parameters.uniform:
        return whole
    # A frame of the margin's colour joins its parts, so that one filling reaches all of them.
    framed = cv2.copyMakeBorder(pixels, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=colour.tolist())
    filled = np.zeros((height + 4, width + 4), np.uint8)
    near = (float(parameters.tolerance),) * 3
    flags = 4 | (255 << 8) | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY
    cv2.floodFill(framed, filled, (0, 0), (0, 0, 0), near, near, flags)
    inside = np.where(filled[2:-2, 2:-2] > 0, 0, 255).astype(np.uint8)
    # Specks are what the camera or JPEG left on the margin.
    solid = np.asarray(cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8) > 0
    if solid.mean() < parameters.least:
        return whole
    # White areas of a pack that the filling came into lie between parts of it, both across and down.
    return (_between(solid, 0) & _between(solid, 1)).astype(np.uint8) * np.uint8(255)


def _between(solid: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.bool_]:
    """What lies between the first and the last that is set, along an axis."""
    after = np.logical_or.accumulate(solid, axis=axis)
    before = np.flip(np.logical_or.accumulate(np.flip(solid, axis), axis=axis), axis)
    return np.asarray(after & before, np.bool_)
