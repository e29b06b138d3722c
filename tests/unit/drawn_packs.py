"""Packs with print of their own, laid over a scene at known places: for tests of where a product is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.prior import PRIOR
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.vision.features import Features, make_features
from packsight.worker.pipeline.decode import Photo, Pixels
from packsight.worker.pipeline.local_features import catalog_features, thumbnail
from tests.unit.matching_catalog import build, product

WIDTH, HEIGHT = 300, 400
SIDE = 800
"""Of photos, in pixels."""
Corners = Sequence[tuple[float, float]]
Mask = npt.NDArray[np.bool_]


def pack(number: int) -> Pixels:
    """A carton with blobs of many sizes that no other one has, up to its edges."""
    random = np.random.default_rng([5, number])
    pixels = np.full((HEIGHT, WIDTH, 3), random.integers(190, 250, 3), np.uint8)
    for _ in range(220):
        centre = (int(random.integers(WIDTH)), int(random.integers(HEIGHT)))
        colour = tuple(int(value) for value in random.integers(0, 255, 3))
        cv2.circle(pixels, centre, int(random.integers(3, 20)), colour, -1, cv2.LINE_AA)
    return pixels


def photograph(*packs: tuple[int, Corners]) -> Photo:
    """Packs, by number and corners in pixels, from the top left clockwise; later ones hide earlier ones."""
    random = np.random.default_rng(1)
    soft = cv2.resize(random.integers(70, 190, (6, 6, 3)).astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    scene = soft.astype(np.float32)
    flat = np.array([[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]], np.float32)
    for number, corners in packs:
        warp = cv2.getPerspectiveTransform(flat, np.array(corners, np.float32))
        laid = cv2.warpPerspective(pack(number), warp, (SIDE, SIDE), flags=cv2.INTER_LINEAR).astype(np.float32)
        scene = np.where(covered(corners)[..., None], laid, scene)
    lit = scene * 0.95 + random.normal(0, 2, scene.shape)
    return Photo(np.ascontiguousarray(np.clip(lit, 0, 255).astype(np.uint8)), SIDE, SIDE)


def box(left: float, top: float, height: float = HEIGHT, *, turn: float = 0.0, tilt: float = 0.0) -> list[tuple[float, float]]:
    """Corners of a pack whose upright box would start there: turned by so many radians, its top narrower by twice that share."""
    width = height * WIDTH / HEIGHT
    flat = np.array([[tilt * width, 0], [(1 - tilt) * width, 0], [width, height], [0, height]])
    middle = flat.mean(axis=0)
    turned = (flat - middle) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + middle
    return [(x + left, y + top) for x, y in turned.tolist()]


def covered(polygon: Corners) -> Mask:
    """Pixels of a photo inside a polygon."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.round(np.array(polygon)).astype(np.int32)], 1)
    return mask > 0


def overlap(one: Corners, other: Corners) -> float:
    """Intersection over union."""
    a, b = covered(one), covered(other)
    return float(np.count_nonzero(a & b) / np.count_nonzero(a | b))


@cache
def described(number: int) -> Features:
    """A pack in front of white, with its key points."""
    pixels = cv2.copyMakeBorder(pack(number), 60, 60, 100, 100, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    photo = Photo(np.asarray(pixels, np.uint8), pixels.shape[1], pixels.shape[0])
    name, look = hashlib.sha256(bytes([number])).hexdigest(), np.random.default_rng(number).normal(size=8)
    local = catalog_features(photo)
    return make_features(name, (photo.width, photo.height), look.astype(np.float32), [], local, thumbnail(photo))


def catalog(folder: Path, packs: int) -> Snapshot:
    """A product p0, p1, … for each pack, with one picture in front of white; decided about as without photos of its own."""
    products = [product(number, "Arvelo", f"Number {number}") for number in range(packs)]
    made = build(folder, products, {f"p{number}": [described(number)] for number in range(packs)})
    return replace(made, model=PRIOR)
