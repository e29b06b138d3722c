"""Photos of packs with a printed barcode, as phones take them, and of the same packs without one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from bench.barcode_print import MODULE, Code, Colour, Pixels, printed
from packsight.deploy.demo.shop.backdrops import BACKDROPS, Canvas
from packsight.deploy.demo.shop.camera import light
from packsight.deploy.demo.shop.products import items
from packsight.deploy.demo.shop.solids import Sprite, View, solid

Print = npt.NDArray[np.float32]
"""RGB, 0 to 255: [rows, columns, 3]."""

SIZES = ((1536, 2048), (2048, 1536), (2048, 1152))
"""Height and width in pixels: photos of phones as the worker decodes them."""
SCENES = 16
"""Different ones: they take longer to draw than all that is done with them."""
FINE = 2
"""Pixels of the sprite for one of the photo, so that warping it doesn't pick some bars and skip others."""
INKS: tuple[tuple[Colour, Colour], ...] = (
    ((12, 12, 12), (250, 250, 250)), ((12, 12, 12), (250, 250, 250)), ((20, 34, 90), (246, 240, 226)),
    ((40, 60, 30), (228, 236, 214)), ((60, 26, 20), (240, 214, 150)),
)  # fmt: skip
"""Bars and paper; mostly black on white, as on most packs."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a barcode is seen.

    turn: degrees in the photo's plane, drawn from ± this. tilt: degrees out of it, range. arc: degrees of a cylinder that the
    bars span, across or along them. soft: standard deviation of the blur in modules, range. moved: length in modules over which
    the camera moved, range. contrast: of print and light, range; grain: standard deviation of the noise in grey levels, range.
    """

    turn: float = 8.0
    tilt: tuple[float, float] = (0.0, 12.0)
    arc: tuple[float, float] = (0.0, 0.0)
    soft: tuple[float, float] = (0.0, 0.25)
    moved: tuple[float, float] = (0.0, 0.0)
    contrast: tuple[float, float] = (0.7, 1.0)
    grain: tuple[float, float] = (1.0, 4.0)


MANNERS = {
    "plain": Manner(),
    "turned": Manner(turn=180.0),
    "tilted": Manner(tilt=(30.0, 55.0)),
    "bent": Manner(arc=(70.0, 130.0)),
    "blurred": Manner(soft=(0.5, 0.9)),
    "moved": Manner(moved=(1.0, 2.5)),
    "dark": Manner(contrast=(0.2, 0.45), grain=(5.0, 10.0)),
    "all of it": Manner(180.0, (10.0, 35.0), (30.0, 80.0), (0.25, 0.5), (0.0, 0.8), (0.5, 0.9), (3.0, 7.0)),
}


def barcode_photo(code: Code | None, manner: Manner, module: float, rng: np.random.Generator) -> bytes:
    """JPEG of a pack in a scene; with `code`, its bars where the pack faces the camera, `module` pixels for the narrowest."""
    scene = _pack_in_scene(int(rng.integers(SCENES))).copy()
    if code is not None:
        ink, paper = INKS[int(rng.integers(len(INKS)))]
        label = printed(code, height=rng.uniform(0.35, 0.7), ink=ink, paper=paper)
        _lay(scene, _posed(_bent(label, manner, rng), manner, module, rng), rng)
    return _taken(light(scene, rng, 0.4), manner, module, rng)


@lru_cache(maxsize=SCENES)
def _pack_in_scene(number: int) -> Canvas:
    rng = np.random.default_rng([number])
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    place = str(rng.choice(["table", "kitchen", "cloth", "room", "shelf"]))
    scene = BACKDROPS[place](rng, height, width)
    everything = items()
    item = everything[int(rng.integers(len(everything)))]
    pack = solid(item, View(float(rng.uniform(-0.3, 0.3)), 0.1, round(min(height, width) * rng.uniform(0.65, 0.9))))
    pack = pack[: scene.shape[0], : scene.shape[1]]
    top, left = (height - pack.shape[0]) // 2, (width - pack.shape[1]) // 2
    _over(scene[top : top + pack.shape[0], left : left + pack.shape[1]], pack)
    return scene


