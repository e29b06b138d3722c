"""Which products' whole names were read? Asked of a catalog's words without looking at the products one by one.

Of a product's name those words count that are surely to be seen on its photos. Each product stands under the rarest of these, of
which few others have it: only the products under words that were read can have been named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import IntArray, among, spans
from packsight.shared.catalog.words.word_index import WordIndex
from packsight.shared.catalog.words.word_notes import NAMED

_BLOCK = 8_192
"""Products looked at together, which bounds the memory. What was taken once stays with a process: of 100,000 photos' products
14.6 MB with blocks of 65,536, 5.3 with these, at half the time."""
_NONE = -1
"""Stands for the rarest word of a name that is not to be seen."""


@dataclass(frozen=True)
class VisibleNames:
    """Products by the rarest word of their names that is to be seen.

    seen: how surely a word is to be seen to count. rarest: [products] terms, rising, _NONE for names that are not to be seen;
    products: whose each is. unseen: [products] is nothing of the name to be seen, so that nothing of it can be missing?
    """

    words: WordIndex
    seen: float
    rarest: npt.NDArray[np.int32]
    products: npt.NDArray[np.int32]
    unseen: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, words: WordIndex, seen: float) -> VisibleNames:
        """Look at all products once."""
        rarest = np.full(len(words.products), _NONE, np.int32)
        for start in range(0, len(rarest), _BLOCK):
            products = np.arange(start, min(start + _BLOCK, len(rarest)))
            owner, term = _visible(words, products, seen)
            rarest[products[owner]] = term  # the last of each stays: terms rise, and are numbered by falling frequency
        order = np.argsort(rarest, kind="stable").astype(np.int32)
        return cls(words, seen, rarest[order], order, rarest == _NONE)

    def read(self, terms: IntArray) -> IntArray:
        """Products, rising, of whose names all that is to be seen is among these terms, and something is."""
        terms = np.unique(terms)
        place, _ = spans(np.searchsorted(self.rarest, terms, "left"), np.searchsorted(self.rarest, terms, "right"))
        products = np.sort(self.products[place]).astype(np.int64)
        owner, term = _visible(self.words, products, self.seen)
        missed = np.zeros(len(products), np.bool_)
        missed[owner[~among(term, terms)]] = True
        return products[~missed]


def _visible(words: WordIndex, products: IntArray, seen: float) -> tuple[IntArray, IntArray]:
    """Place of its product, and term, of each word of these products' names that is so surely to be seen."""
    positions, owner = words.products.rows(products)
    named = np.flatnonzero((np.asarray(words.flags[positions]) & NAMED) > 0)
    positions, owner = positions[named], owner[named]
    shown = words.expected(words.photo_frequency[positions], words.photo_count[products][owner], named=True)
    sure = np.flatnonzero(shown >= seen)
    return owner[sure], np.asarray(words.products.values[positions[sure]], np.int64)
