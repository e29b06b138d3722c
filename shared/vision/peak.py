"""What decoding a picture takes at its peak, by what its header says of its samples: in the decoder, in Pillow and as an array.

HEIC and AVIF may have more bits, finer chroma and transparency, with which they take up to three times as much as the same
pixels of a phone. Such a one may have fewer pixels, so that none takes more memory than others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from PIL import Image

from packsight.shared.contract.errors import ErrorCode, ImageError

MOST = 9.6
"""Bytes a pixel of pictures that may have all the pixels of `Decode.max_pixels`: 500 MB. Photos of phones take 8."""

_BYTES = {"JPEG": 7.0, "MPO": 7.0, "PNG": 8.0, "BMP": 8.0, "TIFF": 8.0, "GIF": 9.0, "WEBP": 16.0}
"""Measured with 48 megapixels. Most files take less (docs/operations.md): JPEG where it is not progressive, WebP in workers
(worker/pipeline/webp.py)."""
_INK = 2.0
"""More where there are four inks."""
_HEIC = {
    (False, "4:2:0"): (8.0, 9.0),
    (False, "4:2:2"): (9.0, 12.0),
    (False, "4:4:4"): (9.5, 12.5),
    (True, "4:2:0"): (8.0, 12.5),
    (True, "4:2:2"): (13.5, 18.5),
    (True, "4:4:4"): (15.5, 20.5),
}
"""By whether it has more than 8 bits, and by chroma: without alpha and with one. libheif keeps a whole picture of each step from
the decoder's samples to colours of 8 bits."""
_CHROMA = {420: "4:2:0", 422: "4:2:2"}
"""As pillow-heif says it, of a picture with colours."""
_PLANES = {"4:2:0": 1.5, "4:2:2": 2.0, "4:4:4": 3.0}
"""Samples a pixel."""
_AVIF, _AROUND = 8.0, 0.5
"""Of an AVIF libavif keeps the samples, and something beside those of colours and alpha each, while Pillow has what it makes of
them in 8 bits twice; at least what Pillow and the array take."""
_AV1 = re.compile(rb"av1C\x81.(.)", re.DOTALL)
_DEEP, _GREY, _HALF_ACROSS, _HALF_DOWN = 0x40, 0x10, 0x08, 0x04
"""Bits of the third byte of what configures a decoder (AV1 in ISOBMFF, 2.3.3)."""
_TOGETHER = 16.0
"""Bytes for each pixel of a HEIC or AVIF, whatever it takes alone: many at a time leave holes in memory. With 8 eight HEIC of 12
megapixels and 10 bits, four at a time, took 524 MB, with 16 they take less than 400."""
_FILE = 4
"""Copies of such a file that lie beside, in Pillow, in its plugin and in the decoder."""
_REMEDY = "Save it as a JPEG, smaller, or with 8 bits and without transparency, as phones write photos."


@dataclass(frozen=True, slots=True)
class Samples:
    """What a HEIC or AVIF has of each pixel."""

    deep: bool
    """More than 8 bits."""
    chroma: str
    """Of one without colours the least."""
    alpha: bool

    def __str__(self) -> str:
        fine = self.chroma != "4:2:0"
        kinds = (self.deep, "more than 8 bits"), (fine, f"chroma of {self.chroma}"), (self.alpha, "transparency")
        return " and ".join(name for there, name in kinds if there)


def room_a_pixel(image: Image.Image, data: bytes, max_pixels: int) -> float:
    """Bytes that are to be kept free for each pixel of an opened picture; data: its file.

    Raises ImageError, IMAGE_TOO_MANY_PIXELS, where it takes more than a picture of so many pixels may.
    """
    each, samples = bytes_a_pixel(image, data)
    if samples is None:
        return each
    most = int((max_pixels * MOST - _FILE * len(data)) / each)
    if each > MOST and image.width * image.height > most:
        message = f"The picture is {image.width} × {image.height} pixels, more than {most:,}, with {samples}"
        raise ImageError(ErrorCode.IMAGE_TOO_MANY_PIXELS, message, remedy=_REMEDY)
    return max(each, _TOGETHER)


def bytes_a_pixel(image: Image.Image, data: bytes) -> tuple[float, Samples | None]:
    """What decoding takes of an opened picture at its peak, and of what samples that comes in a HEIC or AVIF."""
    if image.format == "HEIF":
        samples = _of_heic(image)
        return _HEIC[samples.deep, samples.chroma][samples.alpha], samples
    if image.format == "AVIF":
        samples = _of_avif(image, data)
        planes = (_PLANES[samples.chroma] + samples.alpha) * (2 if samples.deep else 1)
        return max(_AVIF, planes + 2 * len(image.getbands()) + _AROUND * (1 + samples.alpha)), samples
    return of_format(image.format or "PNG") + (_INK if image.mode == "CMYK" else 0.0), None


def of_format(name: str) -> float:
    """The same where nothing is known but the format."""
    return _BYTES[name]


def _of_heic(image: Image.Image) -> Samples:
    chroma = _CHROMA.get(image.info.get("chroma", 0), "4:4:4") if image.mode.startswith("RGB") else "4:2:0"
    return Samples(image.info.get("bit_depth", 16) > 8, chroma, _has_alpha(image))


def _of_avif(image: Image.Image, data: bytes) -> Samples:
    """The most that any of a file's pictures has: which of them is its alpha, or a tile, is not looked into."""
    coded = [found[1][0] for found in _AV1.finditer(data)] or [_DEEP]
    chroma = max("4:2:0" if bits & (_GREY | _HALF_DOWN) else "4:2:2" if bits & _HALF_ACROSS else "4:4:4" for bits in coded)
    return Samples(any(bits & _DEEP for bits in coded), chroma, _has_alpha(image))


def _has_alpha(image: Image.Image) -> bool:
    return image.mode[-1] in "Aa"
