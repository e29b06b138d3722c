"""Drawn packs laid over photos of them: where they lie, and that others do not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from packsight.shared.matching.geometry import NO_AGREEMENT, GeometricMatch, lay, spread, verify
from packsight.shared.parameters import MATCHING, GeometryParameters
from packsight.shared.vision.features import LocalFeatures
from packsight.worker.pipeline.decode import Photo
from packsight.worker.pipeline.local_features import catalog_features, query_features
from tests.packs import SCENE, SIZE, clutter, laid, lit, pack, shoot, tilted

CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
Points = npt.NDArray[np.float64]


@cache
def studio(line: int) -> LocalFeatures:
    """Key points of a pack that fills its photo."""
    return catalog_features(Photo(pack(line), *SIZE))


def corners(homography: Points) -> Points:
    return np.asarray(cv2.perspectiveTransform(CORNERS[None], homography)[0], np.float64)


def true_corners(warp: Points) -> Points:
    """Where the pack's corners are on the photo, in shares of its sides."""
    return corners(np.diag([1 / SCENE, 1 / SCENE, 1]) @ warp @ np.diag([*SIZE, 1.0]))


@pytest.mark.parametrize(("shift", "scale"), [((120, 60), 1.0), ((230, 190), 0.7), ((20, 10), 1.3)])
def test_a_pack_is_found_where_it_lies(shift: tuple[float, float], scale: float) -> None:
    for seed in range(3):
        warp = tilted(seed, shift, scale)
        photo = lit(laid(pack(seed), clutter(seed), warp), seed)
        found = verify(query_features(photo), studio(seed))
        assert found.homography is not None
        error = np.linalg.norm(corners(found.homography) - true_corners(warp), axis=1)
        assert error.max() < 0.03, "of the photo's sides"
        inside = cv2.contourArea(true_corners(warp).astype(np.float32))
        assert 0.5 * inside < found.area < 1.2 * inside
        assert found.covered > 0.5 * spread(studio(seed).points)


def test_another_pack_is_not_found() -> None:
    for seed in range(6):
        query = query_features(lit(laid(pack(seed), clutter(seed), tilted(seed)), seed))
        own, other = (verify(query, studio(line)) for line in (seed, seed + 100))
        assert own.inliers > 40
        assert other.inliers < own.inliers / 5


def paired(query: LocalFeatures, photo: LocalFeatures, parameters: GeometryParameters) -> list[int]:
    """Which points of the query have no rival elsewhere, asked one by one of each of the photo's; nearest first."""
    pairs: list[tuple[int, int]] = []
    for index, one in enumerate(query.descriptors.astype(int)):
        distance = ((photo.descriptors.astype(int) - one) ** 2).sum(axis=1)
        first = int(distance.argmin())
        near = distance * parameters.ratio**2 <= distance[first]
        away = np.abs(photo.points - photo.points[first]).max(axis=1) >= parameters.elsewhere
        if not (near & away).any():
            pairs.append((int(distance[first]), index))
    return [index for _, index in sorted(pairs)]


