"""Photos made worse, step by step until nobody can tell what they show: smaller, blurred, dark, overexposed, cut."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from packsight.worker.pipeline.decode import Pixels


def small(pixels: Pixels, side: float) -> Pixels:
    """The longer side reduced to so many pixels."""
    scale = side / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Out of focus: sigma as a share of the longer side."""
    return cv2.GaussianBlur(pixels, (0, 0), sigma * max(pixels.shape[:2])).astype(np.uint8, copy=False)


def moved(pixels: Pixels, length: float) -> Pixels:
    """Shaken: the path as a share of the longer side, slanted."""
    span = max(3, round(length * max(pixels.shape[:2])) | 1)
    kernel = np.zeros((span, span), np.float32)
    cv2.line(kernel, (0, span // 3), (span - 1, span - 1 - span // 3), 1.0)
    return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), np.uint8)


def dark(pixels: Pixels, light: float) -> Pixels:
    """So little light, by a factor on what the sensor counts, with its noise of two levels."""
    noise = np.random.default_rng(5).normal(0, 2, pixels.shape)
    seen: Pixels = np.clip(pixels * light + noise, 0, 255).astype(np.uint8)
    return seen


def bright(pixels: Pixels, light: float) -> Pixels:
    """Overexposed by a factor on what the sensor counts, on top of a veil."""
    seen: Pixels = np.clip(60 + pixels.astype(np.float32) * light, 0, 255).astype(np.uint8)
    return seen


def cut(pixels: Pixels, share: float) -> Pixels:
    """A corner: so much of each side, a tenth of it away from the photo's own corner."""
    height, width = (round(share * side) for side in pixels.shape[:2])
    top, left = height // 10, width // 10
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


KINDS: dict[str, tuple[Callable[[Pixels, float], Pixels], tuple[float, ...]]] = {
    "small, pixels": (small, (192, 128, 96, 64, 48, 32)),
    "blurred, of the longer side": (blurred, (0.005, 0.01, 0.02, 0.04)),
    "moved, of the longer side": (moved, (0.03, 0.06, 0.12)),
    "dark, light": (dark, (0.1, 0.04, 0.015)),
    "overexposed, light": (bright, (3, 10, 30)),
    "cut, of each side": (cut, (0.4, 0.2, 0.1)),
}
"""By name: what is done, and in what steps from bad to worse."""
