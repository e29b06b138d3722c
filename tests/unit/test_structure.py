"""Parts of a file are counted as its decoder would meet them."""

from __future__ import annotations

import struct

import pytest

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.vision import iso
from packsight.shared.vision.structure import STRUCTURE, examine
from packsight.worker.pipeline.decode import decode
from tests import bombs
from tests.grids import Grid
from tests.unit.test_decode import LIMITS, exif_orientation, refusal, saved, scene


@pytest.mark.parametrize("name", bombs.BROKEN)
def test_a_file_of_too_many_parts_is_broken(name: str) -> None:
    error = refusal(bombs.BROKEN[name]())
    assert error.code is ErrorCode.IMAGE_BROKEN
    assert error.message.startswith("The file has more than ")
    assert error.remedy == "Save the photo again in another program."


@pytest.mark.parametrize("name", bombs.REPEATED)
def test_bytes_of_pictures_count_as_often_as_they_are_decoded(name: str) -> None:
    data = bombs.REPEATED[name]()
    assert len(data) < 1_000_000
    error = refusal(data)
    assert error.code is ErrorCode.FILE_TOO_LARGE
    assert error.message == "The pictures in the file have more than 12,000,000 bytes, too many to be decoded in time"


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("items", [0, 1])
def test_a_picture_of_tiles_has_the_bytes_of_each(kind: str, items: int, version: int) -> None:
    tile = bombs.saved(scene(128, 128), kind)
    data = Grid(kind, tile, 128, 3, 4, items, version).file()
    pixels = len(tile) - tile.index(b"mdat") - 4
    assert sum(iso.coded(data)) == 12 + 12 * pixels
    if items == 0:
        assert decode(data, LIMITS).width == 512
    for end in range(0, len(data), 7):
        examine(data[:end])


def test_a_place_without_a_length_is_all_of_the_file_and_many_cost_nothing_to_count() -> None:
    """A hundred items of 65,535 places each, for which the list has no bytes."""
    places = b"\0\0\0\0\0\0" + struct.pack(">H", 100) + struct.pack(">HHH", 1, 0, 65_535) * 100
    box = b"meta" + bytes(4) + struct.pack(">I", 8 + len(places)) + b"iloc" + places
    data = b"\0\0\0\x10ftypheic" + bytes(4) + struct.pack(">I", 4 + len(box)) + box
    assert sum(iso.coded(data)) == 100 * 65_535 * len(data)
    assert len(list(iso.coded(data))) < 200


@pytest.mark.parametrize("around", [(), (b"meta",), (b"meta", b"iref")])
def test_boxes_are_counted_too(around: tuple[bytes, ...]) -> None:
    data = b"\0\0\0\x08free" * (STRUCTURE.parts + 1)
    for name in reversed(around):
        data = struct.pack(">I", 12 + len(data)) + name + bytes(4) + data
    with pytest.raises(ImageError, match="boxes, pictures and tiles"):
        examine(b"\0\0\0\x10ftypheic" + bytes(4) + data + bytes(16))


@pytest.mark.parametrize("name", bombs.DEEP)
def test_of_many_pages_or_frames_the_first_is_taken(name: str) -> None:
    assert decode(bombs.DEEP[name](), LIMITS).width in {64, 160}


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_progressive_photo_that_libjpeg_writes_is_far_within_the_scans(mode: str) -> None:
    data = bombs.flat(640, 480, "JPEG", mode, progressive=True)
    assert data.count(b"\xff\xda") < 0.3 * STRUCTURE.scans
    assert decode(data, LIMITS).width == 640


def test_the_last_scan_that_may_be_is_taken_and_the_next_is_not() -> None:
    assert examine(bombs.scans(64, 64, STRUCTURE.scans)) is None
    with pytest.raises(ImageError):
        examine(bombs.scans(64, 64, STRUCTURE.scans + 1))


def test_scans_are_counted_in_the_first_picture_alone_and_not_where_bytes_only_look_like_them() -> None:
    mark = b"\xff\xda"
    data = bombs.in_jpeg(b"\xff\xec\xf0\x02" + mark * 0x7800) + mark * 10_000
    assert decode(data, LIMITS).width == 160


def test_an_end_mark_before_the_first_scan_hides_nothing() -> None:
    with pytest.raises(ImageError):
        examine(bombs.in_jpeg(b"\xff\xd9" + b"\xff\xe5\0\2" * 300_000))


@pytest.mark.parametrize("restart", [1, 7])
def test_restart_marks_are_no_parts(restart: int) -> None:
    data = saved(scene(1600, 960), "JPEG", restart_marker_blocks=restart)
    assert data.count(b"\xff\xd0") > 100
    assert decode(data, LIMITS).width == 1600


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("kind", "refused"), [(5, True), (3, True), (7, False)])
def test_numbers_are_counted_in_every_kind_of_tiff_and_bytes_are_not(order: str, big: bool, kind: int, refused: bool) -> None:
    count = STRUCTURE.parts + 1
    start = b"II" if order == "<" else b"MM"
    start += struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8)
    directory = struct.pack(order + ("QHHQQ" if big else "HHHII"), 1, 282, kind, count, 0) + bytes(10 * count)
    if refused:
        with pytest.raises(ImageError, match="numbers in a field"):
            examine(start + directory)
    else:
        assert examine(start + directory) is None


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_many_headers_of_exif_are_refused_and_a_few_that_only_look_like_some_are_not(kind: str) -> None:
    whole = saved(scene(), kind, exif=exif_orientation(1))
    assert decode(whole + b"II*\0\xff\xff\xff\x7fMM\0*\0\0\0\x08" * 100, LIMITS).width == 160
    with pytest.raises(ImageError, match="headers of EXIF"):
        examine(whole + b"II*\0" * 2000)


@pytest.mark.parametrize("options", [{"quality": 80}, {"lossless": True}, {"quality": 80, "exif": b"Exif\0\0" + bytes(20)}])
def test_the_size_of_a_webp_is_known_before_it_is_opened(options: dict[str, object]) -> None:
    assert examine(saved(scene(301, 97), "WEBP", **options)) == (301, 97)


def test_the_size_of_a_gif_is_that_of_canvas_and_first_frame_whatever_stands_before_it() -> None:
    data = bytearray(saved(scene(), "GIF", comment=b"x" * 700))
    assert examine(bytes(data)) == (160, 96)
    at = data.index(b",\0\0\0\0")
    data[at + 1 : at + 9] = struct.pack("<HHHH", 50, 60, 300, 20)
    assert examine(bytes(data)) == (350, 96)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "HEIF"])
def test_a_file_that_ends_anywhere_is_left_to_the_decoder(kind: str) -> None:
    whole = saved(scene(), kind)
    for end in range(0, len(whole), max(1, len(whole) // 300)):
        examine(whole[:end])


def test_a_run_length_encoded_bmp_is_taken_unless_it_is_large() -> None:
    assert decode(bombs.run_lengths(60_000, 300), LIMITS).width == 300
    assert refusal(bombs.run_lengths(5_000_000, 3000)).code is ErrorCode.FORMAT_UNSUPPORTED
