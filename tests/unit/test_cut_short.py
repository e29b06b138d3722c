"""Files that end too early: taken where next to nothing is lacking and that can be measured, else refused by that name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.vision.cut_short import MOST_LACKING
from packsight.shared.vision.small import reduced
from packsight.worker.pipeline.decode import Photo, decode
from tests.bombs import chunk
from tests.unit.test_decode import LIMITS, exif_orientation, noise, refusal, saved, scene

PHOTO = Image.blend(noise(480, 640), scene(480, 640), 0.5)
PLAIN_BELOW = Image.linear_gradient("L").convert("RGB").resize((480, 640))
"""A pack on a plain ground: nearly all bytes are of the upper half."""
PLAIN_BELOW.paste(PHOTO.crop((0, 0, 480, 320)), (0, 0))


@cache
def palette() -> Image.Image:
    return PHOTO.quantize(128)


def cut_out(mode: str = "RGBA") -> Image.Image:
    """A pack whose lower quarter is transparent, and black there."""
    image = Image.new("RGBA", (480, 640))
    image.paste(PHOTO.crop((0, 0, 480, 480)), (0, 0))
    return image.convert(mode)


def planar(image: Image.Image = PHOTO) -> bytes:
    """A TIFF whose channels follow each other."""
    fields = [
        (256, 4, 1, 480), (257, 4, 1, 640), (258, 3, 3, 152), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 3, 158), (277, 3, 1, 3),
        (278, 4, 1, 640), (279, 4, 3, 170), (284, 3, 1, 2),
    ]  # fmt: skip
    directory = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields) + bytes(4)
    apart = struct.pack("<HHH", 8, 8, 8) + struct.pack("<III", *(182 + 480 * 640 * one for one in range(3)))
    head = (b"II*\0\x08\0\0\0" + directory).ljust(152, b"\0") + apart + struct.pack("<III", *[480 * 640] * 3)
    return head.ljust(182, b"\0") + np.asarray(image).transpose(2, 0, 1).tobytes()


def tiled() -> bytes:
    """A TIFF of two tiles side by side."""
    fields = [
        (256, 4, 1, 480), (257, 4, 1, 640), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1), (322, 3, 1, 240),
        (323, 3, 1, 640), (324, 4, 2, 134), (325, 4, 2, 142),
    ]  # fmt: skip
    directory = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields) + bytes(4)
    head = b"II*\0\x08\0\0\0" + directory + struct.pack("<IIII", 150, 150 + 240 * 640, 240 * 640, 240 * 640)
    pixels = np.asarray(PHOTO.convert("L"))
    return head + pixels[:, :240].tobytes() + pixels[:, 240:].tobytes()


def interlaced(image: Image.Image = PHOTO) -> bytes:
    """A PNG of Adam7's seven passes."""
    pixels, packed = np.asarray(image), b""
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
    for row, down, column, right in passes:
        packed += b"".join(b"\0" + line.tobytes() for line in pixels[row::down, column::right])
    header = struct.pack(">IIBBBBB", 480, 640, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND")


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(PHOTO.transpose(Image.Transpose.ROTATE_90), "TIFF", exif=exif)


FILES: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: saved(PHOTO, "PNG"),
    "PNG of few colours": lambda: saved(palette(), "PNG"),
    "PNG of 16 bits": lambda: saved(Image.fromarray(np.asarray(PHOTO.convert("L"), np.uint16) * 257), "PNG"),
    "grey PNG": lambda: saved(PHOTO.convert("L"), "PNG"),
    "PNG of lines": interlaced,
    "GIF": lambda: saved(palette(), "GIF"),
    "GIF of lines": lambda: saved(palette(), "GIF", interlace=1),
    "GIF with a transparent colour": lambda: saved(palette(), "GIF", transparency=200),
    "BMP": lambda: saved(PHOTO, "BMP"),
    "TIFF": lambda: saved(PHOTO, "TIFF"),
    "turned TIFF": turned,
    "planar TIFF": planar,
}
PACKED: dict[str, Callable[[], bytes]] = {
    "WebP": lambda: saved(PHOTO, "WEBP"),
    "lossless WebP": lambda: saved(PHOTO, "WEBP", lossless=True),
    "WebP with EXIF": lambda: saved(PHOTO, "WEBP", exif=Image.Exif().tobytes()),
    "HEIC": lambda: saved(PHOTO, "HEIF"),
    "AVIF": lambda: saved(PHOTO, "AVIF"),
    "TIFF of LZW": lambda: saved(PHOTO, "TIFF", compression="tiff_lzw"),
    "TIFF of JPEG": lambda: saved(PHOTO, "TIFF", compression="jpeg"),
    "TIFF of tiles": tiled,
}
PLAIN: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: saved(PLAIN_BELOW, "PNG"),
    "PNG of lines": lambda: interlaced(PLAIN_BELOW),
    "GIF": lambda: saved(PLAIN_BELOW.quantize(128), "GIF"),
    "BMP": lambda: saved(PLAIN_BELOW, "BMP"),
    "TIFF": lambda: saved(PLAIN_BELOW, "TIFF"),
    "planar TIFF": lambda: planar(PLAIN_BELOW),
    "JPEG": lambda: saved(PLAIN_BELOW, "JPEG"),
    "WebP": lambda: saved(PLAIN_BELOW, "WEBP"),
    "HEIC": lambda: saved(PLAIN_BELOW, "HEIF"),
    "AVIF": lambda: saved(PLAIN_BELOW, "AVIF"),
    "TIFF of LZW": lambda: saved(PLAIN_BELOW, "TIFF", compression="tiff_lzw"),
    "TIFF of JPEG": lambda: saved(PLAIN_BELOW, "TIFF", compression="jpeg"),
}


