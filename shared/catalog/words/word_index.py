"""Which words stand on which product: from the feed and, with equal right, from the catalog's own photos.

Rarity is inverse document frequency (Spärck Jones, A statistical interpretation of term specificity, 1972) over
products, ln((N + 1) / (df + smoothing)) in nats. How surely a word is to be read on a product's photo is a smoothed share
of its photos.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import Ragged, open_array
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.words.name_correction import corrected, split_names
from packsight.shared.catalog.words.normalise import Token, tokens
from packsight.shared.catalog.words.photo_lines import PhotoLines
from packsight.shared.catalog.words.vocabulary import Vocabulary
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.parameters import WORDS, WordParameters

NAMED = 1
"""Flag of a word of a product that the feed's name has."""
VENDOR = 2
"""Flag of one that its brand has."""


@dataclass(frozen=True)
class WordIndex:
    """Words of products and of photos, as terms of the vocabulary.

    products: row per product, its terms in rising order; photo_frequency (the product's photos that show it) and flags
    (NAMED, VENDOR) stand beside its values. photos: row per photo. postings: row per term, the products that have it.
    photo_count: photos per product. vendor_terms: per term, is it part of a brand's name? lines: where they stand on photos.
    """

    vocabulary: Vocabulary
    products: Ragged
    photo_frequency: npt.NDArray[np.uint16]
    flags: npt.NDArray[np.uint8]
    photos: Ragged
    postings: Ragged
    photo_count: npt.NDArray[np.int32]
    vendor_terms: npt.NDArray[np.bool_]
    lines: PhotoLines

    @property
    def parameters(self) -> WordParameters:
        """The rules that it was built by."""
        return self.vocabulary.parameters

    def frequency(self, terms: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Products that have each term."""
        return np.asarray(self.postings.starts[terms + 1] - self.postings.starts[terms])

    def rarity(self, frequency: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Inverse document frequency of terms that so many products have; 0 for words that no product has."""
        value = np.log((len(self.products) + 1) / (frequency + self.parameters.rarity_smoothing))
        return np.where(frequency > 0, np.maximum(value, 0.0), 0.0)

    def only_on(self, photo: int, product: int) -> npt.NDArray[np.int64]:
        """Terms that a product would not have without one of its photos."""
        row = slice(int(self.products.starts[product]), int(self.products.starts[product + 1]))
        once = np.asarray(self.products.values[row])[(self.photo_frequency[row] == 1) & (self.flags[row] == 0)]
        return np.intersect1d(once, self.photos.row(photo)).astype(np.int64)

    @classmethod
    def build(
        cls,
        products: Sequence[ProductRow],
        photo_products: npt.NDArray[np.int64],
        words: Sequence[Sequence[WordRead]],
        sizes: Sequence[tuple[int, int]],
        parameters: WordParameters = WORDS,
    ) -> WordIndex:
        """Index the feed's names and the words read on each photo; sizes: width and height of each in pixels."""
        notes = _Notes(products)
        lines = notes.add_photos(photo_products.tolist(), words, parameters)
        frequency = Counter(key for terms in notes.has for key in terms)
        keys = sorted(frequency, key=lambda key: (-frequency[key], key))
        number_of = {key: number for number, key in enumerate(keys)}
        rows = [sorted((number_of[key], seen, flags) for key, (seen, flags) in terms.items()) for terms in notes.has]
        table = Ragged.of([np.array([term for term, _, _ in row], np.int32) for row in rows], np.int32)
        flags = np.array([flags for row in rows for _, _, flags in row], np.uint8)
        vendor_terms = np.zeros(len(keys), np.bool_)
        vendor_terms[table.values[(flags & VENDOR) > 0]] = True
        return cls(
            vocabulary=Vocabulary.build(keys, [notes.spelling(key) for key in keys], notes.listed.keys(), parameters),
            products=table,
            photo_frequency=np.array([min(seen, 65535) for row in rows for _, seen, _ in row], np.uint16),
            flags=flags,
            photos=Ragged.of([_terms(photo, number_of) for photo in lines], np.int32),
            postings=_inverted(table, len(keys)),
            photo_count=np.bincount(photo_products, minlength=len(products)).astype(np.int32),
            vendor_terms=vendor_terms,
            lines=PhotoLines.build(lines, sizes, number_of),
        )

    def save(self, folder: Path) -> None:
        """Write the index's files."""
        self.vocabulary.save(folder)
        self.products.save(folder, "product_terms")
        self.photos.save(folder, "photo_terms")
        self.postings.save(folder, "postings")
        self.lines.save(folder)
        for name in ("photo_frequency", "flags", "photo_count", "vendor_terms"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def open(cls, folder: Path, parameters: WordParameters = WORDS) -> WordIndex:
        """Memory-map what `save` wrote, having been built by the same parameters."""
        return cls(
            vocabulary=Vocabulary.open(folder, parameters),
            products=Ragged.open(folder, "product_terms"),
            photo_frequency=open_array(folder / "photo_frequency.npy"),
            flags=open_array(folder / "flags.npy"),
            photos=Ragged.open(folder, "photo_terms"),
            postings=Ragged.open(folder, "postings"),
            photo_count=open_array(folder / "photo_count.npy"),
            vendor_terms=open_array(folder / "vendor_terms.npy"),
            lines=PhotoLines.open(folder),
        )


class _Notes:
    """What is noted of each product's words: in how many photos each was read, its flags, and all its spellings.

    has: per product, by key: [photos that show it, flags]. listed: spelling by key of the words in the feed.
    """

    def __init__(self, products: Sequence[ProductRow]) -> None:
        self.has: list[dict[str, list[int]]] = [{} for _ in products]
        self._spellings: dict[str, Counter[str]] = {}
        for number, product in enumerate(products):
            for text in (product.name, product.type_prefix, product.model):
                for token in tokens(text):
                    self._note(number, token, flags=NAMED)
            for token in tokens(product.vendor):
                self._note(number, token, flags=NAMED | VENDOR)
        self.listed = {key: min(texts) for key, texts in self._spellings.items()}

    def add_photos(
        self, photo_products: Sequence[int], words: Sequence[Sequence[WordRead]], parameters: WordParameters
    ) -> list[list[tuple[WordRead, list[str]]]]:
        """Note the words of each photo, names among them put right; returns the lines of each, with the keys of their words."""
        names = [[Token(key, self.listed[key]) for key in terms] for terms in self.has]
        lines = [[line for line in photo if line.confidence >= parameters.min_confidence] for photo in words]
        split = split_names((line.text for line in chain.from_iterable(lines)), self.listed, parameters)
        noted = []
        for product, photo in zip(photo_products, lines, strict=True):
            read = [corrected(tokens(line.text), names[product], self.listed, split, parameters) for line in photo]
            for key, text in {token.key: token.text for line in read for token in line}.items():
                self._note(product, Token(key, text), photos=1)
            noted.append([(line, [token.key for token in found]) for line, found in zip(photo, read, strict=True)])
        return noted

    def spelling(self, key: str) -> str:
        """The spelling that a word has most often."""
        return min(self._spellings[key].items(), key=lambda item: (-item[1], item[0]))[0]

    def _note(self, product: int, token: Token, *, photos: int = 0, flags: int = 0) -> None:
        self._spellings.setdefault(token.key, Counter())[token.text] += 1
        entry = self.has[product].setdefault(token.key, [0, 0])
        entry[0] += photos
        entry[1] |= flags


def _terms(photo: Sequence[tuple[WordRead, Sequence[str]]], number_of: Mapping[str, int]) -> npt.NDArray[np.int32]:
    """Terms of a photo in rising order."""
    return np.array(sorted({number_of[key] for _, keys in photo for key in keys}), np.int32)


def _inverted(products: Ragged, terms: int) -> Ragged:
    """Products that have each term, in rising order, from the terms of each product."""
    owner = np.repeat(np.arange(len(products), dtype=np.int32), np.diff(products.starts))
    order = np.lexsort((owner, products.values))
    starts = np.zeros(terms + 1, np.int64)
    np.cumsum(np.bincount(products.values, minlength=terms), out=starts[1:])
    return Ragged(starts, owner[order])
