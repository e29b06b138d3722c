"""The report's small pictures show what the workers saw: the same formats, turns, colours and limits."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.ExifTags import Base

from packsight.producer.thumbnails import thumbnail
from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode
from packsight.worker.pipeline.decode import decode

LIMITS = Decode()


def scene(mode: str = "RGB") -> Image.Image:
    """Quarters of different colours, so that every turn of it is another picture."""
    image = Image.new("RGB", (640, 400), (200, 200, 200))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 319, 199), fill=(200, 40, 40))
    draw.rectangle((320, 0, 640, 199), fill=(40, 160, 60))
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def shown(data: bytes, side: int = 200) -> np.ndarray[Any, np.dtype[np.uint8]]:
    made = thumbnail(data, LIMITS, side)
    picture = Image.open(io.BytesIO(base64.b64decode(made.uri.split(",")[1])))
    assert picture.size == (made.width, made.height)
    return np.asarray(picture.convert("RGB"))


def assert_as_decoded(data: bytes) -> None:
    small, decoded = shown(data), decode(data, LIMITS, max_side=200).pixels
    assert small.shape == decoded.shape
    # WebP costs a few steps, most where the picture is dithered; a wrong turn costs 50.
    assert np.abs(small.astype(int) - decoded).mean() < 10


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_a_thumbnail_of_any_format_is_the_decoded_picture(kind: str) -> None:
    assert_as_decoded(saved(scene(), kind))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sideways_photos_stand_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    assert_as_decoded(saved(scene(), kind, exif=exif))


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_colours_of_other_modes_are_the_decoders(mode: str) -> None:
    assert_as_decoded(saved(scene(mode), "TIFF"))


def test_transparent_pictures_lie_on_white() -> None:
    image = scene("RGBA")
    alpha = Image.new("L", image.size, 0)
    alpha.paste(255, (0, 0, image.width // 2, image.height))
    image.putalpha(alpha)
    pixels = shown(saved(image, "PNG"))
    assert pixels[:, pixels.shape[1] * 3 // 5 :].min() >= 252
    assert pixels[:, : pixels.shape[1] * 2 // 5].min() < 200


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 400).astype(np.uint16), (300, 1))
    assert_as_decoded(saved(Image.fromarray(ramp), kind))


def test_what_the_workers_refuse_has_no_thumbnail() -> None:
    with pytest.raises(ImageError) as caught:
        thumbnail(saved(scene(), "JPEG")[:600], LIMITS)
    assert caught.value.code is ErrorCode.IMAGE_TRUNCATED
