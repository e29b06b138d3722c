"""WebP is decoded by OpenCV, and has the pixels that Pillow gives it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode
from packsight.shared.vision.picture import load, opaque
from packsight.shared.vision.structure import examine
from packsight.worker.pipeline import webp
from packsight.worker.pipeline.decode import decode
from tests.unit.test_decode import exif_orientation, refusal, saved, scene, webp_claiming


def picture(mode: str, size: tuple[int, int] = (101, 677)) -> Image.Image:
    """Noise over a scene, see-through in its upper half where the mode has an alpha; higher than what is turned at a time."""
    samples = np.asarray(scene(*size)).astype(int) + np.random.default_rng(3).integers(-20, 20, (*size[::-1], 3))
    image = Image.fromarray(samples.clip(0, 255).astype(np.uint8))
    if mode == "RGBA":
        image.putalpha(Image.fromarray(np.repeat(np.linspace(0, 255, size[1], dtype=np.uint8)[:, None], size[0], 1)))
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize(
    "options",
    [{"quality": 80}, {"quality": 20, "icc_profile": b"x" * 99}, {"lossless": True}, {"lossless": True, "exact": True}],
    ids=str,
)
def test_a_webp_has_the_pixels_that_pillow_gives_it(mode: str, options: dict[str, Any]) -> None:
    data = saved(picture(mode), "WEBP", **options)
    image = Image.open(io.BytesIO(data))
    assert webp.is_still(image)
    load(image)
    assert np.array_equal(decode(data, Decode(), max_side=None).pixels, np.asarray(opaque(image)))


def test_a_turned_webp_is_turned_once() -> None:
    data = saved(picture("RGB"), "WEBP", lossless=True, exif=exif_orientation(6))
    expected = picture("RGB").transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(decode(data, Decode(), max_side=None).pixels, np.asarray(expected))


def test_of_an_animation_the_first_picture_is_taken() -> None:
    data = saved(picture("RGB"), "WEBP", lossless=True, save_all=True, append_images=[scene(101, 677)])
    assert not webp.is_still(Image.open(io.BytesIO(data)))
    assert np.array_equal(decode(data, Decode(), max_side=None).pixels, np.asarray(picture("RGB")))


def test_a_large_animation_is_refused_as_such() -> None:
    error = refusal(webp_claiming(5001, 5000))
    assert (error.code, error.remedy) == (ErrorCode.IMAGE_TOO_MANY_PIXELS, "Send one of its pictures.")
    assert "animated" in error.message
    assert examine(webp_claiming(5000, 5000)) == (5000, 5000)


def test_a_picture_of_another_size_than_its_file_says_is_damaged() -> None:
    with pytest.raises(EOFError):
        webp.pixels(saved(picture("RGB"), "WEBP"), (677, 101))
    with pytest.raises(ImageError):
        decode(saved(picture("RGB"), "WEBP")[:-40], Decode())
