"""What light and camera do to a scene: colour cast, exposure, shade, blur, noise and JPEG."""

from __future__ import annotations

import math

import cv2
import numpy as np

from packsight.deploy.demo.shop.backdrops import Canvas, of_three


def light(scene: Canvas, rng: np.random.Generator, strength: float) -> Canvas:
    """Give the scene a light: a colour cast, an exposure, a falling-off, at times the edge of a shadow across it."""
    height, width = scene.shape[:2]
    warm = rng.normal(0, 0.13 * strength)
    cast = np.exp(np.array([warm, rng.normal(0, 0.05 * strength), -warm]))
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    turn = float(rng.uniform(0, 2 * math.pi))
    along = x * math.cos(turn) + y * math.sin(turn)
    shade = 1 + 0.22 * strength * along - 0.10 * strength * (x * x + y * y)
    if rng.random() < 0.35 * strength:
        edge = along * 0.7 - (x * math.sin(turn) - y * math.cos(turn)) * 0.72 - float(rng.uniform(-0.3, 0.4))
        shade = shade * (1 - 0.33 / (1 + np.exp(np.clip(-edge * 14, -30, 30))))
    exposure = float(rng.uniform(1 - 0.32 * strength, 1 + 0.14 * strength))
    lit = scene.reshape(height, width * 3) * np.tile(cast.astype(np.float32), width)
    return np.asarray(lit.reshape(scene.shape) * of_three(shade * exposure), np.float32)


def expose(scene: Canvas, rng: np.random.Generator, strength: float) -> bytes:
    """Take the photo: blur (out of focus or moved), sensor noise, tone, JPEG."""
    if rng.random() < 0.3 * strength:
        length = int(rng.integers(3, 3 + round(5 * strength)))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        tip = (length - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
        middle = (length - 1) / 2
        start, end = np.round(middle - tip).astype(int).tolist(), np.round(middle + tip).astype(int).tolist()
        cv2.line(kernel, start, end, 1.0)
        scene = np.asarray(cv2.filter2D(scene, -1, kernel / kernel.sum()), np.float32)
    else:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.35, 0.5 + 0.8 * strength)), np.float32)
    sigma = np.float32(rng.uniform(1.0, 1.5 + 6 * strength))
    height, width = scene.shape[:2]
    fine = rng.standard_normal((height, width, 1), np.float32)
    coarse = rng.standard_normal((height // 2, width // 2, 3), np.float32)  # colour noise is coarser after demosaicing
    coarse *= np.float32(0.6)
    grain = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST), np.float32)
    grain += of_three(fine[..., 0])
    grain *= sigma
    grain += scene
    level = np.clip(grain, 0, 255, out=grain).astype(np.uint8)
    gamma = rng.uniform(1 - 0.12 * strength, 1 + 0.15 * strength)
    pixels = cv2.LUT(level, (255 * (np.arange(256) / 255) ** gamma + 0.5).astype(np.uint8))
    quality = int(rng.integers(round(88 - 36 * strength), 94))
    ok, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok  # noqa: S101 - encoding pixels in memory has no way to fail
    return data.tobytes()