@cache
def written(file: Callable[[], bytes]) -> bytes:
    """When a test wants it: every process of a run collects these names."""
    return file()


@cache
def whole(data: bytes) -> Photo:
    """For the tests to compare with, each of which cuts off another share."""
    return decode(data, LIMITS)


@pytest.mark.parametrize("lacking", [1, 4, 64, "1 %"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_next_to_nothing_is_taken(name: str, lacking: Any) -> None:
    data = written(FILES[name])
    share = 300 if name == "planar TIFF" else 100  # of one of its three channels
    cut = len(data) // share if lacking == "1 %" else lacking
    expected, photo = whole(data), decode(data[:-cut], LIMITS)
    assert (photo.width, photo.height) == (expected.width, expected.height) == PHOTO.size
    far = np.abs(photo.pixels.astype(np.int16) - expected.pixels).max(axis=2) > 40
    assert far.mean() < (0.05 if lacking == "1 %" else 0.004)


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.66, 0.9, 0.95])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_more_is_refused(name: str, kept: float) -> None:
    data = written(FILES[name])
    assert refusal(data[: int(len(data) * kept)]).code is ErrorCode.IMAGE_TRUNCATED


@pytest.mark.parametrize("lacking", [2, 4, 64, "1 %"])
@pytest.mark.parametrize("name", PACKED)
def test_a_file_of_which_nothing_tells_how_many_rows_lack_is_refused(name: str, lacking: Any) -> None:
    data = written(PACKED[name])
    cut = len(data) // 100 if lacking == "1 %" else lacking
    assert refusal(data[:-cut]).code is ErrorCode.IMAGE_TRUNCATED


@pytest.mark.parametrize("share", [0.0002, 0.001, 0.002, 0.005, 0.01, 0.02])
@pytest.mark.parametrize("name", PLAIN)
def test_of_a_picture_that_is_plain_below_nothing_is_taken_with_more_rows_smeared(name: str, share: float) -> None:
    data = written(PLAIN[name])
    try:
        found = decode(data[: -max(1, int(share * len(data)))], LIMITS).pixels
    except ImageError as error:
        assert error.code is ErrorCode.IMAGE_TRUNCATED
        return
    wrong = np.abs(found.astype(np.int16) - whole(data).pixels).max(axis=2) > 8
    block = 16 / 640 if name == "JPEG" else 0.0  # of which a part lacks
    assert wrong.any(axis=1).mean() <= MOST_LACKING + block


