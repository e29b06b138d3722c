"""The printed faces of a package, flat: brand, line, variant, ornament, small print and barcode."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from packsight.deploy.demo.shop.lettering import HANDS, Hand, Pixels, write
from packsight.deploy.demo.shop.motifs import MOTIFS, Place
from packsight.deploy.demo.shop.products import Colour, Family, Item, Shape

SIZES: dict[Shape, tuple[int, int]] = {
    Shape.BOX: (460, 640),
    Shape.CARTON: (420, 640),
    Shape.TUBE: (380, 700),
    Shape.JAR: (500, 400),
    Shape.BOTTLE: (380, 560),
}
"""Width and height in pixels of each shape's front face."""

SMALL_PRINT = ("Store in a cool dry place away from sunlight", "See the base for the best before date",
               "Made for the shops of the north coast", "Please recycle this package after use",
               "Keep out of reach of small children", "Shake well, close after opening")  # fmt: skip
RUSSIAN_PRINT = ("Хранить в сухом прохладном месте", "Срок годности указан на упаковке", "Сделано для магазинов северного берега",
                 "Сдайте упаковку в переработку", "Беречь от детей", "Перед употреблением взболтать")  # fmt: skip
PLAIN = Hand(1, 1.0)
Corners = Sequence[tuple[float, float]]


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two; `share` 0 gives the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


class _Face:
    """A face being printed: places and sizes in parts of its width and height."""

    def __init__(self, item: Item, width: int, height: int, ground: Colour) -> None:
        self.item, self.family = item, item.family
        self.w, self.h = width, height
        self.pixels = np.full((height, width, 3), ground, np.uint8)

    def text(
        self, text: str, y: float, height: float, colour: Colour, *, room: float = 0.84, hand: Hand = HANDS[0]
    ) -> None:
        """A centred line; `y` and `height` in parts of the face's height, `room` of its width."""
        at = (self.w / 2, self.h * y)
        write(self.pixels, text, at=at, height=self.h * height, colour=colour, room=self.w * room, hand=hand)

    def brand(self, y: float, height: float, colour: Colour, *, room: float = 0.84) -> None:
        """The brand in its own hand."""
        self.text(self.family.brand, y, height, colour, room=room, hand=HANDS[self.family.code % 4])

    def ornament(self, y: float, size: float) -> None:
        """The family's ornament; `size` is half its width in parts of the face's width."""
        colours = (self.family.accent, mix(self.family.accent, self.family.base, 0.45))
        place = Place(self.w / 2, self.h * y, self.w * size)
        MOTIFS[self.family.motif](self.pixels, place, colours, np.random.default_rng(self.family.code))

    def variant(self, y: float, height: float, colour: Colour, *, room: float = 0.84) -> None:
        """The word that tells siblings apart, with its swatch above it where the family has swatches."""
        if self.item.swatch is not None:
            centre = (round(self.w / 2), round(self.h * (y - height * 1.25)))
            cv2.circle(self.pixels, centre, round(self.h * height * 0.62), self.item.swatch, -1, cv2.LINE_AA)
        self.text(self.item.variant, y, height, colour, room=room)

    def area(self, corners: Corners, colour: Colour) -> None:
        """Fill a polygon; corners in parts of width and height."""
        points = np.round(np.asarray(corners) * (self.w, self.h) * 8).astype(np.int32)
        cv2.fillPoly(self.pixels, [points], colour, cv2.LINE_AA, 3)

    def over_accent(self) -> Colour:
        """The better legible of base and ink on the accent colour."""
        return max(self.family.base, self.family.ink, key=lambda colour: _contrast(colour, self.family.accent))


def _contrast(one: Colour, other: Colour) -> int:
    return abs(sum(one) - sum(other))


@lru_cache(maxsize=128)
def front(item: Item) -> Pixels:
    """The front face: RGB, sized by the shape."""
    family = item.family
    face = _Face(item, *SIZES[family.shape], family.base)
    _LAYOUTS[family.layout](face)
    ground = tuple(int(value) for value in face.pixels[round(face.h * 0.84), round(face.w * 0.15)])
    ink = max(family.base, family.ink, key=lambda colour: abs(sum(colour) - sum(ground)))
    face.text(f"{family.what}  {family.size}".strip(), 0.865, 0.048, ink, room=0.7, hand=PLAIN)
    face.text(_small_print(family, 0), 0.925, 0.026, ink, room=0.78, hand=PLAIN)
    return face.pixels


