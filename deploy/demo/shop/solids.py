"""From flat faces to solids: boxes and cartons through a pinhole camera, round packages by unrolling a cylinder."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from packsight.deploy.demo.shop.lettering import Pixels
from packsight.deploy.demo.shop.packs import SIZES, front, mix, side, wrap
from packsight.deploy.demo.shop.products import Item, Shape

Sprite = npt.NDArray[np.float32]
"""RGB, each 0 to 255, and coverage 0 to 1: [height, width, 4]."""


@dataclass(frozen=True, slots=True)
class View:
    """How a package is turned: yaw and pitch in radians, and the height in pixels that it is drawn at."""

    yaw: float
    pitch: float
    height: int


def solid(item: Item, view: View) -> Sprite:
    """Draw a package in a view, cropped to its outline."""
    drawn = _faces(item, view) if item.family.shape in (Shape.BOX, Shape.CARTON) else _round(item, view)
    cover = drawn[..., 3] > 0.02
    rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
    return np.ascontiguousarray(drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


# Flat-sided packages -------------------------------------------------------------------------------------------------

Corners = list[tuple[float, float, float]]
_DISTANCE = 3.2
"""Of the camera from the package's middle, in heights of the package."""


def _box_faces(item: Item) -> list[tuple[Pixels, Corners, float]]:
    """Texture, corners (from the top left, clockwise; y up) and brightness of each face that may be seen."""
    width, height = SIZES[item.family.shape]
    w, h = width / height / 2, 0.5
    deep = w * (0.8 if item.family.shape is Shape.CARTON else 0.45)
    art, flank = front(item), side(item, round(2 * deep * height))
    lid = np.full((8, 8, 3), mix(item.family.base, (255, 255, 255), 0.25), np.uint8)
    faces: list[tuple[Pixels, Corners, float]] = [
        (flank, [(w, h, deep), (w, h, -deep), (w, -h, -deep), (w, -h, deep)], 0.80),
        (flank, [(-w, h, -deep), (-w, h, deep), (-w, -h, deep), (-w, -h, -deep)], 0.72),
    ]
    if item.family.shape is Shape.BOX:
        faces.append((lid, [(-w, h, -deep), (w, h, -deep), (w, h, deep), (-w, h, deep)], 1.06))
    else:
        roof = np.full((8, 8, 3), mix(item.family.base, item.family.accent, 0.5), np.uint8)
        tip = h + 0.20
        faces += [
            (roof, [(-w, tip, 0), (w, tip, 0), (w, h, deep), (-w, h, deep)], 1.02),
            (roof, [(w, tip, 0), (w, tip, 0), (w, h, -deep), (w, h, deep)], 0.66),
            (roof, [(-w, tip, 0), (-w, tip, 0), (-w, h, deep), (-w, h, -deep)], 0.62),
            (lid, [(-w, tip + 0.06, 0.01), (w, tip + 0.06, 0.01), (w, tip, 0.01), (-w, tip, 0.01)], 0.95),
        ]
    return [*faces, (art, [(-w, h, deep), (w, h, deep), (w, -h, deep), (-w, -h, deep)], 1.0)]


def _faces(item: Item, view: View) -> Sprite:
    cy, sy, cp, sp = np.cos(view.yaw), np.sin(view.yaw), np.cos(view.pitch), np.sin(view.pitch)
    turn = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    faces = _box_faces(item)
    points = np.array([corners for _, corners, _ in faces]) @ turn.T
    near = _DISTANCE / (_DISTANCE - points[..., 2:])
    flat = points[..., :2] * (1, -1) * near * view.height
    flat -= flat.min((0, 1)) - 2
    width, height = np.ceil(flat.max((0, 1)) + 2).astype(int).tolist()
    drawn = np.zeros((4, height, width), np.float32)
    for (texture, _, light), target in zip(faces, flat.astype(np.float32), strict=True):
        if _turned_away(target):
            continue
        _lay(drawn, texture, target, light)
    return np.asarray(cv2.merge(list(drawn)), np.float32)


def _turned_away(target: npt.NDArray[np.float32]) -> bool:
    (ax, ay), (bx, by) = target[2] - target[0], target[3] - target[1]
    return bool(ax * by - ay * bx <= 0)


