"""Which key points of a photo are worth most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from packsight.indexer.build.kept import kept_points, room
from packsight.indexer.build.parameters import FIT
from packsight.shared.matching.worthiest import worthiest
from packsight.shared.parameters import DETAILS, MATCHING
from packsight.shared.vision.features import ByteArray, FloatArray, LocalFeatures

SPREAD = MATCHING.spread


def unlike(count: int) -> ByteArray:
    """Descriptors of which no two are alike."""
    return np.array([np.roll([255] * 4 + [0] * 124, turn) for turn in range(count)], np.uint8).reshape(count, 128)


def places(*pairs: tuple[float, float]) -> FloatArray:
    return np.array(pairs, np.float32).reshape(-1, 2)


def line(count: int) -> LocalFeatures:
    """Points along a photo, of which no two are alike."""
    return LocalFeatures(np.linspace(0, 1, 2 * count, dtype=np.float32).reshape(count, 2), unlike(count))


def test_a_point_far_from_stronger_ones_is_worth_more_than_a_stronger_one_beside_them() -> None:
    crowd = [(0.5 + 0.021 * (x % 3), 0.5 + 0.021 * (x // 3)) for x in range(10)]
    best = worthiest(places(*crowd, (0.9, 0.9), (0.1, 0.1)), unlike(12), SPREAD).tolist()
    assert best[0] == 0, "the strongest of all"
    assert {10, 11} < set(best[:8])


def test_of_points_as_far_apart_the_stronger_come_first() -> None:
    square = places((0, 0), (1, 0), (0, 1), (1, 1))
    assert worthiest(square, unlike(4), SPREAD).tolist() == [0, 1, 2, 3]


def test_strength_counts_beside_distance() -> None:
    points = places((0, 0), (0.3, 0), (0.3, 0.29), (0.61, 0), *((0.01 * x, 0.9) for x in range(60)), (1.0, 0.45))
    best = worthiest(points, unlike(len(points)), SPREAD).tolist()
    assert best.index(len(points) - 1) > best.index(2), "far from all, but the faintest"


@pytest.mark.parametrize(("far", "other", "last"), [(0.001, 0, True), (0.001, 1, False), (2 * SPREAD.place, 0, False)])
def test_a_blob_seen_in_two_copies_counts_once_and_its_directions_each(far: float, other: int, last: bool) -> None:
    looks = unlike(4)[[0, other, 2, 3]]
    points = places((0.2, 0.2), (0.2 + far, 0.2), (0.2 + 3 * far, 0.2), (0.2, 0.2 + 3 * far))
    assert (worthiest(points, looks, SPREAD)[-1] == 1) == last


def test_what_is_repeated_hides_nothing() -> None:
    looks = unlike(3)[[0, 0, 1]]
    beside = places((0.2, 0.2), (0.215, 0.2), (0.23, 0.2))
    assert worthiest(beside, looks, replace(SPREAD, place=0.02)).tolist() == [0, 2, 1]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_points_are_all_there(count: int) -> None:
    assert sorted(worthiest(line(count).points, unlike(count), SPREAD).tolist()) == list(range(count))


def test_a_photo_with_no_more_than_are_kept_keeps_them_as_they_are() -> None:
    local = replace(line(100), leading=40)
    assert kept_points(local, 1) is local


def test_copies_take_turns_and_the_first_stays_first() -> None:
    further = len(DETAILS.further_scales)
    turns, copies = 60, 1 + further
    # Each halves what those before it left, so that none is farther from stronger ones than a stronger one is.
    halving = np.array([int(f"{place:08b}"[::-1], 2) / 256 for place in range(turns * copies)], np.float32)
    in_turn = np.stack([halving, np.zeros_like(halving)], axis=1).reshape(turns, copies, 2)
    points = np.concatenate([in_turn[:, 0], in_turn[:, 1:].reshape(-1, 2)])
    local = LocalFeatures(points, unlike(len(points)), turns)
    half = turns // 2
    kept = kept_points(local, 1, replace(FIT, points=half * copies))
    rows = [*range(half), *range(turns, turns + half * further)]
    assert kept.leading == half
    assert np.array_equal(kept.points, points[rows]) and np.array_equal(kept.descriptors, local.descriptors[rows])


def test_a_photo_keeps_as_many_as_there_is_room_for() -> None:
    rng = np.random.default_rng(0)
    local = LocalFeatures(rng.uniform(size=(600, 2)).astype(np.float32), rng.integers(0, 90, (600, 128)).astype(np.uint8), 200)
    for photos in (1, 300_000):
        assert len(kept_points(local, photos).points) == room(photos)


def test_points_of_one_copy_alone_are_kept_too() -> None:
    local = line(120)
    kept = kept_points(local, 1, replace(FIT, points=30))
    assert len(kept.points) == kept.leading == 30
