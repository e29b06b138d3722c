"""A catalog of any size, invented photo by photo: every photo's features follow from its number, so that none need be kept.

Products come in families of siblings, whose names, looks and print are alike: a family shares brand, line and kind, a sibling
has a variant and a size. Of each family one sibling is not listed. Words of small print are as frequent as those of a language
(Zipf), brands and lines grow in number with the catalog, every photo adds misreadings, and some names are in letters that no
reader knows. Looks have a few directions in which most of them vary, key points are noisy copies of the product's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product as combinations
from typing import TypeVar, overload

import cv2
import numpy as np
import numpy.typing as npt

from bench.stress import LOST, misread
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures, make_features

SIBLINGS, LISTED, PHOTOS = 20, 19, 2
"""Products of a family, those of them that are listed, and photos of a product."""
UNREADABLE = 12
"""One product of so many has its name in letters that are not read: in real shops nothing of it is read of 3 to 10 % of them."""
CHANGED = 100
"""One product of so many has other photos in each edition."""
FAMILIES = 25
"""Of a brand."""
DIMENSION, DIRECTIONS = 1024, 96
"""Values of an embedding, and directions in which most of it varies."""
OWN, CHANCE, WORN = 0.5, 0.35, 0.6
"""Lengths of what a product and a photo add to a family's looks of length 1; the last for photos that are asked about."""
SMALL_PRINT, LINES = 20_000, 8
"""Words of small print, and lines of it on a photo."""
KINDS, VARIANTS = 60, 3000
SIZES = ("30 ml", "50 ml", "75 ml", "100 ml", "200 ml", "250 g", "400 ml", "500 g")
POINTS, SHAKEN = 40, 12.0
"""Key points of a photo, and the standard deviation of their descriptors' values between photos of a product."""
SIDE = 400
THUMBNAILS = 4096
"""Different ones: so many, that packed files do not become less by what repeats."""
_SYLLABLES = [a + b for a, b in combinations("bdfgklmnprstvz", ("a", "e", "i", "o", "u", "an", "er", "il", "or", "us"))]

_Row = TypeVar("_Row")


@lru_cache(maxsize=400_000)
def word(kind: str, number: int) -> str:
    """The word of a kind with this number: two to four syllables."""
    chance = np.random.default_rng([len(kind), ord(kind[0]), number])
    return "".join(_SYLLABLES[at] for at in chance.integers(len(_SYLLABLES), size=int(chance.integers(2, 5))).tolist())