def _lay(drawn: npt.NDArray[np.float32], texture: Pixels, target: npt.NDArray[np.float32], light: float) -> None:
    """Lay a texture over four corners of the drawing ([4, height, width]: colours and coverage), brightened by `light`."""
    h, w = texture.shape[:2]
    cover = np.zeros(drawn.shape[1:], np.uint8)
    cv2.fillConvexPoly(cover, np.round(target * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    if np.allclose(target[0], target[1]):  # a triangle has no perspective map; its texture is one colour anyway
        target = target + np.array([[0, 0], [1, 0], [0, 0], [0, 0]], np.float32)
    matrix = cv2.getPerspectiveTransform(np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32), target)
    size = (drawn.shape[2], drawn.shape[1])
    colour = cv2.warpPerspective(texture, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    share = cover.astype(np.float32) / 255
    for number, seen in enumerate(cv2.split(colour)):
        drawn[number] += (np.clip(seen * np.float32(light), 0, 255) - drawn[number]) * share
    np.maximum(drawn[3], share, out=drawn[3])


# Round packages ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Profile:
    """Half width over the height (both in parts of the body's half width and of the height), label zone, material."""

    outline: tuple[tuple[float, float], ...]
    label: tuple[float, float]
    wide: float
    """Width of the body divided by the height of the whole."""
    cap: tuple[float, float]
    """Zone that is cap or lid."""
    round: float = 1.0
    """1 = a cylinder, less = flattened."""


_PROFILES = {
    Shape.BOTTLE: _Profile(
        ((0, 0.34), (0.115, 0.34), (0.12, 0.3), (0.17, 0.32), (0.27, 0.93), (0.31, 1), (0.97, 1), (1, 0.93)),
        label=(0.32, 0.96), wide=0.52, cap=(0.0, 0.12),
    ),
    Shape.JAR: _Profile(
        ((0, 0.95), (0.02, 1.02), (0.19, 1.02), (0.2, 0.93), (0.25, 1), (0.96, 1), (1, 0.92)),
        label=(0.26, 0.95), wide=1.0, cap=(0.0, 0.2),
    ),
    Shape.TUBE: _Profile(
        ((0, 1.06), (0.03, 1.06), (0.5, 1.0), (0.80, 0.88), (0.84, 0.62), (0.845, 0.66), (1, 0.62)),
        label=(0.06, 0.82), wide=0.50, cap=(0.845, 1.0), round=0.55,
    ),
}  # fmt: skip


def _round(item: Item, view: View) -> Sprite:
    profile = _PROFILES[item.family.shape]
    height = view.height
    width = round(height * profile.wide * 1.12)
    v = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    heights, halves = zip(*profile.outline, strict=True)
    half = np.interp(v, heights, halves).astype(np.float32)
    x = np.linspace(-1.12, 1.12, width, dtype=np.float32)[None, :] / half
    inside = np.clip(x, -1, 1)
    angle = np.arcsin(inside) * profile.round + inside * (1 - profile.round) * 0.9
    bow = np.sin(view.pitch) * profile.wide * 0.5 * (np.cos(angle) - 0.6) * profile.round
    level = v - bow
    label = wrap(item)
    # The front face spans about 110 degrees of the round, so it is seen whole when the yaw is small.
    spread = np.float32(label.shape[1] / 3 / np.deg2rad(110))
    across = (label.shape[1] / 2 + (angle + view.yaw) * spread).astype(np.float32)
    top, bottom = profile.label
    down = ((level - top) / (bottom - top) * label.shape[0]).astype(np.float32)
    seen = cv2.remap(label, across, np.ascontiguousarray(np.broadcast_to(down, across.shape)), cv2.INTER_AREA,
                     borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    family = item.family
    body = np.array(mix(family.base, (255, 255, 255), 0.12), np.float32)
    on_label = _between(level, top, bottom, height)
    ribs = 0.94 + 0.06 * np.sign(np.sin(inside * 60))
    lid = np.array(mix(family.accent, (20, 20, 24), 0.2), np.float32)
    on_cap = _between(v, *profile.cap, height)
    shade = 0.52 + 0.5 * np.cos(np.clip(angle - 0.35, -1.5, 1.5)) ** 0.8
    gloss = 70 * np.exp(-(((inside + 0.62) / 0.055) ** 2)) + 24 * np.exp(-(((inside - 0.74) / 0.05) ** 2))
    off_label, off_cap = 1 - on_label, 1 - on_cap
    planes = []
    for drawn, of_body, of_lid in zip(cv2.split(seen), body, lid, strict=True):
        colour = drawn.astype(np.float32) * on_label + of_body * off_label
        colour = of_lid * ribs * on_cap + colour * off_cap
        planes.append(np.clip(colour * shade + gloss, 0, 255))
    cover = np.clip((1 - np.abs(x)) * half * width / 2.24 + 0.5, 0, 1)
    return np.asarray(cv2.merge([*planes, cover]), np.float32)


def _between(level: npt.NDArray[np.float32], low: float, high: float, height: int) -> npt.NDArray[np.float32]:
    """1 inside the zone, 0 outside, soft over one pixel."""
    return np.asarray(np.clip(np.minimum(level - low, high - level) * height + 0.5, 0, 1), np.float32)
