"""What light and camera make of a scene."""

from __future__ import annotations

import cv2
import numpy as np

from packsight.indexer.made.parameters import CameraParameters
from packsight.indexer.made.scene import Scene


def taken(scene: Scene, chance: np.random.Generator, parameters: CameraParameters) -> bytes:
    """A JPEG of a scene in some light, blurred and grained."""
    height, width = scene.shape[:2]
    warm = 1 + chance.uniform(-1, 1) * parameters.warmth
    cast = np.array([warm, 1.0, 1 / warm]) * chance.uniform(*parameters.gain)
    angle = chance.uniform(0, 2 * np.pi)
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    fall = 1 + chance.uniform(0, parameters.gradient) * (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2)
    lit = scene * cast.astype(np.float32) * fall[..., None].astype(np.float32)
    lit = 255 * (np.clip(lit, 0, 255) / 255) ** np.float32(chance.uniform(*parameters.gamma))
    seen = cv2.GaussianBlur(lit, (0, 0), chance.uniform(*parameters.blur))
    grain = chance.standard_normal((height, width, 3), np.float32) * np.float32(chance.uniform(*parameters.noise))
    pixels = np.clip(seen + grain, 0, 255).astype(np.uint8)
    quality = int(chance.integers(parameters.quality[0], parameters.quality[1] + 1))
    written, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert written  # noqa: S101 - encoding pixels in memory has no way to fail
    return data.tobytes()
