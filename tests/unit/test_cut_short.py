"""Files of any format that end too early: taken where next to nothing is lacking, else refused by that name."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.worker.pipeline.decode import decode
from tests.bombs import chunk
from tests.unit.test_decode import LIMITS, noise, refusal, saved, scene

PHOTO = Image.blend(noise(480, 640), scene(480, 640), 0.5)
PALETTE = PHOTO.quantize(128)


def cut_out(mode: str = "RGBA") -> Image.Image:
    """A pack whose lower quarter is transparent, and black there."""
    image = Image.new("RGBA", (480, 640))
    image.paste(PHOTO.crop((0, 0, 480, 480)), (0, 0))
    return image.convert(mode)


def planar() -> bytes:
    """A TIFF whose channels follow each other."""
    fields = [
        (256, 4, 1, 480), (257, 4, 1, 640), (258, 3, 3, 152), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 3, 158), (277, 3, 1, 3),
        (278, 4, 1, 640), (279, 4, 3, 170), (284, 3, 1, 2),
    ]  # fmt: skip
    directory = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields) + bytes(4)
    apart = struct.pack("<HHH", 8, 8, 8) + struct.pack("<III", *(182 + 480 * 640 * one for one in range(3)))
    head = (b"II*\0\x08\0\0\0" + directory).ljust(152, b"\0") + apart + struct.pack("<III", *[480 * 640] * 3)
    return head.ljust(182, b"\0") + np.asarray(PHOTO).transpose(2, 0, 1).tobytes()


def interlaced() -> bytes:
    """A PNG of Adam7's seven passes."""
    pixels, packed = np.asarray(PHOTO), b""
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
    for row, down, column, right in passes:
        packed += b"".join(b"\0" + line.tobytes() for line in pixels[row::down, column::right])
    header = struct.pack(">IIBBBBB", 480, 640, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND")


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(PHOTO.transpose(Image.Transpose.ROTATE_90), "TIFF", exif=exif)


FILES: dict[str, bytes] = {
    "PNG": saved(PHOTO, "PNG"),
    "PNG of few colours": saved(PALETTE, "PNG"),
    "PNG of 16 bits": saved(Image.fromarray(np.asarray(PHOTO.convert("L"), np.uint16) * 257), "PNG"),
    "grey PNG": saved(PHOTO.convert("L"), "PNG"),
    "PNG of lines": interlaced(),
    "GIF": saved(PALETTE, "GIF"),
    "GIF of lines": saved(PALETTE, "GIF", interlace=1),
    "GIF with a transparent colour": saved(PALETTE, "GIF", transparency=200),
    "BMP": saved(PHOTO, "BMP"),
    "TIFF": saved(PHOTO, "TIFF"),
    "turned TIFF": turned(),
    "planar TIFF": planar(),
    "WebP": saved(PHOTO, "WEBP"),
    "lossless WebP": saved(PHOTO, "WEBP", lossless=True),
    "HEIC": saved(PHOTO, "HEIF"),
}


@pytest.mark.parametrize("lacking", [1, 4, 64, "1 %"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_next_to_nothing_is_taken(name: str, lacking: Any) -> None:
    data = FILES[name]
    share = 300 if name == "planar TIFF" else 100  # of one of its three channels
    cut = len(data) // share if lacking == "1 %" else lacking
    whole, photo = decode(data, LIMITS), decode(data[:-cut], LIMITS)
    assert (photo.width, photo.height) == (whole.width, whole.height) == PHOTO.size
    far = np.abs(photo.pixels.astype(int) - whole.pixels).max(axis=2) > 40
    assert far.mean() < (0.05 if lacking == "1 %" else 0.004)


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.66, 0.9, 0.95])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_more_is_refused(name: str, kept: float) -> None:
    data = FILES[name]
    assert refusal(data[: int(len(data) * kept)]).code is ErrorCode.IMAGE_TRUNCATED


def test_an_avif_that_lacks_next_to_nothing_is_mostly_taken() -> None:
    data = saved(PHOTO, "AVIF", speed=10)
    whole, taken = decode(data, LIMITS).pixels.astype(int), 0
    for cut in (1, 2, 8, 16, 64, len(data) // 100):
        try:
            found = decode(data[:-cut], LIMITS).pixels
        except ImageError as error:
            assert error.code is ErrorCode.IMAGE_TRUNCATED  # not what the decoder made of the zeros
            continue
        taken += 1
        assert (np.abs(found - whole).max(axis=2) > 40).mean() < 0.05
    assert taken


def test_what_is_transparent_at_the_bottom_is_not_taken_for_lacking() -> None:
    data = saved(cut_out(), "PNG")
    assert np.array_equal(decode(data[:-13], LIMITS).pixels, decode(data, LIMITS).pixels)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_a_packed_tiff_without_its_directory_ends_too_early(compression: str) -> None:
    data = saved(PHOTO, "TIFF", compression=compression)
    assert refusal(data[: -len(data) // 20]).code is ErrorCode.IMAGE_TRUNCATED
