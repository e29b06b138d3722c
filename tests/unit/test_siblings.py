"""Packs of one line that differ in a band's colour only: geometry lays them over each other, colour decides."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.geometry import verify
from packsight.shared.matching.matcher import Variant, match
from packsight.shared.vision.features import Features, make_features
from packsight.worker.pipeline.decode import Photo
from packsight.worker.pipeline.local_features import local_features, thumbnail
from tests.unit.matching_catalog import BOX, build, product

BANDS = [(200, 40, 40), (40, 90, 200), (40, 160, 60), (230, 190, 40)]


def pack(band: tuple[int, int, int], line: int = 0) -> npt.NDArray[np.uint8]:
    """A white carton with print that all of its line share, and a band of its own colour."""
    rng = np.random.default_rng(line)
    image = np.full((300, 180, 3), 240, np.uint8)
    for _ in range(60):
        x, y = int(rng.integers(5, 160)), int(rng.integers(5, 290))
        grey = int(rng.integers(0, 150))
        cv2.rectangle(image, (x, y), (x + int(rng.integers(4, 18)), y + int(rng.integers(4, 18))), (grey,) * 3, -1)
    image[120:170] = band
    return image


def shoot(image: npt.NDArray[np.uint8], seed: int) -> Photo:
    """Photograph a carton on a background of its own, tilted, in some light."""
    rng = np.random.default_rng(seed)
    scene = cv2.resize(rng.integers(60, 200, (5, 5, 3)).astype(np.uint8), (420, 420), interpolation=cv2.INTER_CUBIC)
    corners = np.array([[0, 0], [180, 0], [180, 300], [0, 300]], np.float32)
    target = corners + np.array([120, 60]) + rng.uniform(-18, 18, (4, 2))
    warp = cv2.getPerspectiveTransform(corners, target.astype(np.float32))
    mask = cv2.warpPerspective(np.full(image.shape[:2], 255, np.uint8), warp, (420, 420)) > 0
    scene = np.where(mask[..., None], cv2.warpPerspective(image, warp, (420, 420)), scene)
    lit = np.clip(scene * rng.uniform(0.8, 1.1) + rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8)
    return Photo(np.ascontiguousarray(lit), 420, 420)


def describe(band: int, seed: int) -> Features:
    shot = shoot(pack(BANDS[band]), seed)
    look = np.ones(8, np.float32) + 0.1 * np.random.default_rng(seed).normal(size=8)
    return make_features(
        hashlib.sha256(f"{band}-{seed}".encode()).hexdigest(), (420, 420), look.astype(np.float32),
        [WordRead(text="ARVELO KEFIR", confidence=0.99, box=BOX)], local_features(shot), thumbnail(shot),
    )  # fmt: skip


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    products = [product(number, "Arvelo", "Kefir") for number in range(4)]
    photos = {f"p{number}": [describe(number, 10 * number + shot) for shot in range(2)] for number in range(4)}
    return build(tmp_path_factory.mktemp("family") / "v", products, photos)


def right(family: Snapshot, variant: Variant) -> int:
    queries = [(band, describe(band, 100 + 10 * band + shot)) for band in range(4) for shot in range(3)]
    answers = [match(query, family, top_k=4, variant=variant).candidates[0].product.id for _, query in queries]
    return sum(answer == f"p{band}" for (band, _), answer in zip(queries, answers, strict=True))


def test_the_close_look_tells_siblings_of_another_colour_apart(family: Snapshot) -> None:
    assert right(family, Variant.FIRST_STAGE) < 8
    assert right(family, Variant.FITTED) >= 11


def test_the_details_in_agreement_are_told(family: Snapshot) -> None:
    evidence = match(describe(1, 500), family, top_k=1).candidates[0].evidence
    assert evidence.inliers is not None and evidence.inliers >= 8


def test_photos_of_unlike_packs_do_not_agree() -> None:
    a = local_features(shoot(pack(BANDS[0], line=1), 1))
    b = local_features(shoot(pack(BANDS[0], line=2), 2))
    assert verify(a, a).inliers > 50
    assert verify(a, b).inliers < 20


def test_a_photo_without_key_points_agrees_with_nothing() -> None:
    blank = local_features(Photo(np.full((64, 64, 3), 128, np.uint8), 64, 64))
    assert verify(blank, blank).homography is None
