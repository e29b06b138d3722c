"""No file takes a child's time or memory: each is decoded in a process of its own, which says what that took."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from PIL import Image

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.vision.iso import coded
from packsight.shared.vision.structure import STRUCTURE
from tests import bombs
from tests.bombs import Decoding, Taken, claiming, flat
from tests.large_pictures import ALL_PIXELS, COSTLY, DRAWN, PHONE, stored
from tests.unit.test_decode import box_claiming, webp_claiming

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of resident memory from /proc")

MOST_MEGABYTES, MOST_SECONDS = 500, 5
THREADS = 5
"""Fewer than a child has, to save time: without bounds even these would take more than is allowed."""
FORMATS: dict[str, Callable[[], bytes]] = {
    "JPEG": partial(flat, *PHONE, kind="JPEG"),
    "progressive JPEG": partial(flat, *PHONE, kind="JPEG", progressive=True, subsampling=0),
    "HEIC": partial(stored, "HEIC"),
    "AVIF": partial(stored, "AVIF"),
    "WebP": partial(flat, *PHONE, kind="WEBP", method=0),
    "PNG": partial(flat, *PHONE, kind="PNG", compress_level=1),
}
CLAIMING: dict[str, Callable[[int, int], bytes]] = {
    "HEIC": partial(box_claiming, "HEIF"),
    "AVIF": partial(box_claiming, "AVIF"),
    "WebP": webp_claiming,
}
"""Files that say this size and hold a smaller picture: whoever decodes one before asking its size finds it broken."""


class Of(Protocol):
    def __call__(self, data: bytes, copies: int = 1) -> Taken: ...


@pytest.fixture(scope="module")
def decoding() -> Iterator[Decoding]:
    with bombs.decoding() as process:
        yield process


@pytest.fixture
def of(decoding: Decoding, tmp_path: Path) -> Of:
    """Says what decoding a file takes."""

    def taken(data: bytes, copies: int = 1) -> Taken:
        (tmp_path / "bomb").write_bytes(data)
        return decoding(tmp_path / "bomb", copies)

    return taken


@pytest.mark.parametrize("name", DRAWN)
def test_stored_pictures_are_of_the_kind_that_they_are_called(name: str) -> None:
    """What a decoder asks of a file's head, beside its size, is as in a small picture that is drawn now."""
    draw, (width, height) = DRAWN[name]
    with Image.open(io.BytesIO(stored(name))) as kept, Image.open(io.BytesIO(draw(1024, 768))) as drawn:
        assert kept.size == (width, height)
        assert (kept.format, kept.mode, kept.info.get("bit_depth")) == (drawn.format, drawn.mode, drawn.info.get("bit_depth"))


@pytest.mark.parametrize("name", bombs.BROKEN)
def test_a_file_of_too_many_parts_is_refused_before_they_take_time_or_memory(name: str, of: Of) -> None:
    result = of(bombs.BROKEN[name]())
    assert result.answers == [ErrorCode.IMAGE_BROKEN]
    assert result.seconds < 1.5
    assert result.megabytes < 40


@pytest.mark.parametrize("name", bombs.REPEATED)
def test_a_small_file_that_is_much_work_is_refused_at_once(name: str, of: Of) -> None:
    result = of(bombs.REPEATED[name]())
    assert result.answers == [ErrorCode.FILE_TOO_LARGE]
    assert result.seconds < 0.1
    assert result.megabytes < 40


def test_as_many_bytes_of_pixels_as_may_be_are_decoded_in_time(of: Of) -> None:
    data = bombs.grained("HEIF", 512, quality=22)
    assert 0.75 * STRUCTURE.coded < sum(coded(data)) < STRUCTURE.coded
    result = of(data)
    assert result.answers == ["8192x6144"]
    assert result.seconds < MOST_SECONDS
    assert result.megabytes < MOST_MEGABYTES


