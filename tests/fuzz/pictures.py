"""A small picture of every kind that decoding takes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pillow_heif
from PIL import Image

from tests.bombs import saved
from tests.pictures import drawn

pillow_heif.register_heif_opener()

_EXIF = Image.Exif()
_EXIF[0x0112] = 6


def pictures() -> dict[str, bytes]:
    """By name; 120 × 160 pixels each."""
    return dict(_made())


def _made() -> Iterator[tuple[str, bytes]]:
    colour = Image.fromarray(drawn(160, 120))
    alpha = colour.convert("RGBA")
    alpha.putalpha(Image.fromarray(drawn(160, 120)[:, :, 0]))
    deep = Image.fromarray(drawn(160, 120)[:, :, 0].astype(np.uint16) * 257)
    other = colour.transpose(Image.Transpose.ROTATE_180)
    exif = _EXIF.tobytes()
    for subsampling in (0, 2):
        yield f"jpeg-{subsampling}", saved(colour, "JPEG", subsampling=subsampling, exif=exif)
        yield f"progressive-{subsampling}", saved(colour, "JPEG", subsampling=subsampling, progressive=True)
    yield "jpeg-grey", saved(colour.convert("L"), "JPEG")
    yield "jpeg-cmyk", saved(colour.convert("CMYK"), "JPEG")
    yield "mpo", saved(colour, "MPO", save_all=True, append_images=[other])
    for mode in ("RGB", "L", "1", "P"):
        yield f"png-{mode}", saved(colour.convert(mode), "PNG")
    yield "png-alpha", saved(alpha, "PNG", exif=exif)
    yield "png-16", saved(deep, "PNG")
    yield "png-animation", saved(colour, "PNG", save_all=True, append_images=[other])
    yield "gif", saved(colour, "GIF")
    yield "gif-animation", saved(colour, "GIF", save_all=True, append_images=[other])
    yield "webp", saved(colour, "WEBP", exif=exif)
    yield "webp-lossless", saved(alpha, "WEBP", lossless=True)
    yield "webp-animation", saved(colour, "WEBP", save_all=True, append_images=[other])
    yield "bmp", saved(colour, "BMP")
    yield "bmp-palette", saved(colour.convert("P"), "BMP")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield f"tiff-{compression}", saved(colour, "TIFF", compression=compression)
    yield "tiff-16", saved(deep, "TIFF")
    # Copies, since Pillow keeps the settings of a JPEG with a picture that was saved as one.
    yield "tiff-pages", saved(colour.copy(), "TIFF", save_all=True, append_images=[other.copy()])
    yield "heic", saved(colour, "HEIF", quality=60, exif=exif)
    yield "heic-alpha", saved(alpha, "HEIF", quality=60)
    yield "avif", saved(colour, "AVIF", speed=10)
    yield "avif-alpha", saved(alpha, "AVIF", speed=10)
