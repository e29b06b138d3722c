"""A pack laid into a scene: tilted, of some size, partly outside, before another background."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from packsight.indexer.made.cutout import Mask, Pixels
from packsight.indexer.made.parameters import SceneParameters

Scene = npt.NDArray[np.float32]
"""RGB, [height, width, 3], 0 to 255."""


def scene_with(
    pack: Pixels, mask: Mask, other: Pixels | None, chance: np.random.Generator, parameters: SceneParameters
) -> Scene:
    """Lay a pack before a background: a piece of another photo, or something drawn."""
    width, height = _size(chance, parameters)
    borrow = chance.random() < parameters.borrowed
    behind = _borrowed(other, chance, (width, height), parameters) if borrow and other is not None else None
    scene = _drawn(chance, (width, height)) if behind is None else behind
    place = _place(pack.shape[1], pack.shape[0], chance, (width, height), parameters)
    # Made smaller by the warp alone, fine print would turn into noise.
    scale = float(np.sqrt(abs(np.linalg.det(place[:2, :2]))))
    if scale < 0.7:
        size = max(1, round(pack.shape[1] * scale)), max(1, round(pack.shape[0] * scale))
        place = place @ np.diag([pack.shape[1] / size[0], pack.shape[0] / size[1], 1.0])
        pack, mask = (np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.uint8) for one in (pack, mask))
    laid = cv2.warpPerspective(pack, place, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.warpPerspective(cv2.erode(mask, np.ones((3, 3), np.uint8)), place, (width, height), flags=cv2.INTER_LINEAR)
    share = (cv2.blur(soft, (3, 3)).astype(np.float32) / 255)[..., None]
    return np.asarray(laid * share + scene * (1 - share), np.float32)


def _size(chance: np.random.Generator, parameters: SceneParameters) -> tuple[int, int]:
    """Width and height; two of three photos are upright."""
    shorter = round(parameters.longer * chance.uniform(*parameters.shape))
    return (shorter, parameters.longer) if chance.random() < 2 / 3 else (parameters.longer, shorter)


def _place(
    width: int, height: int, chance: np.random.Generator, size: tuple[int, int], parameters: SceneParameters
) -> npt.NDArray[np.float64]:
    """Homography [3, 3] from the pack's pixels to the scene's."""
    scale = chance.uniform(*parameters.pack) * min(size[0] / width, size[1] / height)
    half = scale * np.array([width, height]) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    angle = np.deg2rad(chance.uniform(-parameters.turn, parameters.turn))
    turned = corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = turned + chance.uniform(-1, 1, (4, 2)) * parameters.tilt * 2 * half
    room = np.array(size) / 2 - half * (1 - 2 * parameters.hidden)
    middle = np.array(size) / 2 + chance.uniform(-1, 1, 2) * np.maximum(room, 0)
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(source, (moved + middle).astype(np.float32)), np.float64)


def _borrowed(other: Pixels, chance: np.random.Generator, size: tuple[int, int], parameters: SceneParameters) -> Scene:
    """A piece of another photo, from a third to all of it: its colours and shapes, mirrored and blurred till nothing is known."""
    sides = [max(1, round(side * chance.uniform(0.35, 1.0))) for side in other.shape[:2]]
    top, left = (int(chance.integers(0, whole - side + 1)) for whole, side in zip(other.shape[:2], sides, strict=True))
    piece = cv2.resize(other[top : top + sides[0], left : left + sides[1]][:, ::-1], size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(piece.astype(np.float32), (0, 0), chance.uniform(*parameters.behind)), np.float32)


def _drawn(chance: np.random.Generator, size: tuple[int, int]) -> Scene:
    """Soft patches of a colour with a grain of its own, at times lying in bands as of boards or cloth."""
    width, height = size
    colour = chance.uniform(40, 225) * (1 + chance.uniform(-0.2, 0.2, 3))
    scene = np.ones((height, width, 3), np.float32) * colour.astype(np.float32)
    for cells, depth, strength in ((4, 1, 0.15), (5, 3, 0.06), (24, 1, 0.07), (160, 1, 0.04)):
        grid = chance.standard_normal((cells, cells, depth)).astype(np.float32)
        patches = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC).reshape(height, width, -1)
        scene *= 1 + strength * patches
    if chance.random() < 0.5:
        angle, step = chance.uniform(0, np.pi), chance.uniform(15, 90)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        along = (x * np.cos(angle) + y * np.sin(angle)) / step
        scene *= (1 + chance.uniform(0.05, 0.3) * np.tanh(4 * np.sin(along)))[..., None].astype(np.float32)
    return np.asarray(np.clip(scene, 3, 252), np.float32)