@pytest.mark.parametrize("name", bombs.DEEP)
def test_of_many_pages_or_frames_only_the_first_takes_time_and_memory(name: str, of: Of) -> None:
    result = of(bombs.DEEP[name]())
    assert result.answers == ["64x64" if name[:4] in {"TIFF", "AVIF"} else "160x96"]
    assert result.seconds < 0.15
    assert result.megabytes < 60


def test_run_lengths_are_decoded_in_time_as_far_as_they_are_taken(of: Of) -> None:
    result = of(bombs.run_lengths(3_700_000, 7200))
    assert result.answers == ["7200x7200"]
    assert result.seconds < MOST_SECONDS
    assert result.megabytes < MOST_MEGABYTES


def test_a_photo_of_as_many_scans_as_may_be_is_decoded_in_time(of: Of) -> None:
    result = of(bombs.scans(7168, 7168, STRUCTURE.scans, "CMYK"))
    assert result.answers == ["7168x7168"]
    assert result.seconds < MOST_SECONDS
    assert result.megabytes < MOST_MEGABYTES


@pytest.mark.parametrize("name", FORMATS)
def test_photos_of_48_megapixels_in_all_threads_of_a_child_share_its_room(name: str, of: Of) -> None:
    result = of(FORMATS[name](), THREADS)
    assert result.answers == ["8064x6048"] * THREADS
    assert result.seconds < MOST_SECONDS
    assert result.megabytes < MOST_MEGABYTES


@pytest.mark.parametrize("name", COSTLY | ALL_PIXELS)
def test_a_picture_whose_pixels_take_more_may_have_as_many_as_there_is_room_for(name: str, of: Of) -> None:
    width, height = (COSTLY | ALL_PIXELS)[name][1]
    result = of(stored(name))
    assert result.answers == [f"{width}x{height}"]
    assert result.seconds < MOST_SECONDS
    assert result.megabytes < MOST_MEGABYTES


@pytest.mark.parametrize("size", [PHONE, (9504, 6336)], ids=("48 megapixels", "60 megapixels"))
@pytest.mark.parametrize("name", COSTLY)
def test_one_with_more_is_refused_at_once(name: str, size: tuple[int, int], of: Of) -> None:
    result = of(claiming(COSTLY[name][0](640, 480), *size), 16)
    assert result.answers == [ErrorCode.IMAGE_TOO_MANY_PIXELS] * 16
    assert result.seconds < 0.2
    assert result.megabytes < 60


def test_a_large_file_without_its_end_takes_no_more_memory_than_a_whole_one(of: Of) -> None:
    grain = np.random.default_rng(7).integers(0, 256, (PHONE[1], PHONE[0], 3), np.uint8)
    result = of(bombs.unpacked_png(grain)[:-64])
    assert result.answers == ["8064x6048"]
    assert result.seconds < MOST_SECONDS
    assert result.megabytes < MOST_MEGABYTES


@pytest.mark.parametrize("name", CLAIMING)
def test_sixteen_photos_of_60_megapixels_are_refused_at_once(name: str, of: Of) -> None:
    result = of(CLAIMING[name](9504, 6336), 16)
    assert result.answers == [ErrorCode.IMAGE_TOO_MANY_PIXELS] * 16
    assert result.seconds < 0.2
    assert result.megabytes < 60


def test_a_large_animation_is_refused_at_once(of: Of) -> None:
    result = of(webp_claiming(6000, 6000))
    assert result.answers == [ErrorCode.IMAGE_TOO_MANY_PIXELS]
    assert result.seconds < 0.2
    assert result.megabytes < 60


def test_a_file_whose_process_ends_or_hangs_is_named_and_others_are_decoded_after_it(
    of: Of, decoding: Decoding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match="decoding missing: exit code 1"):
        decoding(tmp_path / "missing", 1)
    os.mkfifo(tmp_path / "endless")
    monkeypatch.setattr(bombs, "LIMIT", 1)
    with pytest.raises(RuntimeError, match=f"decoding endless: exit code -{signal.SIGALRM.value}"):
        decoding(tmp_path / "endless", 1)
    assert of(flat(64, 64, "PNG")).answers == ["64x64"]