@pytest.mark.parametrize(("kind", "lacking"), [("JPEG", 2), ("JPEG", 64), ("PNG", 20), ("GIF", 2), ("BMP", 1)])
def test_what_is_taken_is_shown_small_too(kind: str, lacking: int) -> None:
    data = saved(PHOTO, kind)
    small, whole = (np.asarray(reduced(file, LIMITS, 120), float) for file in (data[:-lacking], data))
    assert np.abs(small - whole).mean() < 2
    with pytest.raises(ImageError, match="ends too early"):
        reduced(data[: len(data) * 4 // 5], LIMITS, 120)


END = b"\xff\xd9"


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}], ids=["usual", "fine", "restarts"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_an_end_mark_in_the_midst_of_a_jpeg_makes_it_no_whole_one(kept: float, options: dict[str, Any]) -> None:
    """As programs put it there that repair files."""
    data = saved(PHOTO, "JPEG", **options)
    assert refusal(data[: int(len(data) * kept)] + END).code is ErrorCode.IMAGE_TRUNCATED
    assert refusal(data[: int(len(data) * kept)] + END + data).code is ErrorCode.IMAGE_TRUNCATED
    turned = saved(PHOTO, "JPEG", exif=exif_orientation(6), **options)
    assert refusal(turned[: int(len(turned) * kept)] + END).code is ErrorCode.IMAGE_TRUNCATED


@pytest.mark.parametrize("behind", [b"", END, b"\0" * 300, b"\xff\xd8\xff\xda\0\2a"], ids=["nothing", "mark", "zeros", "another"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=["usual", "scans", "restarts"])
def test_a_jpeg_that_is_as_grey_at_the_bottom_as_what_lacks_is_whole(behind: bytes, options: dict[str, Any]) -> None:
    image = PHOTO.copy()
    image.paste((128, 128, 128), (0, 320, 480, 640))
    assert decode(saved(image, "JPEG", **options) + behind, LIMITS).pixels[-1].tolist() == [[128] * 3] * 480


def test_a_jpeg_of_which_a_few_rows_lack_before_its_end_mark_is_taken() -> None:
    data = saved(PHOTO, "JPEG", subsampling=0)
    photo = decode(data[: len(data) * 99 // 100] + END, LIMITS)
    assert np.abs(photo.pixels[:600].astype(int) - whole(data).pixels[:600]).max() == 0


def test_rows_of_a_turned_picture_are_counted_as_they_are_stored() -> None:
    data, row = turned(), 640 * 3
    decode(data[: -9 * row], LIMITS)
    assert refusal(data[: -10 * row]).code is ErrorCode.IMAGE_TRUNCATED


def test_a_webp_may_lack_the_byte_that_makes_its_length_even() -> None:
    data = written(PACKED["WebP"])
    length = int.from_bytes(data[16:20], "little") - 1
    padded = data[:16] + length.to_bytes(4, "little") + data[20:-1] + b"\0"
    assert np.array_equal(decode(padded[:-1], LIMITS).pixels, decode(padded, LIMITS).pixels)
    assert refusal(padded[:-2]).code is ErrorCode.IMAGE_TRUNCATED


def test_what_is_transparent_at_the_bottom_is_not_taken_for_lacking() -> None:
    data = saved(cut_out(), "PNG")
    assert np.array_equal(decode(data[:-13], LIMITS).pixels, decode(data, LIMITS).pixels)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_a_packed_tiff_without_its_directory_ends_too_early(compression: str) -> None:
    data = saved(PHOTO, "TIFF", compression=compression)
    assert refusal(data[: -len(data) // 20]).code is ErrorCode.IMAGE_TRUNCATED


@pytest.mark.parametrize("cut", [1, 2, 3, 10, 64])
def test_a_progressive_jpeg_of_a_pack_on_a_plain_ground_is_taken_without_its_end(cut: int) -> None:
    for ground in ("white", PLAIN_BELOW):
        image = PLAIN_BELOW.copy() if ground is PLAIN_BELOW else Image.new("RGB", (480, 640), "white")
        image.paste(PHOTO.crop((0, 0, 300, 300)), (90, 90))
        data = saved(image, "JPEG", progressive=True)
        difference = np.abs(decode(data, LIMITS).pixels.astype(int) - decode(data[:-cut], LIMITS).pixels)
        assert (difference > 16).mean() < 0.002


def test_a_progressive_jpeg_that_lacks_a_scan_is_refused() -> None:
    image = Image.new("RGB", (480, 640), "white")
    image.paste(PHOTO.crop((0, 0, 300, 300)), (90, 90))
    data = saved(image, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    for kept in range(2000, last, 97):
        assert refusal(data[:kept]).code is ErrorCode.IMAGE_TRUNCATED
    assert refusal(data[:last]).code is ErrorCode.IMAGE_TRUNCATED
