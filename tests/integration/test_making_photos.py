"""Photos made of products' only photos: which, and what they look like."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from packsight.indexer.build.fingerprint import fit_fingerprint
from packsight.indexer.build.parameters import FIT
from packsight.indexer.made.choice import behind, chosen
from packsight.indexer.made.cutout import Pixels, cut_out
from packsight.indexer.made.parameters import MADE
from packsight.indexer.made.photo import made_photo
from packsight.shared.catalog.manifest import PhotoRow
from packsight.shared.settings import Decode
from packsight.worker.pipeline.decode import Photo, decode
from packsight.worker.pipeline.local_features import query_features
from tests.packs import pack


def name(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def studio(margin: int = 60, line: int = 1) -> Pixels:
    """A pack before the white of a studio."""
    padding = ((margin, margin), (margin, margin), (0, 0))
    return np.pad(pack(line, (200, 30, 30)), padding, constant_values=255)


def seen(data: bytes) -> Pixels:
    return decode(data, Decode()).pixels


def test_the_same_photo_is_made_of_a_photo_every_time_and_another_one_of_another() -> None:
    pixels, other = studio(), studio(line=2)
    made = [made_photo(name(number), pixels, other) for number in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_what_is_made_is_a_photo_as_workers_take_them() -> None:
    for number in range(4):
        pixels = seen(made_photo(name(number), studio(), None))
        low, high = MADE.scene.shape
        assert max(pixels.shape) == MADE.scene.longer
        assert low * MADE.scene.longer <= min(pixels.shape[:2]) + 1 <= high * MADE.scene.longer + 1
        assert pixels.std() > 5


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3), (32, 32), (900, 33)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_nothing_is_too_small_long_or_plain_to_make_a_photo_of(size: tuple[int, int], value: int) -> None:
    plain = np.full((*size, 3), value, np.uint8)
    for number in range(3):
        assert seen(made_photo(name(number), plain, plain)).shape[2] == 3


def test_the_white_around_a_pack_stays_behind() -> None:
    part, mask = cut_out(studio(60), MADE.cutout)
    height, width = pack(1).shape[:2]
    assert abs(part.shape[0] - height) <= 4 and abs(part.shape[1] - width) <= 4
    assert (mask > 0).mean() > 0.97, "what is white inside the pack belongs to it"


def test_a_photo_without_a_margin_counts_as_a_flat_pack_and_so_does_a_blank_one() -> None:
    rng = np.random.default_rng(0)
    for photo in (rng.integers(0, 255, (90, 60, 3), np.uint8), np.full((90, 60, 3), 255, np.uint8)):
        part, mask = cut_out(photo, MADE.cutout)
        assert np.array_equal(part, photo) and (mask == 255).all()


def test_the_print_of_the_pack_is_still_on_what_is_made_of_it() -> None:
    """Key points of photos made of a pack are nearer to those of its photo than to another's."""

    def nearest(made: Pixels, photo: Pixels) -> float:
        found = [query_features(Photo(one, one.shape[1], one.shape[0])).descriptors for one in (made, photo)]
        one, other = (descriptors.astype(np.float32) for descriptors in found)
        distance = ((one[:, None] - other[None]) ** 2).sum(axis=2).min(axis=1)
        return float(np.sort(distance)[: len(distance) // 4].mean())

    own, foreign = studio(line=1), studio(line=2)
    for number in range(4):
        made = seen(made_photo(name(number), own, None))
        assert nearest(made, own) < nearest(made, foreign)


def rows(photos: dict[str, list[int]]) -> list[PhotoRow]:
    return [
        PhotoRow(product_id=product, sha256=name(number), source=f"{product}/{number}")
        for product, numbers in photos.items()
        for number in numbers
    ]


def test_only_photos_are_chosen_each_once_and_no_more_than_asked_for() -> None:
    photos = rows({"a": [1], "b": [2, 3], "c": [4], "d": [4], "e": [5]})
    assert chosen(photos, 10) == sorted(map(name, [1, 4, 5]))
    assert chosen(photos, 2) == sorted(map(name, [1, 4, 5]))[:2]
    assert chosen(photos, 0) == chosen([], 10) == []


def test_a_catalog_that_gains_products_keeps_nearly_all_that_were_chosen() -> None:
    before = chosen(rows({str(n): [n] for n in range(1000)}), 100)
    after = chosen(rows({str(n): [n] for n in range(-20, 1000)}), 100)
    assert len(set(before) & set(after)) >= 95


def test_another_photo_is_put_behind_each_mostly_the_same_when_others_come() -> None:
    photos = sorted(map(name, range(200)))
    before = [behind(photo, photos) for photo in photos]
    assert all(other in photos and other != photo for photo, other in zip(photos, before, strict=True))
    assert max(Counter(before).values()) < 20
    after = [behind(photo, sorted([*photos, *map(name, range(-10, 0))])) for photo in photos]
    assert sum(one == other for one, other in zip(before, after, strict=True)) > 170
    assert behind(photos[0], photos[:1]) is None and behind(photos[0], []) is None
    assert behind(photos[0], photos[:2]) == photos[1] and behind(photos[1], photos[:2]) == photos[0]


def test_every_number_that_a_photo_is_made_by_names_the_fit() -> None:
    changed = [
        replace(MADE, photos=7),
        replace(MADE, camera=replace(MADE.camera, warmth=0.2)),
        replace(MADE, scene=replace(MADE.scene, tilt=0.2)),
        replace(MADE, cutout=replace(MADE.cutout, tolerance=9)),
    ]
    names = {fit_fingerprint(replace(FIT, made=made)) for made in [MADE, *changed]}
    assert len(names) == 5


