"""Key points that a version keeps of a photo: so many, spread over it, of each blob one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from packsight.indexer.build.kept_points import kept_points
from packsight.indexer.build.parameters import FIT
from packsight.indexer.build.thumbnails import small_thumbnail
from packsight.shared.vision.features import NO_LOCAL, LocalFeatures, joined

FEW = replace(FIT.kept, points=20)


def descriptors(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 90, (count, 128)).astype(np.uint8)


def at(points: list[tuple[float, float]], seed: int = 0) -> LocalFeatures:
    return LocalFeatures(np.array(points, np.float32).reshape(-1, 2), descriptors(len(points), seed))


def everywhere(count: int, seed: int) -> LocalFeatures:
    points = np.random.default_rng(seed).uniform(0, 1, (count, 2))
    return LocalFeatures(points.astype(np.float32), descriptors(count, seed))


def test_of_a_photo_with_few_points_all_are_kept() -> None:
    local = joined(everywhere(9, 1), [everywhere(5, 2), everywhere(4, 3)])
    kept = kept_points(local, FEW)
    assert sorted(map(tuple, kept.points.tolist())) == sorted(map(tuple, local.points.tolist()))
    assert len(kept_points(NO_LOCAL, FEW).points) == 0


def places(local: LocalFeatures) -> set[tuple[float, ...]]:
    return {tuple(point) for point in local.points.tolist()}


def test_as_many_are_kept_as_there_may_be_of_every_copy_the_strongest_first() -> None:
    own, small, large = everywhere(40, 1), everywhere(30, 2), everywhere(30, 3)
    kept = kept_points(joined(own, [small, large]), replace(FEW, strength=1000.0))
    assert len(kept.points) == len(kept.descriptors) == 20
    assert places(own[:6]) | places(small[:6]) | places(large[:6]) <= places(kept)


def test_points_are_spread_where_the_strongest_stand_together() -> None:
    bold = at([(0.5 + 0.001 * number, 0.5) for number in range(40)])
    faint = at([(x / 6, y / 6) for x in range(1, 6) for y in (1, 2, 4)], seed=5)
    both = LocalFeatures(np.concatenate([bold.points, faint.points]), np.concatenate([bold.descriptors, faint.descriptors]))
    assert places(faint) <= places(kept_points(both, replace(FEW, strength=0.0)))
    assert len(places(faint) & places(kept_points(both, FEW))) > 7
    assert not places(faint) & places(kept_points(both, replace(FEW, strength=1000.0)))


def test_a_blob_that_two_copies_show_is_kept_once() -> None:
    own, others = everywhere(18, 1), everywhere(18, 2)
    again = LocalFeatures(own.points + np.float32(0.003), np.clip(own.descriptors + 1, 0, 255).astype(np.uint8))
    kept = kept_points(joined(own, [again, others]), replace(FEW, points=36))
    assert places(kept) == places(own) | places(others)
    unlike = LocalFeatures(again.points, descriptors(18, 7))
    kept = kept_points(joined(own, [unlike, others]), replace(FEW, points=36))
    assert places(kept) & places(unlike)


def test_a_small_thumbnail_has_the_colours_of_the_picture_in_a_tenth_of_its_bytes() -> None:
    chance = np.random.default_rng(0)
    fields = cv2.resize(chance.integers(0, 255, (8, 6, 3)).astype(np.uint8), (96, 128), interpolation=cv2.INTER_NEAREST)
    noisy = np.clip(fields + chance.normal(0, 12, fields.shape), 0, 255).astype(np.uint8)
    jpeg = bytes(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
    small = small_thumbnail(jpeg)
    assert len(small) < len(jpeg) / 8
    image = cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and image.shape == (FIT.codes.thumbnail_side, 36, 3)
    middles = cv2.resize(fields, (36, 48), interpolation=cv2.INTER_AREA)[3::6, 3::6].astype(int)
    assert np.abs(image[3::6, 3::6] - middles).mean() < 12


def test_of_a_thumbnail_that_cannot_be_read_nothing_is_kept() -> None:
    assert small_thumbnail(b"") == small_thumbnail(b"no picture") == b""