def _bent(label: Pixels, manner: Manner, rng: np.random.Generator) -> Print:
    """The label as a cylinder shows it from the front: equal steps of print become sines."""
    arc = np.radians(rng.uniform(*manner.arc))
    if arc < 0.05:
        return label.astype(np.float32)
    height, width = label.shape[:2]
    upright = bool(rng.random() < 0.7)  # bars along the cylinder's axis, as on most bottles
    length = width if upright else height
    across = np.linspace(-1, 1, length, dtype=np.float32) * np.float32(np.sin(arc / 2))
    source = ((np.arcsin(across) / (arc / 2) + 1) * (length - 1) / 2).astype(np.float32)
    x = np.tile(source if upright else np.arange(width, dtype=np.float32), (height, 1))
    y = np.tile((np.arange(height, dtype=np.float32) if upright else source)[:, None], (1, width))
    bent = cv2.remap(label, x, y, cv2.INTER_LINEAR).astype(np.float32)
    shade = np.sqrt(np.clip(1 - across**2, 0, 1))
    return np.asarray(bent * (0.45 + 0.55 * (shade[None, :, None] if upright else shade[:, None, None])), np.float32)


def _posed(label: Print, manner: Manner, module: float, rng: np.random.Generator) -> Sprite:
    """The label turned and tilted before a pinhole camera, FINE times as large as on the photo."""
    small = cv2.resize(label, None, fx=FINE * module / MODULE, fy=FINE * module / MODULE, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    tilt = np.radians(rng.uniform(*manner.tilt)) * rng.choice([-1, 1])
    axis, turn = rng.uniform(0, np.pi), np.radians(rng.uniform(-manner.turn, manner.turn))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    flat = (corners - corners.mean(0)) @ _rotation(axis)
    distance = 4 * float(np.hypot(height, width))
    depth = 1 + flat[:, 1:] * np.sin(tilt) / distance
    seen = (flat * (1, np.cos(tilt)) / depth) @ _rotation(-axis) @ _rotation(turn)
    seen = (seen - seen.min(0)).astype(np.float32)
    size = (np.ceil(seen.max(0)) + 1).astype(int).tolist()
    sprite = np.dstack([small, np.full((height, width), 1.0)]).astype(np.float32)
    return np.asarray(
        cv2.warpPerspective(sprite, cv2.getPerspectiveTransform(corners, seen), size, flags=cv2.INTER_LINEAR), np.float32
    )


def _rotation(angle: float) -> npt.NDArray[np.float64]:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _lay(scene: Canvas, label: Sprite, rng: np.random.Generator) -> None:
    """Put the label on the middle of the pack, between the photo's pixels anywhere."""
    height, width = label.shape[:2]
    rows, columns = (-(-length // FINE) + 1 for length in (height, width))
    fine = np.zeros((rows * FINE, columns * FINE, 4), np.float32)
    fine[: min(height, rows * FINE), : min(width, columns * FINE)] = label
    fine = np.roll(fine, rng.integers(0, FINE, 2).tolist(), (0, 1))
    sprite = np.asarray(cv2.resize(fine, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
    sprite[..., :3] /= np.maximum(sprite[..., 3:], np.float32(1e-3))
    top = (scene.shape[0] - rows) // 2 + int(rng.integers(-150, 150))
    left = (scene.shape[1] - columns) // 2 + int(rng.integers(-100, 100))
    top, left = max(0, min(top, scene.shape[0] - rows)), max(0, min(left, scene.shape[1] - columns))
    _over(scene[top : top + rows, left : left + columns], sprite)


def _over(spot: Canvas, sprite: Sprite) -> None:
    spot += (sprite[..., :3] - spot) * sprite[..., 3:]


def _taken(scene: Canvas, manner: Manner, module: float, rng: np.random.Generator) -> bytes:
    """The photo: contrast, blur and movement in modules, noise, JPEG."""
    contrast = rng.uniform(*manner.contrast)
    scene = scene * np.float32(contrast) + np.float32(rng.uniform(0, 1) * 120 * (1 - contrast))
    soft = float(np.hypot(0.45, module * rng.uniform(*manner.soft)))  # no lens is sharper than half a pixel
    scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), soft), np.float32)
    length = module * rng.uniform(*manner.moved)
    if length >= 1:
        scene = np.asarray(cv2.filter2D(scene, -1, _movement(length, rng.uniform(0, np.pi))), np.float32)
    noise = rng.standard_normal((*scene.shape[:2], 1), np.float32) * np.float32(rng.uniform(*manner.grain))
    pixels = np.clip(scene + noise, 0, 255).astype(np.uint8)
    ok, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 94))])
    assert ok  # encoding pixels in memory has no way to fail
    return data.tobytes()


def _movement(length: float, angle: float) -> npt.NDArray[np.float32]:
    """The kernel of a camera that moved by so many pixels."""
    side, steps = 2 * round(length / 2 + 1) + 1, 64
    along = np.linspace(-length / 2, length / 2, steps)
    x, y = along * np.cos(angle) + side // 2, along * np.sin(angle) + side // 2
    kernel, _, _ = np.histogram2d(y, x, bins=side, range=[[-0.5, side - 0.5]] * 2)
    return np.asarray(kernel / steps, np.float32)
