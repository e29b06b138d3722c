"""Drawn flat packs and photos of them, for the tests of key points and geometry: no network runs."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from packsight.worker.pipeline.decode import Photo

Pixels = npt.NDArray[np.uint8]

WHITE = (240, 240, 240)
SIZE = (180, 300)
"""Width and height of a pack in pixels."""
SCENE = 420
"""Pixels of a photo's sides."""


def pack(line: int, band: tuple[int, int, int] = WHITE) -> Pixels:
    """A white carton with print that all of its line share, and a band of its own colour."""
    rng = np.random.default_rng(line)
    image = np.full((SIZE[1], SIZE[0], 3), WHITE, np.uint8)
    for _ in range(60):
        x, y = int(rng.integers(5, 160)), int(rng.integers(5, 290))
        grey = int(rng.integers(0, 150))
        cv2.rectangle(image, (x, y), (x + int(rng.integers(4, 18)), y + int(rng.integers(4, 18))), (grey,) * 3, -1)
    image[120:170] = band
    return image


def shoot(image: Pixels, seed: int) -> Photo:
    """Photograph a pack on a background of its own, tilted, in some light."""
    return lit(laid(image, backdrop(seed), tilted(seed)), seed)


def tilted(seed: int, shift: tuple[float, float] = (120, 60), scale: float = 1.0) -> npt.NDArray[np.float64]:
    """Homography [3, 3] from a pack's pixels to a photo's, by corners that lie somewhere near an upright pack's."""
    rng = np.random.default_rng([1, seed])
    width, height = SIZE
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    target = scale * (corners + rng.uniform(-18, 18, (4, 2))) + np.array(shift)
    return np.asarray(cv2.getPerspectiveTransform(corners, target.astype(np.float32)), np.float64)


def backdrop(seed: int) -> Pixels:
    """Soft colours."""
    fields = np.random.default_rng([2, seed]).integers(60, 200, (5, 5, 3)).astype(np.uint8)
    return cv2.resize(fields, (SCENE, SCENE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def clutter(seed: int) -> Pixels:
    """A table full of things with edges and print of their own."""
    rng = np.random.default_rng([3, seed])
    scene = backdrop(seed)
    for _ in range(90):
        x, y = rng.integers(0, SCENE, 2).tolist()
        colour = rng.integers(0, 255, 3).tolist()
        cv2.ellipse(scene, (x, y), rng.integers(3, 30, 2).tolist(), float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return scene


def laid(image: Pixels, scene: Pixels, homography: npt.NDArray[np.float64]) -> Pixels:
    """A pack laid into a scene."""
    size = (scene.shape[1], scene.shape[0])
    mask = cv2.warpPerspective(np.full(image.shape[:2], 255, np.uint8), homography, size) > 0
    return np.where(mask[..., None], cv2.warpPerspective(image, homography, size), scene).astype(np.uint8)


def lit(scene: Pixels, seed: int) -> Photo:
    """The scene in some light, with noise."""
    rng = np.random.default_rng([4, seed])
    pixels = np.clip(scene * rng.uniform(0.8, 1.1) + rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8)
    return Photo(np.ascontiguousarray(pixels), scene.shape[1], scene.shape[0])
