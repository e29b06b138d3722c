"""Photos that are looked at in parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.settings import Decode
from packsight.shared.vision.features import FloatArray
from packsight.shared.vision.models import SpotterDescription
from packsight.worker.networks.base import Enough, Image
from packsight.worker.pipeline.decode import Photo, decode
from packsight.worker.pipeline.extracted import part_of
from packsight.worker.pipeline.long_photos import LONG_PHOTOS, Cut, Size, bounded, is_long, parts
from packsight.worker.pipeline.reading import read_in_parts
from tests.unit.test_decode import saved


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 1000), (640, 480), (100, 300)])
def test_a_photo_that_is_not_long_is_bounded_by_its_longer_side_and_looked_at_whole(size: Size) -> None:
    assert max(bounded(size, 2048)) == min(2048, max(size))
    assert [(*part,) for part in parts(size, LONG_PHOTOS.seen)] == [(0, 0, *size)]


@pytest.mark.parametrize("size", [(1080, 3300), (1080, 8000), (15000, 1080), (900, 40_000), (9000, 700)])
def test_a_long_photo_keeps_its_shorter_side_within_the_pixels_of_a_square(size: Size) -> None:
    width, height = bounded(size, 2048)
    assert width * height <= 1.001 * 2048**2
    assert max(width, height) <= LONG_PHOTOS.longest
    assert min(width, height) >= min(682, 2048 / (max(size) / min(size)) ** 0.5 - 1)
    assert width / height == pytest.approx(size[0] / size[1], rel=0.01)


@pytest.mark.parametrize("size", [(1080, 3300), (15000, 1080)])
@pytest.mark.parametrize("cut", [LONG_PHOTOS.seen, LONG_PHOTOS.read])
def test_whatever_is_as_long_as_parts_share_is_whole_in_one_of_them(size: Size, cut: Cut) -> None:
    made = list(parts(size, cut))
    along = 0 if size[0] > size[1] else 1
    starts, length = [part[along] for part in made], made[0][2 + along]
    assert starts[0] == 0 and starts[-1] + length == pytest.approx(max(size))
    assert all(b - a <= length - cut.shared * min(size) + 1e-6 for a, b in pairwise(starts))
    assert all(part[3 - along] == min(size) for part in made)


def test_a_part_of_a_photo_is_cut_from_its_reduced_copy() -> None:
    pixels = np.arange(40 * 200 * 3, dtype=np.uint32).astype(np.uint8).reshape(200, 40, 3)
    photo = Photo(pixels, 80, 400)
    second = list(parts((80, 400), LONG_PHOTOS.seen))[1]
    part = part_of(photo, second)
    top = int(second.top / 2)
    assert (part.width, part.height) == (80, 160)
    assert np.array_equal(part.pixels, pixels[top : top + 80])
    whole = next(parts((80, 100), LONG_PHOTOS.seen))
    short = Photo(pixels[:50], 80, 100)
    assert np.shares_memory(part_of(short, whole).pixels, pixels)


def test_a_photo_so_long_that_nothing_of_its_width_would_be_left_is_refused_with_a_remedy() -> None:
    data = saved(Picture.new("RGB", (20, 60_000)), "PNG")
    with pytest.raises(ImageError) as caught:
        decode(data, Decode(min_side=16))
    assert caught.value.code is ErrorCode.IMAGE_TOO_SMALL
    assert "20 × 60000" in caught.value.message
    assert "Cut it" in caught.value.remedy
    assert decode(data, Decode(min_side=4)).pixels.shape[0] == LONG_PHOTOS.longest


class Bars:
    """Reads black bars: what is said of each is its length in pixels of the whole photo."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.asked = 0

    @property
    def description(self) -> SpotterDescription:
        raise NotImplementedError

    def warm_up(self) -> None:
        raise NotImplementedError

    def read_at(self, images: Sequence[Image], corners: Sequence[FloatArray]) -> list[list[WordRead]]:
        raise NotImplementedError

    def spot(self, images: Sequence[Image], enough: Enough | None = None) -> list[list[WordRead]]:
        self.seen = [image.shape[0] for image in images]
        found: list[list[WordRead]] = []
        for number, image in enumerate(images):
            _, _, stats, _ = cv2.connectedComponentsWithStats((image[:, :, 0] < 128).astype(np.uint8))
            lines = [_bar(*row[:4]) for row in stats[1:].tolist()]
            found.append(lines)
            if enough is not None:
                self.asked += 1
                enough(number, lines)
        return found


def _bar(left: int, top: int, width: int, height: int) -> WordRead:
    right, bottom = left + width, top + height
    box = [(float(x), float(y)) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]
    return WordRead(text=f"{width}x{height}", confidence=1.0, box=box)


def screenshot() -> tuple[Photo, list[tuple[int, int, int]]]:
    """A page of 100 × 1000 with a bar every 37 pixels; also left, top and right of each."""
    pixels = np.full((1000, 100, 3), 255, np.uint8)
    bars = [(10 + n, 20 + 37 * n, 60 + n) for n in range(26)]
    for left, top, right in bars:
        pixels[top : top + 12, left:right] = 0
    return Photo(pixels, 200, 2000), bars


def test_every_line_of_a_long_photo_is_read_once_at_its_place_also_where_parts_meet() -> None:
    photo, bars = screenshot()
    spotter = Bars()
    [lines] = read_in_parts(spotter, [photo])
    assert len(spotter.seen) > 4 and max(spotter.seen) <= 100
    assert [(*line.box[0], line.box[1][0]) for line in lines] == bars
    assert {line.text.split("x")[1] for line in lines} == {"12"}, "no line is cut off"


def test_whoever_asks_whether_it_is_enough_sees_the_lines_of_all_parts_so_far() -> None:
    photo, bars = screenshot()
    short = Photo(photo.pixels[:150], 200, 300)
    heard: list[tuple[int, int]] = []

    def enough(index: int, words: list[WordRead]) -> bool:
        heard.append((index, len(words)))
        return False

    read_in_parts(Bars(), [short, photo], enough)
    counts = [count for index, count in heard if index == 1]
    assert heard[0] == (0, 4)
    assert counts == sorted(counts) and counts[-1] == len(bars)
    assert is_long((200, 2000)) and not is_long((200, 300))
