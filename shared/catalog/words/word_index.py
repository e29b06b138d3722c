"""Which words stand on which product: from the feed and, with equal right, from the catalog's own photos.

Rarity is inverse document frequency (Spärck Jones, A statistical interpretation of term specificity, 1972) over
products, ln((N + 1) / (df + smoothing)) in nats. How surely a word is to be read on a product's photo is a smoothed share
of its photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import Ragged, open_array
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.words.vocabulary import Vocabulary
from packsight.shared.catalog.words.word_notes import VENDOR, WordNotes
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.parameters import WORDS, WordParameters


@dataclass(frozen=True)
class WordIndex:
    """Words of products and of photos, as terms of the vocabulary.

    products: row per product, its terms in rising order; photo_frequency (the product's photos that show it) and flags
    (NAMED, VENDOR) stand beside its values. photos: row per photo. postings: row per term, the products that have it.
    photo_count: photos per product. vendor_terms: per term, is it part of a brand's name? lines: row per line of the photos, its
    terms as they stand; line_starts: [photos + 1] first line of each photo.
    """

    vocabulary: Vocabulary
    products: Ragged
    photo_frequency: npt.NDArray[np.uint16]
    flags: npt.NDArray[np.uint8]
    photos: Ragged
    postings: Ragged
    photo_count: npt.NDArray[np.int32]
    vendor_terms: npt.NDArray[np.bool_]
    lines: Ragged
    line_starts: npt.NDArray[np.int64]

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

    def expected(
        self, seen: npt.NDArray[Any], photos: npt.NDArray[Any], named: npt.NDArray[np.bool_] | bool
    ) -> npt.NDArray[np.float64]:
        """How surely words are to be seen on a photo of their product, which show on so many of so many, 0 to 1."""
        rules = self.parameters
        shown = np.asarray(seen, np.float64) + rules.name_weight * np.asarray(named)
        return np.asarray(shown / (np.asarray(photos, np.float64) + rules.prior_photos))

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
        parameters: WordParameters = WORDS,
    ) -> WordIndex:
        """Index the feed's names and the words read on each photo."""
        notes = WordNotes(products, parameters)
        for product, read in zip(photo_products.tolist(), words, strict=True):
            notes.add_photo(product, read)
        return cls.of(notes, np.bincount(photo_products, minlength=len(products)), parameters)

    @classmethod
    def of(cls, notes: WordNotes, photo_count: npt.NDArray[Any], parameters: WordParameters = WORDS) -> WordIndex:
        """Index what was noted of a catalog's words; photo_count: [products]."""
        found = notes.grouped()
        vendor_terms = np.zeros(len(found.keys), np.bool_)
        vendor_terms[found.products.values[(found.flags & VENDOR) > 0]] = True
        return cls(
            vocabulary=Vocabulary.build(found.keys, found.texts, found.listed, parameters),
            products=found.products,
            photo_frequency=np.minimum(found.photo_frequency, 65535).astype(np.uint16),
            flags=found.flags,
            photos=found.photos,
            postings=_inverted(found.products, len(found.keys)),
            photo_count=photo_count.astype(np.int32),
            vendor_terms=vendor_terms,
            lines=found.lines,
            line_starts=found.line_starts,
        )

    def save(self, folder: Path) -> None:
        """Write the index's files."""
        self.vocabulary.save(folder)
        self.products.save(folder, "product_terms")
        self.photos.save(folder, "photo_terms")
        self.postings.save(folder, "postings")
        self.lines.save(folder, "line_terms")
        for name in ("photo_frequency", "flags", "photo_count", "vendor_terms", "line_starts"):
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
            lines=Ragged.open(folder, "line_terms"),
            line_starts=open_array(folder / "line_starts.npy"),
        )


def _inverted(products: Ragged, terms: int) -> Ragged:
    """Products that have each term, in rising order, from the terms of each product."""
    owner = np.repeat(np.arange(len(products), dtype=np.int32), np.diff(products.starts))
    starts = np.zeros(terms + 1, np.int64)
    np.cumsum(np.bincount(products.values, minlength=terms), out=starts[1:])
    return Ragged(starts, owner[np.argsort(products.values, kind="stable")])
