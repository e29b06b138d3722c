"""Whatever kind of file a photo comes in, the network sees the same: each gives the embedding of its plain picture."""

from __future__ import annotations

import io

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
FEW = COLOUR.quantize(64)
OTHER = Image.new("RGB", COLOUR.size, (30, 90, 200))


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return load_embedder(Models(precision=Precision.F32, cache_dir=tmp_path_factory.mktemp("models")), 1)


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


KINDS: dict[str, tuple[bytes, Image.Image]] = {
    **{f"EXIF {number}": (turned(number), COLOUR) for number in range(1, 9)},
    "CMYK": (saved(COLOUR.convert("CMYK"), "JPEG", quality=95), COLOUR),
    "grey of 16 bits": (saved(Image.fromarray(np.asarray(GREY, np.uint16) * 257), "PNG"), GREY.convert("RGB")),
    "alpha over black": (on(0), half_white()),
    "alpha over white": (on(255), half_white()),
    "palette": (saved(FEW, "PNG"), FEW.convert("RGB")),
    "animated WebP": (saved(COLOUR, "WEBP", quality=95, save_all=True, append_images=[OTHER]), COLOUR),
    "animated GIF": (saved(FEW, "GIF", save_all=True, append_images=[OTHER]), FEW.convert("RGB")),
    "HEIC": (saved(COLOUR, "HEIF", quality=90), COLOUR),
    "AVIF": (saved(COLOUR, "AVIF", quality=90, speed=10), COLOUR),
    "grey JPEG": (saved(GREY, "JPEG", quality=95), GREY.convert("RGB")),
    "progressive JPEG": (saved(COLOUR, "JPEG", quality=95, progressive=True), COLOUR),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_of_any_kind_has_the_embedding_of_its_plain_picture(kind: str, embedder: Embedder) -> None:
    data, plain = KINDS[kind]
    buffer = io.BytesIO()
    plain.save(buffer, "PNG")
    found, expected = embedder.embed([decode(one, Decode()).pixels for one in (data, buffer.getvalue())])
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
