"""Photos that are nearly the same: one picture saved twice, made smaller, or two of one burst. The second one adds nothing."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from packsight.indexer.reviewed.parameters import ReviewedParameters
from packsight.shared.vision.features import Features

_SIDE = 32
"""Pixels to which thumbnails are brought: finer than that two shots of a burst differ by the shake of a hand."""


def nearly_same(one: Features, other: Features, parameters: ReviewedParameters) -> bool:
    """Whether two photos have the same shape and, grey by grey, the same picture."""
    shapes = (one.width / one.height, other.width / other.height)
    if abs(shapes[0] / shapes[1] - 1) > parameters.shape:
        return False
    return correlation(one, other) >= parameters.nearly


def correlation(one: Features, other: Features) -> float:
    """Of the thumbnails' pixels, -1 to 1; 0 where one of them shows nothing."""
    first, second = _grey(one.thumbnail), _grey(other.thumbnail)
    if first is None or second is None:
        return 0.0
    return float(np.mean(first * second))


def _grey(thumbnail: bytes) -> npt.NDArray[np.float64] | None:
    """Small, grey, of mean 0 and variance 1."""
    if not thumbnail:
        return None
    picture = cv2.imdecode(np.frombuffer(thumbnail, np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        return None
    small = np.asarray(cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float64)
    spread = small.std()
    return None if spread < 1.0 else (small - small.mean()) / spread
