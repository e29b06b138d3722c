"""Colours of packs laid over each other: how siblings that differ in colour only are told apart."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.parameters import ColourParameters

Pixels = npt.NDArray[np.float32]
Differences = npt.NDArray[np.float32]
"""ΔE per pixel [side, side]."""

_KEPT = 32
"""Thumbnails in Lab, 50 kB each: a photo and its candidates are compared at every stage."""


@lru_cache(maxsize=_KEPT)
def lab(jpeg: bytes, parameters: ColourParameters) -> Pixels | None:
    """CIE Lab pixels [side, side, 3] of a thumbnail, not to be written to; None when it cannot be read."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None:
        return None
    image = cv2.resize(image, (parameters.side, parameters.side), interpolation=cv2.INTER_AREA)
    pixels = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    blurred = np.asarray(cv2.GaussianBlur(pixels, (0, 0), parameters.blur), np.float32)
    blurred.flags.writeable = False
    return blurred


def region(hulls: list[npt.NDArray[np.float32]], side: int) -> npt.NDArray[np.bool_]:
    """Pixels [side, side] inside any of some hulls, whose corners are shares of width and height."""
    mask = np.zeros((side, side), np.uint8)
    for hull in hulls:
        cv2.fillConvexPoly(mask, np.rint(np.clip(hull, -1, 2) * side).astype(np.int32), 1)
    return mask > 0


def warped(
    photo: Pixels,
    homography: npt.NDArray[np.float64],
    query: Pixels,
    where: npt.NDArray[np.bool_],
    parameters: ColourParameters,
) -> Pixels:
    """Bring a photo into the query's frame and light [side, side, 3]; nan elsewhere than `where` it reaches.

    The light is corrected by one gain and offset per channel, fitted to the pixels that agree best.
    """
    side = parameters.side
    scale = np.array([side, side, 1.0])
    in_pixels = homography * scale[:, None] / scale
    laid = cv2.warpPerspective(photo, in_pixels, (side, side), borderValue=(np.nan,) * 3)
    laid[~where] = np.nan
    covered = np.isfinite(laid[..., 0])
    if covered.mean() < parameters.min_covered:
        return np.full_like(query, np.nan)
    some = np.flatnonzero(covered)[:: parameters.step]
    x, y = (np.ascontiguousarray(one.reshape(-1, 3)[some].T, np.float64) for one in (laid, query))
    light = [_light(x[channel], y[channel], parameters, gain_free=channel == 0) for channel in range(3)]
    gain, offset = np.array(light, np.float32).T
    return np.asarray(laid * gain + offset, np.float32)


def _light(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], parameters: ColourParameters, *, gain_free: bool
) -> tuple[float, float]:
    """Least squares of y on x, repeated on the better half; hue channels only get an offset."""
    least, most = parameters.gain
    a, b = x, y
    gain, offset = 1.0, 0.0
    for left in reversed(range(parameters.rounds)):
        mean_a, mean_b = _mean(a), _mean(b)
        if gain_free:
            off_a = a - mean_a
            variance = float(off_a @ off_a) / len(a)
            if variance > 1:
                gain = min(max(float(off_a @ (b - mean_b)) / len(a) / variance, least), most)
        offset = mean_b - gain * mean_a
        if left:
            gap = np.abs(y - gain * x - offset)
            kept = gap <= _middle(gap)
            a, b = x[kept], y[kept]
    return gain, offset


def _mean(values: npt.NDArray[np.float64]) -> float:
    """Without what NumPy's own asks of its argument first, which takes longer than the sum."""
    return float(np.add.reduce(values)) / len(values)


def _middle(values: npt.NDArray[np.float64]) -> float:
    """Median, the upper one of two: cheaper than NumPy's, which would be called a hundred times a photo."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])


def discriminative_colour(
    off: list[Differences], laid: list[Pixels], parameters: ColourParameters
) -> npt.NDArray[np.float64]:
    """How well each warped photo's colours agree with the query's where the photos differ from each other.

    off: of each, its `difference` from the query. For each photo the mean over the others of (their difference - its own) there,
    ÷ `far`: positive for the best. 0 without others.
    """
    far = parameters.far
    count = len(laid)
    result = np.zeros(count)
    if count < 2:
        return result
    for a in range(count):
        for b in range(a + 1, count):
            weight = np.fmax(difference(laid[a], laid[b], far) - parameters.near, 0.0)  # 0 where one of them does not reach
            total = float(weight.sum())
            if total < parameters.min_difference:
                continue
            gap = np.where(weight > 0, off[b] - off[a], 0.0)
            prior = parameters.prior_area * parameters.side**2 * far
            score = float(np.vdot(weight, gap)) / (total + prior) / far
            result[a] += score / (count - 1)
            result[b] -= score / (count - 1)
    return result


def colour_similarity(off: Differences, far: float) -> float:
    """1 - mean `difference` of a warped photo's colours from the query's ÷ `far`; 0 when it reaches nothing."""
    reached = off[np.isfinite(off)]
    return float(1 - reached.mean() / far) if len(reached) else 0.0


def difference(one: Pixels, other: Pixels, far: float) -> Differences:
    """ΔE per pixel, at most `far`; nan where one of them is."""
    apart = one - other
    return np.asarray(np.minimum(np.sqrt(np.einsum("ijk,ijk->ij", apart, apart)), far), np.float32)
