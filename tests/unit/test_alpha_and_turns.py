"""What programs write beside the pixels and do not mean: an alpha that nothing uses, orientations of a picture long turned."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from packsight.shared.settings import Decode
from packsight.shared.vision.small import reduced
from packsight.worker.pipeline.decode import decode
from tests.bombs import chunk
from tests.unit.test_decode import LIMITS, distance, exif_orientation, saved, scene


def layered(alpha: int, mode: str = "RGBA") -> Image.Image:
    image = scene()
    image.putalpha(alpha)
    return image.convert(mode)


def bmp(alpha: bytes) -> bytes:
    """32 bits a pixel with masks, alpha's among them (BITMAPV3INFOHEADER)."""
    pixels = np.asarray(scene())[::-1, :, ::-1]
    rows = np.dstack([pixels, np.full(pixels.shape[:2], alpha[0], np.uint8)]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 56, 160, 96, 1, 32, 3, len(rows), 0, 0, 0, 0) + masks
    return b"BM" + struct.pack("<IHHI", 14 + 56 + len(rows), 0, 0, 70) + header + rows


KINDS: dict[str, dict[str, Any]] = {
    "PNG": {}, "WEBP": {"lossless": True, "exact": True}, "TIFF": {}, "AVIF": {"quality": 90},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_is_transparent_all_over_is_taken_as_opaque(kind: str) -> None:
    data = saved(layered(0), kind, **KINDS[kind])
    assert distance(decode(data, LIMITS), scene()) < 3
    assert np.abs(np.asarray(reduced(data, LIMITS, 160), float) - np.asarray(scene(), float)).mean() < 3


@pytest.mark.parametrize("canvas", [(200, 150), (10, 10)], ids=["larger", "smaller"])
def test_what_the_first_frame_of_a_gif_leaves_open_is_white(canvas: tuple[int, int]) -> None:
    image = scene().quantize(8)
    data = bytearray(saved(image, "GIF"))
    data[6:10] = struct.pack("<HH", *canvas)
    at = data.index(b"," + struct.pack("<HHHH", 0, 0, *image.size))
    data[at + 1 : at + 5] = struct.pack("<HH", 30, 20)
    photo = decode(bytes(data), LIMITS)
    whole = Image.new("RGB", (max(canvas[0], 190), max(canvas[1], 116)), "white")
    whole.paste(image.convert("RGB"), (30, 20))
    assert np.array_equal(photo.pixels, np.asarray(whole))
    assert np.array_equal(np.asarray(reduced(bytes(data), LIMITS, 200)), np.asarray(whole))


def test_an_alpha_that_a_bmp_does_not_use_hides_nothing() -> None:
    assert distance(decode(bmp(b"\0"), LIMITS), scene()) == distance(decode(bmp(b"\xff"), LIMITS), scene()) == 0
    assert distance(decode(saved(layered(0, "LA"), "PNG"), LIMITS), scene().convert("L")) == 0


def test_of_a_large_picture_with_a_transparent_half_the_half_stays_white() -> None:
    """It is converted in strips, some of them without a pixel to be seen."""
    image = Image.new("RGBA", (2000, 3000), (200, 30, 30, 0))
    image.paste((30, 60, 200, 255), (0, 0, 2000, 200))
    pixels = decode(saved(image, "PNG", compress_level=1), LIMITS, max_side=None).pixels
    assert pixels[100, 100].tolist() == [30, 60, 200]
    assert pixels[2900, 100].tolist() == [255, 255, 255]


XMP = b'<x:xmpmeta><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></x:xmpmeta>'


def profiled() -> bytes:
    """A PNG with EXIF as ImageMagick writes it into text."""
    exif = b"Exif\0\0" + exif_orientation(6).removeprefix(b"Exif\0\0")
    text = f"\nexif\n{len(exif):8}\n{exif.hex()}\n"
    whole = saved(scene(), "PNG")
    return whole[:33] + chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text.encode())) + whole[33:]


def noted() -> PngInfo:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return info


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(saved(scene(), "JPEG", quality=95, xmp=XMP), id="JPEG"),
        pytest.param(saved(scene(), "PNG", pnginfo=noted()), id="PNG"),
        pytest.param(saved(scene(), "WEBP", lossless=True, xmp=XMP), id="WebP"),
        pytest.param(saved(scene(), "TIFF", tiffinfo={700: XMP}), id="TIFF"),
        pytest.param(saved(scene(), "TIFF", tiffinfo={700: XMP}, compression="tiff_lzw"), id="packed TIFF"),
        pytest.param(profiled(), id="ImageMagick's profile"),
    ],
)
def test_only_exif_turns_a_picture(data: bytes) -> None:
    photo = decode(data, Decode())
    assert (photo.width, photo.height) == (160, 96)
    assert distance(photo, scene()) < 3
    assert reduced(data, LIMITS, 160).size == (160, 96)
