"""What decoding a picture takes follows from what its header says of its samples, and so does how large it may be."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode
from packsight.shared.vision.peak import MOST, bytes_a_pixel, room_a_pixel
from packsight.shared.vision.picture import opened
from packsight.worker.pipeline.decode import decode
from tests.bombs import claiming, clear, flat, heic


def avif(bits: int, channels: int) -> bytes:
    pixels = np.full((64, 96, channels), 500, np.uint16)
    return cv2.imencode(".avif", pixels, [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_SPEED, 9])[1].tobytes()


@pytest.mark.parametrize(
    ("draw", "each"),
    [
        (partial(heic, 96, 64), 8.0),
        (partial(heic, 96, 64, bits=10, tile=64), 8.0),
        (partial(heic, 96, 64, chroma="444"), 9.5),
        (partial(heic, 96, 64, bits=10, chroma="422"), 13.5),
        (partial(heic, 96, 64, bits=10, chroma="444"), 15.5),
        (partial(heic, 96, 64, bits=10, chroma="444", alpha=True), 20.5),
        (partial(flat, 96, 64, "HEIF", "L"), 8.0),
        (partial(flat, 96, 64, "AVIF"), 8.0),
        (partial(flat, 96, 64, "AVIF", "L"), 8.0),
        (partial(flat, 96, 64, "AVIF", subsampling="4:2:2"), 8.5),
        (partial(flat, 96, 64, "AVIF", subsampling="4:4:4"), 9.5),
        (partial(clear, 96, 64, "AVIF"), 11.5),
        (partial(clear, 96, 64, "AVIF", subsampling="4:4:4"), 13.0),
        (partial(avif, 10, 3), 9.5),
        (partial(avif, 12, 4), 14.0),
        (partial(flat, 96, 64, "JPEG"), 7.0),
        (partial(flat, 96, 64, "JPEG", "CMYK"), 9.0),
    ],
)
def test_bytes_follow_from_bits_chroma_and_alpha(draw: Callable[[], bytes], each: float) -> None:
    data = draw()
    with Image.open(io.BytesIO(data)) as image:
        assert bytes_a_pixel(image, data)[0] == each


def test_an_avif_that_says_nothing_of_its_samples_takes_the_most() -> None:
    data = flat(96, 64, "AVIF")
    with Image.open(io.BytesIO(data)) as image:
        assert bytes_a_pixel(image, data.replace(b"av1C", b"free"))[0] == 12.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "HEIF", "AVIF"])
def test_a_photo_of_a_phone_may_have_all_the_pixels_that_there_may_be(kind: str) -> None:
    data = flat(96, 64, kind)
    with Image.open(io.BytesIO(data)) as image:
        assert bytes_a_pixel(image, data)[0] <= MOST
        room_a_pixel(image, data, 96 * 64)


def test_a_picture_whose_pixels_take_more_may_have_fewer_and_its_error_says_why_and_what_to_do() -> None:
    limits = Decode(max_pixels=1_000_000)
    small = heic(640, 480, bits=10, chroma="444")
    assert decode(small, limits).width == 640
    with pytest.raises(ImageError) as caught, opened(claiming(small, 900, 700), limits):
        raise AssertionError("it is opened")
    assert caught.value.code is ErrorCode.IMAGE_TOO_MANY_PIXELS
    most = int((9_600_000 - 4 * len(small)) / 15.5)
    assert f"900 × 700 pixels, more than {most:,}, with more than 8 bits and chroma of 4:4:4" in caught.value.message
    assert "Save it as a JPEG" in caught.value.remedy
