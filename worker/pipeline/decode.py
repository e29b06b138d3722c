"""The one way from file bytes to pixels, for queries and catalog photos alike, so that the two cannot drift apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode
from packsight.shared.vision.cut_short import NOTHING, as_it_is, must_be_whole, read_most
from packsight.shared.vision.picture import SIXTEEN_BIT_MODES, load, opaque, opened, orientation
from packsight.worker.pipeline import webp
from packsight.worker.pipeline.long_photos import bounded

Pixels = npt.NDArray[np.uint8]

_STRIP = 2_000_000
"""Pixels that are converted at a time."""


@dataclass(frozen=True, slots=True)
class Photo:
    """An upright picture.

    pixels: RGB uint8 [height, width, 3], C-contiguous; possibly a reduced copy of the original.
    width, height: pixels of the upright original.
    """

    pixels: Pixels
    width: int
    height: int


def decode(data: bytes, limits: Decode, *, max_side: int | None = 2048) -> Photo:
    """Decode a picture: upright, on white where it is transparent, first frame or primary image of several.

    Samples of 16 bits are scaled to 8. A file that ends early is taken where it is measured that next to no row of it lacks
    (cut_short.py). A picture whose longer side exceeds `max_side` is reduced to it by area
    averaging (JPEG first by the DCT, never below that size); a long one keeps more of its longer side (long_photos.py).
    Limits are checked on structure and header, before any pixel is decoded. Safe to call from several threads; they wait
    for room in memory.

    Raises ImageError: FILE_EMPTY, FORMAT_UNSUPPORTED, IMAGE_TRUNCATED, IMAGE_TOO_MANY_PIXELS, IMAGE_TOO_SMALL or
    IMAGE_BROKEN.
    """
    return read_most(data, limits, lambda file, finish: _decode(file, limits, max_side, finish))


def _decode(data: bytes, limits: Decode, max_side: int | None, finish: Callable[[Image.Image], None]) -> Photo:
    with opened(data, limits) as image:
        if max_side is not None and min(kept := bounded(image.size, max_side)) < limits.min_side:
            raise ImageError(
                ErrorCode.IMAGE_TOO_SMALL,
                f"The picture is {image.width} × {image.height} pixels, so long that its shorter side would keep {min(kept)}",
                remedy="Cut it into several photos.",
            )
        finish(image)
        photo, is_open_below = _load(image, data, max_side)
    if is_open_below and finish is as_it_is:
        must_be_whole(data, limits)
    return photo


def _load(image: Image.Image, data: bytes, max_side: int | None) -> tuple[Photo, bool]:
    """The picture, and whether it is a JPEG of which perhaps nothing was decoded at the bottom."""
    width, height = image.size
    target = image.size if max_side is None else bounded(image.size, max_side)
    reduced = target != image.size
    if reduced:
        image.draft(None, target)  # does something for JPEG only
    pixels = _pixels(image, data)
    if reduced:
        pixels = cv2.resize(pixels, target, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    is_open_below = image.format in {"JPEG", "MPO"} and bool((pixels[-1] == NOTHING).all())
    # Read after loading: Pillow turns TIFF itself and then takes the tag away.
    turn = orientation(image)
    image.close()  # Pillow's copy is no longer needed for turning the array
    if turn > 4:
        width, height = height, width
    return Photo(np.ascontiguousarray(_upright(pixels, turn)), width, height), is_open_below


def _pixels(image: Image.Image, data: bytes) -> Pixels:
    """All pixels of an opened picture as they are coded, on white: RGB uint8 [height, width, 3]."""
    decoded = None
    if webp.is_still(image):
        decoded = webp.pixels(data, image.size)
        if decoded.shape[2] == 3:
            return decoded
    else:
        load(image)
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    # By strips, since conversions hold several copies of what they convert.
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        if decoded is not None:
            strip = Image.fromarray(decoded[top:bottom])
        else:
            strip = image if bottom - top == image.height else image.crop((0, top, image.width, bottom))
        _copy_rgb(strip, pixels[top:bottom])
    return pixels


def _copy_rgb(image: Image.Image, to: Pixels) -> None:
    """Write the colours of a loaded picture into RGB uint8 [height, width, 3]."""
    if image.mode in SIXTEEN_BIT_MODES:
        # 257 = 65535 / 255; Pillow's own conversion clips at 255 instead of scaling.
        to[:] = np.rint(np.asarray(image, np.float32) / 257)[:, :, None]
        return
    # Pillow keeps RGB in four bytes a pixel; through Arrow they are read where they are, at half the price of copies.
    samples = pa.array(opaque(image)).values
    # Not by to_numpy, which loads pandas.
    pixels = np.frombuffer(samples.buffers()[1], np.uint8, len(samples), samples.offset)
    cv2.cvtColor(pixels.reshape(image.height, image.width, 4), cv2.COLOR_RGBA2RGB, dst=to)


def _upright(pixels: Pixels, turn: int) -> Pixels:
    """Undo the EXIF orientation (EXIF 2.32, tag 0x0112)."""
    if turn > 4:
        pixels = pixels.transpose(1, 0, 2)
    if turn in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if turn in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels
