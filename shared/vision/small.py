"""Small copies of pictures, for people and for pictures that are made of others."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from packsight.shared.settings import Decode
from packsight.shared.vision.cut_short import read_most
from packsight.shared.vision.picture import SIXTEEN_BIT_MODES, load, opaque, opened, orientation, within

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes an EXIF orientation (EXIF 2.32, tag 0x0112)."""
_ROWS = 256
"""Rows that are converted at a time."""


def reduced(data: bytes, limits: Decode, side: int) -> Image.Image:
    """A picture as it is meant to be seen, RGB and upright, its longer side at most `side` pixels.

    Raises ImageError when it cannot be decoded.
    """
    return read_most(data, limits, lambda file, finish: _reduced(file, limits, side, finish))


def _reduced(data: bytes, limits: Decode, side: int, finish: Callable[[Image.Image], None]) -> Image.Image:
    with opened(data, limits) as image:
        finish(image)
        size = within(image.size, side)
        image.draft(None, size)  # does something for JPEG only
        load(image)
        whole = _eight_bits(image) if image.mode in SIXTEEN_BIT_MODES else image
        small = opaque(whole).resize(size, Image.Resampling.BOX)
        turn = _TURNS.get(orientation(image))
    return small if turn is None else small.transpose(turn)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits in any order of its bytes, scaled to 8."""
    grey = Image.new("L", image.size)
    for top in range(0, image.height, _ROWS):  # conversions hold 4 bytes of each pixel
        strip = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        # 257 = 65535 / 255; Pillow's own conversion clips at 255 instead of scaling.
        grey.paste(strip.convert("I").point(lambda sample: sample / 257 + 0.5).convert("L"), (0, top))
    return grey