def _small_print(family: Family, number: int) -> str:
    lines = SMALL_PRINT if family.brand.isascii() else RUSSIAN_PRINT
    return lines[(family.code + number) % len(lines)]


def _classic(face: _Face) -> None:
    family = face.family
    face.brand(0.11, 0.10, family.ink)
    face.area([(0.2, 0.188), (0.8, 0.188), (0.8, 0.194), (0.2, 0.194)], family.accent)
    face.text(family.line, 0.25, 0.066, family.ink, hand=HANDS[3])
    face.ornament(0.44, 0.27)
    face.area([(0, 0.64), (1, 0.64), (1, 0.79), (0, 0.79)], family.accent)
    face.variant(0.715, 0.095, face.over_accent())


def _banded(face: _Face) -> None:
    family = face.family
    face.area([(0, 0), (1, 0), (1, 0.24), (0, 0.24)], family.accent)
    face.brand(0.125, 0.115, family.base)
    face.text(family.line, 0.32, 0.075, family.ink, hand=HANDS[1])
    face.ornament(0.49, 0.24)
    face.variant(0.72, 0.11, family.ink)


def _framed(face: _Face) -> None:
    family = face.family
    edge = round(face.w * 0.035)
    cv2.rectangle(face.pixels, (edge, edge), (face.w - edge, face.h - edge), family.accent, max(3, edge // 3))
    face.brand(0.14, 0.095, family.accent, room=0.78)
    face.ornament(0.34, 0.2)
    face.text(family.line, 0.525, 0.075, family.ink, hand=HANDS[3])
    face.area([(0.06, 0.62), (0.94, 0.62), (0.89, 0.70), (0.94, 0.78), (0.06, 0.78), (0.11, 0.70)], family.accent)
    face.variant(0.70, 0.092, face.over_accent(), room=0.72)


def _split(face: _Face) -> None:
    family = face.family
    wave = [(t, 0.60 + 0.025 * float(np.sin(7 * t + family.code))) for t in np.linspace(0, 1, 40).tolist()]
    face.area([*wave, (1, 1), (0, 1)], family.accent)
    face.brand(0.10, 0.105, family.ink)
    face.text(family.line, 0.21, 0.066, family.ink, hand=HANDS[1])
    face.ornament(0.41, 0.22)
    face.variant(0.735, 0.12, face.over_accent())


_LAYOUTS = (_classic, _banded, _framed, _split)


@lru_cache(maxsize=128)
def side(item: Item, width: int) -> Pixels:
    """The side or back: brand and variant small, a paragraph of small print, a barcode."""
    family = item.family
    face = _Face(item, width, SIZES[family.shape][1], mix(family.base, family.accent, 0.12))
    face.brand(0.08, 0.05, family.ink, room=0.8)
    face.text(item.variant, 0.15, 0.035, family.ink, room=0.7, hand=PLAIN)
    for number in range(9):
        face.text(_small_print(family, number), 0.25 + 0.042 * number, 0.022, family.ink, hand=PLAIN)
    rng = np.random.default_rng(int(item.id))
    left, right = round(width * 0.25), round(width * 0.75)
    face.pixels[round(face.h * 0.74) : round(face.h * 0.88), left - 6 : right + 6] = 250
    bars = np.repeat(rng.random((right - left) // 3 + 1) < 0.5, 3)[: right - left]
    face.pixels[round(face.h * 0.75) : round(face.h * 0.87), left:right][:, bars] = 20
    return face.pixels


@lru_cache(maxsize=128)
def wrap(item: Item) -> Pixels:
    """The label of a round package, unrolled: the front in the middle, side print left and right of it."""
    face = front(item)
    rest = side(item, face.shape[1])
    return np.ascontiguousarray(np.concatenate([rest, face, rest], 1))
