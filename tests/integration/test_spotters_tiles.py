"""Large photos with small print get a closer look, others do not pay for it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.shared.settings import Models
from packsight.worker.networks.base import Spotter
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.load import load_spotter
from packsight.worker.networks.spotters import ppocr
from packsight.worker.networks.spotters.ppocr import detector
from packsight.worker.networks.spotters.ppocr.boxes import Floats
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING
from packsight.worker.networks.spotters.ppocr.tiles import Tile, divide, merge, without_fragments

Pixels = npt.NDArray[np.uint8]

PRINTED = ["rosemary", "vitamin", "moisture", "almond"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(cache_dir=tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def spotter(models: Models) -> Spotter:
    return load_spotter(models, 1)


def shelf(size: int) -> Pixels:
    """A photo of 2048 × 1536 with a word of so many pixels in each quarter."""
    photo = np.full((2048, 1536, 3), (236, 228, 208), np.uint8)
    for text, place in zip(PRINTED, [(200, 300), (1000, 500), (200, 1300), (1000, 1700)], strict=True):
        cv2.putText(photo, text, place, (40, 20, 60), cv2.FontFace("sans"), size, 400)
    return photo


def box(left: float, top: float, right: float, bottom: float) -> Floats:
    return np.array([[[left, top], [right, top], [right, bottom], [left, bottom]]], np.float32)


def none() -> Floats:
    return np.zeros((0, 4, 2), np.float32)


def test_small_print_on_a_large_photo_is_read_where_it_stands(spotter: Spotter, models: Models) -> None:
    photo = shelf(13)
    words = spotter.spot([photo])[0]
    assert [word.text for word in words] == PRINTED
    for word, (x, y) in zip(words, [(200, 300), (1000, 500), (200, 1300), (1000, 1700)], strict=True):
        np.testing.assert_allclose(word.box[3], (x, y), atol=16)
    once = ppocr.load(models, Compiler(models, 1), replace(SPOTTING, detector=replace(SPOTTING.detector, reduced=0.0)))
    assert len(once.spot([photo])[0]) < len(PRINTED), "one look alone misses some"
    assert once.description.fingerprint() != spotter.description.fingerprint()


def test_a_closer_look_does_not_depend_on_the_neighbours(spotter: Spotter) -> None:
    photos = [shelf(13), shelf(90), np.ascontiguousarray(np.rot90(shelf(30))), shelf(15)]
    alone = [spotter.spot([photo])[0] for photo in photos]
    assert spotter.spot(photos) == alone
    assert all(alone)


@pytest.mark.parametrize(
    ("size", "height", "closer"),
    [
        ((2048, 1536), 40, True),
        ((2048, 1536), 80, False),
        ((1024, 768), 10, False),
    ],
)
def test_only_large_photos_with_small_lines_get_a_closer_look(size: tuple[int, int], height: int, closer: bool) -> None:
    photo = np.zeros((*size, 3), np.uint8)
    lines = np.concatenate([box(100, 200 * n, 400, 200 * n + height) for n in range(1, 4)])
    assert detector.misses_small_print(photo.shape, lines) is closer


def test_a_large_photo_on_which_nothing_was_found_gets_a_closer_look() -> None:
    assert detector.misses_small_print((2048, 1536), none())
    assert not detector.misses_small_print((1024, 768), none())


@given(st.integers(200, 8000), st.integers(200, 8000))
def test_at_most_four_overlapping_tiles_cover_the_photo(height: int, width: int) -> None:
    tiles = detector.tiles((height, width))
    assert 2 <= len(tiles) <= 4
    seen = np.zeros((height, width), np.uint8)
    for tile in tiles:
        assert 0 <= tile.top < tile.bottom <= height
        assert 0 <= tile.left < tile.right <= width
        seen[tile.top : tile.bottom, tile.left : tile.right] += 1
    assert seen.min() >= 1
    assert seen.max() >= 2, "they overlap"


def test_a_tile_knows_the_boxes_that_its_inner_sides_cut() -> None:
    tile = Tile(top=0, left=0, bottom=560, right=560)
    boxes = np.concatenate([box(0, 0, 90, 20), box(500, 40, 560, 60), box(40, 545, 90, 559), box(300, 300, 400, 320)])
    assert tile.cuts(boxes, (1000, 1000), margin=2).tolist() == [False, True, True, False]


def test_tiles_have_one_size() -> None:
    assert len({tile.size for tile in divide((2048, 1536), 2, 2)}) == 1


# Boxes of both looks


def test_a_line_that_both_looks_found_counts_once_with_its_closer_box() -> None:
    first, closer = box(100, 100, 300, 130), box(104, 102, 296, 127)
    np.testing.assert_array_equal(merge(closer, first), closer)


def test_a_line_that_two_tiles_found_counts_once_and_whole() -> None:
    whole, part = box(100, 100, 300, 130), box(100, 100, 180, 130)
    np.testing.assert_array_equal(merge(np.concatenate([part, whole])), whole)


def test_lines_that_one_look_alone_found_stay_from_top_to_bottom() -> None:
    upper, lower = box(100, 100, 300, 130), box(100, 200, 300, 230)
    np.testing.assert_array_equal(merge(lower, upper), np.concatenate([upper, lower]))
    np.testing.assert_array_equal(merge(none(), none()), none())


def test_a_headline_across_the_tiles_stays_one_line() -> None:
    headline, letter, small = box(100, 100, 900, 300), box(150, 120, 300, 290), box(100, 400, 200, 420)
    closer = without_fragments(np.concatenate([letter, small]), headline)
    np.testing.assert_array_equal(merge(closer, headline), np.concatenate([headline, small]))


def test_two_lines_that_the_first_look_took_for_one_are_two() -> None:
    block, lines = box(100, 100, 300, 160), np.concatenate([box(100, 100, 300, 128), box(100, 132, 300, 160)])
    np.testing.assert_array_equal(merge(without_fragments(lines, block), block), lines)
