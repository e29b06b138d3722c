"""Which words stand on which product: from the feed and, with equal right, from the catalog's own photos.

Rarity is inverse document frequency (Spärck Jones, A statistical interpretation of term specificity, 1972) over
products, ln((N + 1) / (df + 0.5)) in nats. How surely a word is to be read on a product's photo is a smoothed share
of its photos.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import Ragged, open_array
from packsight.shared.catalog.versions import ProductRow
from packsight.shared.catalog.words.name_correction import own_words, parted_names
from packsight.shared.catalog.words.normalise import Token, tokens
from packsight.shared.catalog.words.vocabulary import Vocabulary
from packsight.shared.contract.outcomes import WordRead

NAMED = 1
VENDOR = 2
NAME_WEIGHT = 0.5
"""A word of the feed counts like half a photo that shows it: 13 of 50 names of a real feed contradict the pack."""
PRIOR_PHOTOS = 1.0
"""Photos on which a word was not read that every product is credited with."""
MIN_CONFIDENCE = 0.5
"""Of a line on a catalog photo whose words are taken into the index."""


@dataclass(frozen=True)
class WordIndex:
    """Words of products and of photos, as terms of the vocabulary.

    products: row per product, its terms in rising order; seen (photos that show it) and marks (NAMED, VENDOR) stand
    beside its values. photos: row per photo. postings: row per term, the products that have it. photo_count: photos
    per product.
    vendor_terms: per term, is it part of a brand's name?
    """

    vocabulary: Vocabulary
    products: Ragged
    seen: npt.NDArray[np.uint16]
    marks: npt.NDArray[np.uint8]
    photos: Ragged
    postings: Ragged
    photo_count: npt.NDArray[np.int32]
    vendor_terms: npt.NDArray[np.bool_]

    def frequency(self, terms: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Products that have each term."""
        return np.asarray(self.postings.starts[terms + 1] - self.postings.starts[terms])

    def rarity(self, frequency: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Inverse document frequency of terms that so many products have; 0 for words that no product has."""
        value = np.log((len(self.products) + 1) / (frequency + 0.5))
        return np.where(frequency > 0, np.maximum(value, 0.0), 0.0)

    def gone(self, photo: int, product: int) -> npt.NDArray[np.int64]:
        """Terms that a product would not have without one of its photos."""
        row = slice(int(self.products.starts[product]), int(self.products.starts[product + 1]))
        once = np.asarray(self.products.values[row])[(self.seen[row] == 1) & (self.marks[row] == 0)]
        return np.intersect1d(once, self.photos.row(photo)).astype(np.int64)

    @classmethod
    def build(
        cls, products: Sequence[ProductRow], photo_products: npt.NDArray[np.int64], words: Sequence[Sequence[WordRead]]
    ) -> WordIndex:
        """Index the feed's names and the words read on each photo."""
        spellings: dict[str, Counter[str]] = {}
        has: list[dict[str, list[int]]] = [{} for _ in products]  # key -> [photos that show it, marks]

        def note(product: int, key: str, text: str, *, seen: int, mark: int) -> None:
            spellings.setdefault(key, Counter())[text] += 1
            entry = has[product].setdefault(key, [0, 0])
            entry[0] += seen
            entry[1] |= mark

        for number, product in enumerate(products):
            for text in (product.name, product.type_prefix, product.model):
                for token in tokens(text):
                    note(number, token.key, token.text, seen=0, mark=NAMED)
            for token in tokens(product.vendor):
                note(number, token.key, token.text, seen=0, mark=NAMED | VENDOR)
        photo_keys: list[list[str]] = []
        listed = {key: min(texts) for key, texts in spellings.items()}
        names = [[Token(key, listed[key]) for key in terms] for terms in has]
        parted = parted_names(chain.from_iterable(map(surely_read, words)), listed)
        for number, lines in zip(photo_products.tolist(), words, strict=True):
            own = (own_words(tokens(text), names[number], listed, parted) for text in surely_read(lines))
            found = {token.key: token.text for line in own for token in line}
            photo_keys.append(list(found))
            for key, text in found.items():
                note(number, key, text, seen=1, mark=0)
        frequency = Counter(key for terms in has for key in terms)
        keys = sorted(frequency, key=lambda key: (-frequency[key], key))
        number_of = {key: number for number, key in enumerate(keys)}
        texts = [min(spellings[key].items(), key=lambda item: (-item[1], item[0]))[0] for key in keys]
        rows = [sorted((number_of[key], seen, mark) for key, (seen, mark) in terms.items()) for terms in has]
        table = Ragged.of([np.array([term for term, _, _ in row], np.int32) for row in rows], np.int32)
        owner = np.repeat(np.arange(len(products), dtype=np.int32), np.diff(table.starts))
        order = np.lexsort((owner, table.values))
        starts = np.zeros(len(keys) + 1, np.int64)
        np.cumsum(np.bincount(table.values, minlength=len(keys)), out=starts[1:])
        marks = np.array([mark for row in rows for _, _, mark in row], np.uint8)
        vendor_terms = np.zeros(len(keys), np.bool_)
        vendor_terms[table.values[(marks & VENDOR) > 0]] = True
        return cls(
            Vocabulary.build(keys, texts, listed.keys()),
            table,
            np.array([min(seen, 65535) for row in rows for _, seen, _ in row], np.uint16),
            marks,
            Ragged.of([np.array(sorted(number_of[key] for key in row), np.int32) for row in photo_keys], np.int32),
            Ragged(starts, owner[order]),
            np.bincount(photo_products, minlength=len(products)).astype(np.int32),
            vendor_terms,
        )

    def save(self, folder: Path) -> None:
        """Write the index's files."""
        self.vocabulary.save(folder)
        self.products.save(folder, "product_terms")
        self.photos.save(folder, "photo_terms")
        self.postings.save(folder, "postings")
        for name in ("seen", "marks", "photo_count", "vendor_terms"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def open(cls, folder: Path) -> WordIndex:
        """Memory-map what `save` wrote."""
        return cls(
            Vocabulary.open(folder),
            Ragged.open(folder, "product_terms"),
            open_array(folder / "seen.npy"),
            open_array(folder / "marks.npy"),
            Ragged.open(folder, "photo_terms"),
            Ragged.open(folder, "postings"),
            open_array(folder / "photo_count.npy"),
            open_array(folder / "vendor_terms.npy"),
        )


def surely_read(lines: Sequence[WordRead]) -> list[str]:
    """Lines of a catalog photo whose words are taken into the index."""
    return [line.text for line in lines if line.confidence >= MIN_CONFIDENCE]
