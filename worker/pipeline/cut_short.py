"""Files that end too early, of which next to nothing is lacking: an end mark, some rows. They are taken, as browsers do.

Taken is only what can be measured by rows. A JPEG gets its end mark. Of PNG, GIF, BMP and TIFF that is not packed that is kept
which was decoded until the file ended, and the rest is grey. Of other formats a few bytes may hold half of a picture that is
plain below, and nothing tells how much lacks: they are refused, but for a WebP without the byte that makes its length even.
"""

from __future__ import annotations

from operator import eq

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode
from packsight.shared.vision.picture import load, opened
from packsight.shared.vision.structure import last_scan
from packsight.worker.pipeline.long_photos import bounded

MOST_LACKING = 0.02
"""Share of the rows that may lack."""
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PLAIN = 4
"""Difference of rows that follow each other up to which they are plain, in steps of brightness."""
_BY_ROWS = {"zip", "gif", "raw"}
"""Pillow's decoders of PNG, GIF, BMP and TIFF that write nothing but what stands in the file."""
_GREY = (131, 127, 129, 254)
"""What rows have that nothing was decoded into: no picture has a row of it in any channel, but by chance."""


def completed(data: bytes, limits: Decode, max_side: int | None) -> bytes | None:
    """A file that ends too early with an end that decoders take; None where that cannot help."""
    if data.startswith(_JPEG):
        return data + _JPEG_END if _lacking(data, limits, max_side) <= MOST_LACKING else None
    if data.startswith(b"RIFF"):  # a WebP, whose pixels come first where it has nothing else
        return data + b"\0" if 20 + int.from_bytes(data[16:20], "little") == len(data) else None
    return data


def load_most(image: Image.Image) -> None:
    """Decode the pixels as far as the file goes; in the modes of one bit white rows count as lacking.

    Raises ImageError IMAGE_TRUNCATED where more than MOST_LACKING of the rows lack, or where they cannot be counted.
    """
    if not isinstance(image, ImageFile) or image.format in {"JPEG", "MPO", "WEBP"}:
        return  # nothing lacks any longer, or it was measured
    size = getattr(image, "_tile_size", image.size)  # not yet turned
    if not image.tile or any(one[0] not in _BY_ROWS or (one[1] or ())[::2] != (0, size[0]) for one in image.tile):
        raise ImageError(ErrorCode.IMAGE_TRUNCATED, "The file ends too early")
    colour: int | tuple[int, ...] = _GREY[: len(image.getbands())] if len(image.getbands()) > 1 else _GREY[0]
    if image.format == "GIF" and "transparency" in image.info:
        colour = image.info["transparency"]  # with which Pillow begins
    else:
        image.im = Image.new(image.mode, size, colour).im
    try:
        image.load()
    except OSError:
        if not image.tile:
            raise
        image.tile = []
        lacking = _blank_rows(image, Image.new(image.mode, (1, 1), colour))
        if lacking > MOST_LACKING * size[1]:
            message = f"The file ends too early: {lacking} of {size[1]} rows lack"
            raise ImageError(ErrorCode.IMAGE_TRUNCATED, message) from None
        image.load_end()


def _blank_rows(image: Image.Image, blank: Image.Image) -> int:
    """How many rows are as blank as a pixel in any channel: those of a TIFF may follow each other."""
    width, height = image.im.size  # not yet turned
    grey, begins = _extrema(blank), _first(blank, 0)
    might = (row for row in range(height) if any(map(eq, _first(image, row), begins)))  # of a photo's rows next to none
    rows = (_extrema(image._new(image.im.crop((0, row, width, row + 1)))) for row in might)
    return sum(any(one == other for one, other in zip(row, grey, strict=True)) for row in rows)


def _first(image: Image.Image, row: int) -> tuple[float, ...]:
    """A row's first pixel."""
    pixel = image.im.getpixel((0, row))
    return pixel if isinstance(pixel, tuple) else (pixel,)


def _extrema(image: Image.Image) -> list[object]:
    """Least and most of each channel."""
    return [channel.getextrema() for channel in image.split()]


def _lacking(data: bytes, limits: Decode, max_side: int | None) -> float:
    """Share of a JPEG's rows for which it ends too early.

    A decoder does not tell. But rows are coded from top to bottom, in each scan of a progressive one too, so that those which
    change when a little more is taken away are those where the file ends. The last scan of a progressive one says nothing of what
    is plain, as the ground below a pack is; before it a whole scan lacks.
    """
    try:
        with opened(data, limits) as image:
            is_progressive = "progressive" in image.info
        begin = last_scan(data)
        if is_progressive and not begin:
            return 1.0
        shorter = max(begin, len(data) - max(32, len(data) // 50))
        given, less = (_rows(part + _JPEG_END, limits, max_side) for part in (data, data[:shorter]))
    except ImageError:
        return 1.0
    changed = np.flatnonzero((given != less).any(axis=1))
    if not len(changed):
        return 1.0
    below = given[changed[-1] :].astype(np.int16)
    lacking = np.abs(np.diff(below, axis=0)).max(axis=1, initial=0) > (_PLAIN if is_progressive else -1)
    return float(lacking.sum()) / len(given)


def _rows(data: bytes, limits: Decode, max_side: int | None) -> npt.NDArray[np.uint8]:
    """Brightness [height, width] as it is coded, perhaps reduced."""
    with opened(data, limits) as image:
        if max_side is not None:
            image.draft("L", bounded(image.size, max_side))
        load(image)
        return np.asarray(image.convert("L"))