@dataclass(frozen=True)
class Invented(Mapping[str, Features]):
    """A catalog of so many photos; as a mapping, the features of each by sha256, made anew whenever they are asked for."""

    photos: int
    seed: int = 0
    edition: int = 0
    points: int = POINTS

    @property
    def count(self) -> int:
        """How many products there are."""
        return -(-self.photos // PHOTOS)

    @property
    def products(self) -> Sequence[ProductRow]:
        """Their rows."""
        return _Rows(self.count, lambda number: self._product(_listed(number)))

    @property
    def rows(self) -> Sequence[PhotoRow]:
        """Rows of the photos, those of a product together."""
        return _Rows(self.photos, self._row)

    def __len__(self) -> int:
        return self.photos

    def __iter__(self) -> Iterator[str]:
        return map(self._sha256, range(self.photos))

    def __contains__(self, sha256: object) -> bool:
        number = _number(str(sha256))
        return number < self.photos and self._sha256(number) == sha256

    def __getitem__(self, sha256: str) -> Features:
        return self.photo(_number(sha256))

    def _row(self, number: int) -> PhotoRow:
        return PhotoRow(product_id=f"p{_listed(number // PHOTOS)}", sha256=self._sha256(number), source=f"{number}")

    def photo(self, number: int) -> Features:
        """Features of a catalog photo."""
        seed = [self.seed, 1, number, self._edition(number)]
        return self._features(_listed(number // PHOTOS), seed, self._sha256(number), CHANCE, lost=0.0)

    def asked(self, product: int) -> Features:
        """Features of a photo of a listed product that the catalog has not: badly read, and less like the others."""
        return self._asked(_listed(product))

    def stranger(self, family: int) -> Features:
        """The same of the sibling of a family that is not listed."""
        return self._asked(family * SIBLINGS + LISTED)

    def asked_looks(self, products: Sequence[int]) -> FloatArray:
        """Embeddings [n, DIMENSION] of what is asked about listed products, beside which nothing else is made."""
        numbers = map(_listed, products)
        return np.stack([self._look(one, np.random.default_rng([self.seed, 2, one]), WORN) for one in numbers])

    def _asked(self, product: int) -> Features:
        return self._features(product, [self.seed, 2, product], self._sha256(-1 - product), WORN, lost=LOST)

    def _edition(self, photo: int) -> int:
        return self.edition if photo // PHOTOS % CHANGED == min(CHANGED, self.count) // 2 else 0

    def _sha256(self, number: int) -> str:
        digest = hashlib.sha256(f"{self.seed} {number} {self._edition(number)}".encode()).hexdigest()
        return f"{max(number, 0):08x}{digest[8:]}"

    def _product(self, number: int) -> ProductRow:
        family = number // SIBLINGS
        brand, line, kind = word("brand", family // FAMILIES), word("line", family), word("kind", family % KINDS)
        chance = np.random.default_rng([self.seed, 3, number])
        variant, size = word("variant", int(chance.integers(VARIANTS))), SIZES[number % len(SIZES)]
        model = f"{line} {kind} {variant} {size}"
        return ProductRow(id=f"p{number}", name=f"{brand} {model}", vendor=brand, model=model)

    def _features(self, product: int, seed: list[int], sha256: str, length: float, lost: float) -> Features:
        chance = np.random.default_rng(seed)
        look = self._look(product, chance, length)
        shown = self._product(product)
        line, kind, variant, *size = shown.model.split()
        family = np.random.default_rng([self.seed, 4, product // SIBLINGS])
        print_ = [self._print(family) for _ in range(LINES // 2)] + [self._print(chance) for _ in range(LINES // 2)]
        name = [shown.vendor.upper(), line, variant, f"{kind} {' '.join(size)}"]
        texts = [*([] if product % UNREADABLE == 0 else name), *print_]
        texts = [misread(text, chance) for text in texts if chance.random() >= lost]
        sure = (0.6 + 0.4 * chance.random(len(texts))).tolist()
        boxes = _boxes(len(texts), np.random.default_rng([*seed, 0]))
        lines = [WordRead(text=text, confidence=one, box=box) for text, one, box in zip(texts, sure, boxes, strict=True)]
        points = self._points(product, chance)
        return make_features(sha256, (SIDE, SIDE), look, lines, points, _thumbnail(product % THUMBNAILS, seed[2] % PHOTOS))

    def _print(self, chance: np.random.Generator) -> str:
        return " ".join(word("print", min(int(one), SMALL_PRINT)) for one in chance.zipf(1.3, size=3))

    def _look(self, product: int, chance: np.random.Generator, length: float) -> FloatArray:
        family = _direction((self.seed, 5, product // SIBLINGS)) + OWN * _direction((self.seed, 6, product))
        latent = family + length * chance.normal(size=DIRECTIONS) / np.sqrt(DIRECTIONS)
        return np.asarray(3 + latent.astype(np.float32) @ _directions() + 0.02 * chance.normal(size=DIMENSION), np.float32)

    def _points(self, product: int, chance: np.random.Generator) -> LocalFeatures:
        own = np.random.default_rng([self.seed, 7, product])
        points = own.uniform(0.1, 0.9, (self.points, 2)) + 0.003 * chance.normal(size=(self.points, 2))
        descriptors = own.exponential(30, (self.points, 128)) + SHAKEN * chance.normal(size=(self.points, 128))
        return LocalFeatures(points.astype(np.float32), np.clip(descriptors, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class _Rows(Sequence[_Row]):
    """So many rows, each made when it is asked for."""

    length: int
    make: Callable[[int], _Row]

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> _Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Row]: ...
    def __getitem__(self, index: int | slice) -> _Row | list[_Row]:
        if isinstance(index, slice):
            return [self.make(one) for one in range(self.length)[index]]
        return self.make(range(self.length)[index])


def _number(sha256: str) -> int:
    """Which photo has this name."""
    return int(sha256[:8], 16)


def _listed(number: int) -> int:
    """Of all products, which is the one that is listed under this number."""
    return number // LISTED * SIBLINGS + number % LISTED


def _direction(seed: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return np.asarray(np.random.default_rng(list(seed)).normal(size=DIRECTIONS) / np.sqrt(DIRECTIONS), np.float64)


@lru_cache
def _directions() -> FloatArray:
    """[DIRECTIONS, DIMENSION] of which the first ones weigh most."""
    weight = 1 / np.sqrt(1 + np.arange(DIRECTIONS))
    return (weight[:, None] * np.random.default_rng(8).normal(size=(DIRECTIONS, DIMENSION))).astype(np.float32)


@lru_cache
def _thumbnail(number: int, photo: int) -> bytes:
    """photo: of a product, whose photos have the same colours and other bytes."""
    picture = np.random.default_rng([9, number]).integers(0, 255, (8, 8, 3), np.uint8)
    enlarged = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", enlarged, [cv2.IMWRITE_JPEG_QUALITY, 95 - 9 * photo])[1])


def _boxes(lines: int, chance: np.random.Generator) -> list[list[tuple[float, float]]]:
    """Corners of lines one below the other, as uneven as print on a pack that is held by hand."""
    upright = np.array([(40, 20), (360, 20), (360, 40), (40, 40)])
    below = 28 * np.arange(lines)[:, None, None] * np.array([0, 1])
    return [[(x, y) for x, y in box] for box in (upright + below + chance.normal(0, 3, (lines, 4, 2))).tolist()]
