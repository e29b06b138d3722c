"""Whatever kind of file a photo comes in, the network sees the same: each gives the embedding of its plain picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode, Models, Precision
from packsight.worker.networks.base import Embedder
from packsight.worker.networks.load import load_embedder
from packsight.worker.pipeline.decode import decode
from tests.bombs import flat, saved
from tests.pictures import cosine, drawn

pillow_heif.register_heif_opener()

SAME = 0.99
COLOUR = Image.fromarray(drawn(300, 220))
GREY = COLOUR.convert("L")
OTHER = Image.new("RGB", COLOUR.size, (30, 90, 200))


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return load_embedder(Models(precision=Precision.F32, cache_dir=tmp_path_factory.mktemp("models")), 1)


@cache
def few() -> Image.Image:
    """The picture in a palette."""
    return COLOUR.quantize(64)


def turned(orientation: int) -> bytes:
    """A JPEG whose pixels are turned so that its EXIF orientation turns them back."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = COLOUR.transpose(undo[orientation]) if orientation in undo else COLOUR
    return saved(pixels, "JPEG", quality=95, exif=exif)


def on(shade: int) -> bytes:
    """The picture's upper half, transparent below, where its colours are `shade`."""
    pixels = np.dstack([np.asarray(COLOUR), np.full((300, 220), 255, np.uint8)])
    pixels[150:] = (shade, shade, shade, 0)
    return saved(Image.fromarray(pixels, "RGBA"), "PNG")


def half_white() -> Image.Image:
    pixels = np.asarray(COLOUR).copy()
    pixels[150:] = 255
    return Image.fromarray(pixels)


KINDS: dict[str, tuple[Callable[[], bytes], Callable[[], Image.Image]]] = {
    **{f"EXIF {number}": (partial(turned, number), COLOUR.copy) for number in range(1, 9)},
    "CMYK": (lambda: saved(COLOUR.convert("CMYK"), "JPEG", quality=95), COLOUR.copy),
    "grey of 16 bits": (lambda: saved(Image.fromarray(np.asarray(GREY, np.uint16) * 257), "PNG"), lambda: GREY.convert("RGB")),
    "alpha over black": (lambda: on(0), half_white),
    "alpha over white": (lambda: on(255), half_white),
    "palette": (lambda: saved(few(), "PNG"), lambda: few().convert("RGB")),
    "animated WebP": (lambda: saved(COLOUR, "WEBP", quality=95, save_all=True, append_images=[OTHER]), COLOUR.copy),
    "animated GIF": (lambda: saved(few(), "GIF", save_all=True, append_images=[OTHER]), lambda: few().convert("RGB")),
    "HEIC": (lambda: saved(COLOUR, "HEIF", quality=90), COLOUR.copy),
    "AVIF": (lambda: saved(COLOUR, "AVIF", quality=90, speed=10), COLOUR.copy),
    "grey JPEG": (lambda: saved(GREY, "JPEG", quality=95), lambda: GREY.convert("RGB")),
    "two JPEGs in one, as cameras with two lenses write": (
        lambda: saved(COLOUR, "MPO", quality=95, save_all=True, append_images=[OTHER]), COLOUR.copy,
    ),
    "progressive JPEG": (lambda: saved(COLOUR, "JPEG", quality=95, progressive=True), COLOUR.copy),
}
"""Each file and its plain picture, made when its test runs: every process of a run collects these names."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_of_any_kind_has_the_embedding_of_its_plain_picture(kind: str, embedder: Embedder) -> None:
    file, plain = KINDS[kind]
    found, expected = embedder.embed([decode(one, Decode()).pixels for one in (file(), saved(plain(), "PNG"))])
    assert cosine(found, expected) > SAME


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1)])
def test_a_photo_without_a_picture_is_refused_by_name(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError) as caught:
        decode(flat(*size, "PNG"), Decode())
    assert caught.value.code is ErrorCode.IMAGE_TOO_SMALL


def test_another_picture_has_another_embedding(embedder: Embedder) -> None:
    upside_down = COLOUR.transpose(Image.Transpose.ROTATE_90)
    found, expected = embedder.embed([np.asarray(one.resize((220, 300))) for one in (OTHER, upside_down)])
    assert cosine(found, expected) < SAME
