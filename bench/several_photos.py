"""Photos of several packs at once, drawn so that it is known where each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from packsight.deploy.demo.shop.backdrops import BACKDROPS, Canvas
from packsight.deploy.demo.shop.camera import expose, light
from packsight.deploy.demo.shop.products import Item, Shape
from packsight.deploy.demo.shop.solids import Sprite, View, solid

SIZES = ((1200, 900), (900, 1200), (1080, 1080))
"""Height and width in pixels."""
PLACES = ("table", "kitchen", "cloth", "room")
FILLED = (0.45, 0.7)
"""Share of the photo that the packs would cover side by side."""
OVERLAP = 0.25
"""Share of a pack that another one may hide: more hides the word that tells siblings apart."""
TRIES = 200
"""Places tried for a pack; the one that hides least is taken where all hide too much."""

Mask = npt.NDArray[np.bool_]
"""[height, width]."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A pack on a photo: what it is, and where its whole outline is, also where another pack hides it."""

    item: Item
    mask: Mask


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn photo as JPEG, and the packs on it, those behind first."""

    data: bytes
    packs: tuple[Standing, ...]


def several_packs(chosen: Sequence[Item], rng: np.random.Generator) -> Scene:
    """A photo of these packs, turned and tilted, that hide parts of each other; all of them are on it whole."""
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    scene = BACKDROPS[str(rng.choice(PLACES))](rng, height, width)
    each = height * width * float(rng.uniform(*FILLED)) / len(chosen)
    packs: list[Standing] = []
    for item in chosen:
        sprite = _posed(item, each, (0.9 * height, 0.9 * width), rng)
        left, top = _spot(sprite, [pack.mask for pack in packs], (height, width), rng)
        mask = np.zeros((height, width), bool)
        mask[top : top + sprite.shape[0], left : left + sprite.shape[1]] = sprite[..., 3] > 0.5
        spot = scene[top : top + sprite.shape[0], left : left + sprite.shape[1]]
        spot += (sprite[..., :3] - spot) * sprite[..., 3:]
        packs.append(Standing(item, mask))
    return Scene(_taken(scene, rng), tuple(packs))


def _posed(item: Item, area: float, room: tuple[float, float], rng: np.random.Generator) -> Sprite:
    """A pack of about so many pixels, turned, tilted and seen in perspective, at most as large as `room`."""
    flat = item.family.shape in (Shape.BOX, Shape.CARTON)
    yaw = float(rng.uniform(-0.35, 0.35)) * (1.0 if flat else 0.6)
    sprite = solid(item, View(yaw, float(rng.uniform(0.02, 0.2)), 640))
    h, w = sprite.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    turn = rng.normal(0, 0.15)
    around = (corners - corners.mean(0)) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    moved = around + rng.uniform(-0.04, 0.04, (4, 2)) * (w, h)
    moved *= np.sqrt(area / float(sprite[..., 3].sum()))
    moved -= moved.min(0)
    moved *= min(1.0, room[1] / moved[:, 0].max(), room[0] / moved[:, 1].max())
    size = np.ceil(moved.max(0)).astype(int).tolist()
    # Smaller first, since warping takes no average.
    scale = min(1.0, 1.2 * size[1] / h)
    small = np.asarray(cv2.resize(sprite, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.float32)
    small[..., :3] *= small[..., 3:]
    source = (corners * (small.shape[1] / w, small.shape[0] / h)).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(source, moved.astype(np.float32))
    posed = np.asarray(cv2.warpPerspective(small, matrix, size, flags=cv2.INTER_LINEAR), np.float32)
    posed[..., :3] /= np.maximum(posed[..., 3:], np.float32(1e-3))
    return posed


def _spot(sprite: Sprite, others: Sequence[Mask], room: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """Left and top of a place where it neither hides nor would be hidden by more than OVERLAP, but touches another if it can."""
    h, w = sprite.shape[:2]
    cover = sprite[..., 3] > 0.5
    best, least = (0, 0), np.inf
    for _ in range(TRIES):
        left, top = int(rng.integers(0, room[1] - w + 1)), int(rng.integers(0, room[0] - h + 1))
        shared = [np.count_nonzero(mask[top : top + h, left : left + w] & cover) for mask in others]
        smaller = [min(int(mask.sum()), int(cover.sum())) for mask in others]
        hidden = max((count / whole for count, whole in zip(shared, smaller, strict=True)), default=0.0)
        if hidden <= OVERLAP and (hidden > 0 or not others):
            return left, top
        if hidden < least:
            best, least = (left, top), hidden
    return best


def _taken(scene: Canvas, rng: np.random.Generator) -> bytes:
    return expose(light(scene, rng, 0.7), rng, float(rng.uniform(0.2, 0.7)))
