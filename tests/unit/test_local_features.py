"""Key points and thumbnails of drawn packs."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image

from packsight.shared.parameters import DETAILS
from packsight.shared.vision.features import LocalFeatures, as_packed, joined
from packsight.worker.pipeline.decode import Photo
from packsight.worker.pipeline.local_features import catalog_features, local_features, query_features, thumbnail


def pack(width: int = 480, height: int = 640) -> Photo:
    """A pack with blobs of many sizes at places that no other part of it resembles."""
    random = np.random.default_rng(3)
    pixels = np.full((height, width, 3), 235, np.uint8)
    for _ in range(260):
        centre = (int(random.integers(width)), int(random.integers(height)))
        radius = int(random.integers(3, max(4, width // 16)))
        colour = tuple(int(c) for c in random.integers(0, 255, 3))
        cv2.circle(pixels, centre, radius, colour, -1, cv2.LINE_AA)
    return Photo(pixels, width, height)


def plain(colour: tuple[int, int, int], width: int = 300, height: int = 200) -> Photo:
    return Photo(np.full((height, width, 3), colour, np.uint8), width, height)


def pairs(one: LocalFeatures, other: LocalFeatures) -> list[tuple[int, int]]:
    """Indices of descriptors that agree by Lowe's ratio test."""
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    found = matcher.knnMatch(one.descriptors.astype(np.float32), other.descriptors.astype(np.float32), k=2)
    return [(a.queryIdx, a.trainIdx) for a, b in found if a.distance < 0.8 * b.distance]


def test_at_most_four_hundred_points_come_as_shares_with_byte_descriptors() -> None:
    found = query_features(pack())
    assert 200 < len(found.points) <= 400
    assert found.points.dtype == np.float32
    assert found.points.shape == (len(found.points), 2)
    assert found.points.min() >= 0
    assert found.points.max() <= 1
    assert found.descriptors.dtype == np.uint8
    assert found.descriptors.shape == (len(found.points), 128)


def test_descriptors_are_root_sift_of_length_512() -> None:
    lengths = np.linalg.norm(query_features(pack()).descriptors.astype(np.float64), axis=1)
    assert np.all(lengths <= 512 + 6)
    assert np.median(lengths) > 500


def test_the_strongest_points_come_first() -> None:
    photo = pack()
    everything = query_features(photo).points
    weakened = photo.pixels.copy()
    left = weakened[:, : photo.width // 2].astype(np.int32)
    weakened[:, : photo.width // 2] = 128 + (left - 128) // 3
    first = query_features(Photo(weakened, photo.width, photo.height)).points[:50]
    assert (everything[:50, 0] < 0.5).mean() > 0.2
    assert (first[:, 0] > 0.5).mean() > 0.9


def test_points_lie_on_the_thing_that_they_describe() -> None:
    pixels = np.full((400, 800, 3), 255, np.uint8)
    discs = [(600, 100, 12), (200, 300, 20), (420, 180, 30)]
    for x, y, radius in discs:
        cv2.circle(pixels, (x, y), radius, (0, 0, 0), -1, cv2.LINE_AA)
    points = query_features(Photo(pixels, 800, 400)).points * [800, 400]
    middles = np.array([(x + 0.5, y + 0.5) for x, y, _ in discs])
    distance = np.linalg.norm(points[:, None] - middles, axis=2)
    assert (distance.min(axis=0) < 1.5).all(), "every disc is found by its middle"
    assert (distance.min(axis=1) < 60).all(), "and nothing elsewhere"


def test_the_same_pack_in_another_size_is_recognised_in_the_same_places() -> None:
    photo = pack()
    small = Photo(cv2.resize(photo.pixels, (240, 320), interpolation=cv2.INTER_AREA).astype(np.uint8), 240, 320)
    one, other = query_features(photo), query_features(small)
    agreed = pairs(one, other)
    shifts = np.array([np.abs(one.points[a] - other.points[b]).max() for a, b in agreed])
    assert len(agreed) > 80
    assert np.median(shifts) < 0.003


def same(one: LocalFeatures, other: LocalFeatures) -> bool:
    return np.array_equal(one.points, other.points) and np.array_equal(one.descriptors, other.descriptors)


def test_equal_pixels_give_equal_features() -> None:
    assert same(catalog_features(pack()), catalog_features(pack()))


def test_a_catalog_photo_has_first_what_it_would_be_asked_with_and_then_other_scales_in_turn() -> None:
    kept = as_packed(catalog_features(pack()))
    assert kept.leading is not None
    assert same(kept.as_query(), as_packed(query_features(pack())))
    others = [as_packed(local_features(pack(), *scale)) for scale in DETAILS.further_scales]
    further = kept[kept.leading :]
    assert len(further.points) == sum(len(one.points) for one in others) > 0
    for number, one in enumerate(others):
        shared = min(len(one.points) for one in others)
        assert same(further[number : shared * len(others) : len(others)], one[:shared]), "the strongest of each first"


def test_a_query_is_asked_with_all_it_has() -> None:
    found = query_features(pack())
    assert found.leading is None
    assert found.as_query() is found
    assert joined(found, []) is found


def test_so_many_points_are_kept_as_the_parameters_say_the_strongest_first() -> None:
    everything = query_features(pack())
    few = query_features(pack(), replace(DETAILS, query_scale=(DETAILS.query_scale[0], 50)))
    assert len(few.points) == 50
    assert np.array_equal(few.points, everything.points[:50])


def test_a_photo_without_key_points_gives_empty_arrays() -> None:
    found = query_features(plain((200, 200, 200)))
    assert found.points.shape == (0, 2)
    assert found.points.dtype == np.float32
    assert found.descriptors.shape == (0, 128)
    assert found.descriptors.dtype == np.uint8


def test_the_smallest_and_the_thinnest_photo_pass() -> None:
    for width, height in ((16, 16), (2048, 16), (16, 2048)):
        photo = pack(width, height)
        assert len(query_features(photo).points) <= 400
        assert thumbnail(photo)


def test_a_thumbnail_is_a_jpeg_of_longer_side_128_with_the_photos_colours() -> None:
    image = Image.open(io.BytesIO(thumbnail(plain((200, 40, 90)))))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (128, 85))
    assert np.abs(np.asarray(image, np.int32) - [200, 40, 90]).max() <= 3


def test_a_photo_smaller_than_a_thumbnail_is_enlarged() -> None:
    assert Image.open(io.BytesIO(thumbnail(plain((1, 2, 3), 30, 60)))).size == (64, 128)
