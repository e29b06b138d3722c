"""Colours of packs laid over each other: how siblings that differ in colour only are told apart."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 96
"""Pixels; thumbnails are squashed to a square, in which positions are shares of width and height."""
MIN_COVERED = 0.02
"""Share of the query that a photo must cover to be compared."""
UNLIKE = 40.0
"""Difference in CIE Lab (ΔE, CIE 1976) from which colours have nothing in common."""
_BLUR = 1.5
_STEP = 3
"""Every third pixel is enough to fit the light: the blur makes neighbours alike."""

Pixels = npt.NDArray[np.float32]


def lab(jpeg: bytes) -> Pixels | None:
    """CIE Lab pixels [SIDE, SIDE, 3] of a thumbnail; None when it cannot be read."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None:
        return None
    image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    pixels = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), _BLUR), np.float32)


def region(hulls: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.bool_]:
    """Pixels [SIDE, SIDE] inside any of some hulls, whose corners are shares of width and height."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for hull in hulls:
        cv2.fillConvexPoly(mask, np.rint(np.clip(hull, -1, 2) * SIDE).astype(np.int32), 1)
    return mask > 0


def lay(photo: Pixels, homography: npt.NDArray[np.float64], query: Pixels, where: npt.NDArray[np.bool_]) -> Pixels:
    """Bring a photo into the query's frame and light [SIDE, SIDE, 3]; nan elsewhere than `where` it reaches.

    The light is corrected by one gain and offset per channel, fitted to the pixels that agree best.
    """
    scale = np.diag([SIDE, SIDE, 1.0])
    whole = scale @ homography @ np.linalg.inv(scale)
    laid = cv2.warpPerspective(photo, whole, (SIDE, SIDE), borderValue=(np.nan,) * 3)
    laid[~where] = np.nan
    covered = np.isfinite(laid[..., 0])
    if covered.mean() < MIN_COVERED:
        return np.full_like(query, np.nan)
    for channel in range(3):
        x = laid[..., channel][covered][::_STEP].astype(np.float64)
        y = query[..., channel][covered][::_STEP].astype(np.float64)
        gain, offset = _light(x, y, gain_free=channel == 0)
        laid[..., channel] = gain * laid[..., channel] + offset
    return np.asarray(laid, np.float32)


def _light(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], *, gain_free: bool) -> tuple[float, float]:
    """Least squares of y on x, repeated on the better half; hue channels only get an offset."""
    kept = np.ones(len(x), bool)
    gain, offset = 1.0, _middle(y - x)
    for _ in range(3):
        a, b = x[kept], y[kept]
        mean_a, mean_b = float(a.mean()), float(b.mean())
        variance = float((a - mean_a) @ (a - mean_a)) / len(a)
        if gain_free and variance > 1:
            gain = float(np.clip(float((a - mean_a) @ (b - mean_b)) / len(a) / variance, 0.5, 2.0))
        offset = mean_b - gain * mean_a
        gap = np.abs(y - gain * x - offset)
        kept = gap <= _middle(gap)
    return gain, offset


def _middle(values: npt.NDArray[np.float64]) -> float:
    """Median, the upper one of two: cheaper than NumPy's, which a close look would call a hundred times."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])


def agreement(query: Pixels, laid: list[Pixels]) -> npt.NDArray[np.float64]:
    """How well each laid photo's colours agree with the query's where the photos differ from each other.

    For each photo the mean over the others of (their difference - its own) there, ÷ UNLIKE: positive for the best. 0
    without others.
    """
    count = len(laid)
    result = np.zeros(count)
    if count < 2:
        return result
    off = [_difference(photo, query) for photo in laid]
    for a in range(count):
        for b in range(a + 1, count):
            weight = np.fmax(_difference(laid[a], laid[b]) - 8.0, 0.0)  # 0 where one of them does not reach
            total = float(weight.sum())
            if total < 1.0:
                continue
            gap = np.where(weight > 0, off[b] - off[a], 0.0)
            score = float(np.vdot(weight, gap)) / (total + 0.01 * SIDE**2 * UNLIKE) / UNLIKE
            result[a] += score / (count - 1)
            result[b] -= score / (count - 1)
    return result


def likeness(query: Pixels, photo: Pixels) -> float:
    """1 - mean difference of a laid photo's colours ÷ UNLIKE; 0 when it reaches nothing."""
    off = _difference(photo, query)
    reached = off[np.isfinite(off)]
    return float(1 - reached.mean() / UNLIKE) if len(reached) else 0.0


def _difference(one: Pixels, other: Pixels) -> npt.NDArray[np.float32]:
    """Per pixel, at most UNLIKE; nan where one of them is."""
    apart = one - other
    return np.asarray(np.minimum(np.sqrt(np.einsum("ijk,ijk->ij", apart, apart)), UNLIKE), np.float32)