@pytest.mark.parametrize("seed", range(5))
def test_those_points_are_paired_that_have_no_rival_elsewhere(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, geometry = np.random.default_rng(seed), MATCHING.geometry
    assert geometry.elsewhere > 0
    at, descriptors = chance.random((80, 2)), chance.integers(40, 200, (80, 128))
    copied = chance.integers(0, 80, 160)  # of some points there are several others of much the same look: beside them or anywhere
    beside = at[copied] + chance.uniform(-1.5, 1.5, (160, 2)) * geometry.elsewhere
    anywhere = chance.random((160, 2))
    copies = np.where(chance.random((160, 1)) < 0.8, beside, anywhere)
    noise = chance.integers(-12, 13, (160, 128)) * chance.random((160, 1))
    photo = LocalFeatures(
        np.concatenate([at, copies]).astype(np.float32),
        np.concatenate([descriptors, descriptors[copied] + noise]).astype(np.uint8),
    )
    query = LocalFeatures(at.astype(np.float32), (descriptors + chance.integers(-6, 7, (80, 128))).astype(np.uint8))
    laid_over: list[Points] = []

    def noted(points: Points, *_: object) -> GeometricMatch:
        laid_over.append(points)
        return NO_AGREEMENT

    monkeypatch.setattr("packsight.shared.matching.geometry.lay", noted)
    verify(query, photo, geometry)
    expected = paired(query, photo, geometry)
    strict, blind = (paired(query, photo, replace(geometry, elsewhere=elsewhere)) for elsewhere in (1e-9, 2.0))
    assert len(strict) + 5 < len(expected) < len(blind) - 5, "so that the place decides of many"
    assert laid_over[0].tolist() == query.points[expected].tolist()


def test_a_rival_elsewhere_counts_behind_one_in_the_same_place() -> None:
    chance = np.random.default_rng(0)
    at, descriptors = chance.random((24, 2)).astype(np.float32), chance.integers(0, 200, (24, 128)).astype(np.uint8)

    def like(value: int, by: int) -> npt.NDArray[np.uint8]:
        return np.asarray(descriptors + by * (np.arange(128) == value).astype(np.uint8), np.uint8)

    query = LocalFeatures(at, descriptors)
    photo = LocalFeatures(np.concatenate([at, at + 0.01]).astype(np.float32), np.concatenate([like(0, 10), like(1, 11)]))
    assert verify(query, photo).inliers == 24
    away = ((at[:12] + 0.5) % 1).astype(np.float32)
    rivalled = LocalFeatures(np.concatenate([photo.points, away]), np.concatenate([photo.descriptors, like(2, 11)[:12]]))
    assert verify(query, rivalled).inliers == 12


def test_a_point_of_the_query_counts_once_however_many_pairs_it_is_in() -> None:
    at = np.random.default_rng(0).random((12, 2)).astype(np.float32)
    once, thrice = lay(at, at), lay(np.repeat(at, 3, axis=0), np.repeat(at, 3, axis=0))
    assert once.inliers == thrice.inliers == 12
    few = np.repeat(at[:5], 3, axis=0)
    assert lay(few, few) == NO_AGREEMENT


@pytest.mark.parametrize("seed", range(5))
def test_few_right_pairs_are_found_among_many_where_most_of_the_likeliest_are_right(seed: int) -> None:
    chance = np.random.default_rng(seed)
    right, wrong = chance.random((40, 2)), chance.random((360, 2))
    query = np.concatenate([right, chance.random((360, 2))]).astype(np.float32)
    photo = np.concatenate([right * 0.6 + 0.2, wrong]).astype(np.float32)
    likely = np.argsort(-np.concatenate([chance.normal(1.5, 1, 40), chance.normal(0, 1, 360)]))
    assert lay(query[likely], photo[likely]).inliers >= 40
    assert lay(query[likely[::-1]], photo[likely[::-1]]).inliers < 40, "a tenth is too few to be drawn by chance"


def test_a_mirrored_print_is_not_the_same() -> None:
    at = np.random.default_rng(0).random((40, 2)).astype(np.float32)
    assert lay(at, at).inliers == 40
    assert lay(at * [-1, 1] + [1, 0], at) == NO_AGREEMENT  # type: ignore[arg-type]


def test_laying_is_the_same_at_each_call() -> None:
    query, photo = query_features(shoot(pack(2), 2)), studio(2)
    one, other = verify(query, photo), verify(query, photo)
    assert one.inliers == other.inliers and one.covered == other.covered
    assert one.homography is not None and other.homography is not None
    assert one.homography.tolist() == other.homography.tolist()


def test_what_has_no_key_points_agrees_with_nothing() -> None:
    blank = query_features(Photo(np.full((64, 64, 3), 128, np.uint8), 64, 64))
    assert verify(blank, studio(1)) == NO_AGREEMENT
    assert verify(query_features(Photo(pack(1), *SIZE)), LocalFeatures(blank.points, blank.descriptors)) == NO_AGREEMENT
    assert NO_AGREEMENT.area == 0
    assert NO_AGREEMENT.off_centre == pytest.approx(0.5**0.5)
