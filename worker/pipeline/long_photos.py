"""Long photos, screenshots of a page or panoramas of a shelf, are looked at in parts: what they show is small beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from packsight.shared.matching.candidates import Frame
from packsight.shared.vision.picture import within

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Cut:
    """How a long photo is cut, in shorter sides: length of the parts, and what each shares with the next."""

    length: float
    shared: float


@dataclass(frozen=True)
class LongPhotoParameters:
    """When a photo is long, and into which parts it is cut. Chosen by hand, but for what the reasons say."""

    long: float = 3.0
    """Longer ÷ shorter side from which a photo is long: a bottle that fills its photo has this, a page that was scrolled more."""
    longest: int = 16_384
    """Pixels of the longer side that are kept: OpenCV warps nothing from 32,768 on, and no part would be large enough to see."""
    seen: Cut = Cut(2.0, 1.0)
    """Parts whose key points are looked for: a pack as long as the photo is wide is whole in one of them."""
    read: Cut = Cut(1.0, 0.4)
    """Parts that are read: squares, which the text detector sees largest; of a page twice as long it finds half the lines."""


LONG_PHOTOS = LongPhotoParameters()


def is_long(size: Size, parameters: LongPhotoParameters = LONG_PHOTOS) -> bool:
    """Whether a photo of this size is looked at in parts."""
    return max(size) > parameters.long * min(size)


def bounded(size: Size, side: int, parameters: LongPhotoParameters = LONG_PHOTOS) -> Size:
    """The size to which a photo is reduced.

    The longer side has at most `side` pixels. Of a long photo the shorter one keeps what it has where a photo is just not long,
    as long as there are no more pixels than in a square of `side`.
    """
    if not is_long(size, parameters):
        return within(size, side)
    low, high = sorted(size)
    scale = min(1.0, side / parameters.long / low, side / (low * high) ** 0.5, parameters.longest / high)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def parts(size: Size, cut: Cut, parameters: LongPhotoParameters = LONG_PHOTOS) -> Iterator[Frame]:
    """Cut a photo of this size into parts of one length; the whole is the only part of a photo that is not long."""
    width, height = size
    if not is_long(size, parameters):
        yield Frame(0, 0, width, height)
        return
    low, high = sorted(size)
    length = cut.length * low
    count = 1 + ceil((high - length) / (length - cut.shared * low))
    for start in np.linspace(0, high - length, count).tolist():
        yield Frame(start, 0, length, height) if width > height else Frame(0, start, width, length)
