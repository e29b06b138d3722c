"""Which products are looked at more closely: those whose photos are near, and those whose words were read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shared.features import Features, FloatArray
from shared.matching.geometry import Verified
from shared.matching.reading import Reading, read
from shared.matching.snapshot import Snapshot

NEAR_PHOTOS = 64
BY_WORDS = 32
NO_PHOTO = -1
MAX_POSTINGS = 200_000
"""Postings read per photo, rarest words first: in a catalog of a million, `cream` alone proposes nothing."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Leave:
    """What a catalog is to be answered without: one of its photos, or a product altogether (then photo is NO_PHOTO).

    gone: terms that the product no longer has.
    """

    product: int
    photo: int
    gone: IntArray
    whole: bool

    @classmethod
    def one_photo(cls, snapshot: Snapshot, photo: int) -> Leave:
        """As if this photo had never been taken."""
        product = int(snapshot.photo_product[photo])
        return cls(product, photo, snapshot.words.gone(photo, product), False)

    @classmethod
    def whole_product(cls, snapshot: Snapshot, product: int) -> Leave:
        """As if this product had never been listed."""
        return cls(product, NO_PHOTO, np.asarray(snapshot.words.products.row(product), np.int64), True)


@dataclass(frozen=True, slots=True)
class Query:
    """A photo laid against a catalog: features, projected vector [projected], words looked up.

    verified: what comparing it with catalog photos gave, so that no photo is compared twice.
    """

    features: Features
    vector: FloatArray
    reading: Reading
    verified: dict[int, Verified] = field(default_factory=dict)

    @classmethod
    def of(cls, features: Features, snapshot: Snapshot) -> Query:
        """Project the embedding and look the words up."""
        return cls(features, snapshot.project(features.embedding), read(features.words, snapshot.words.vocabulary))


def candidates(query: Query, snapshot: Snapshot, leave: Leave | None = None) -> IntArray:
    """Products from both sides, each once, in rising order of their number."""
    found = np.union1d(_by_looks(query.vector, snapshot, leave), _by_words(query.reading, snapshot, leave))
    if leave is not None and leave.whole:
        found = found[found != leave.product]
    return found.astype(np.int64)


def _by_looks(vector: FloatArray, snapshot: Snapshot, leave: Leave | None) -> IntArray:
    if not vector.any():
        return np.zeros(0, np.int64)
    _, found = snapshot.index.search(vector[None], min(NEAR_PHOTOS, snapshot.index.ntotal))
    photos = found[0][found[0] >= 0]  # Faiss fills up with -1
    if leave is not None:
        photos = photos[photos != leave.photo]
    return np.unique(snapshot.photo_product[photos]).astype(np.int64)


def _by_words(reading: Reading, snapshot: Snapshot, leave: Leave | None) -> IntArray:
    words = snapshot.words
    frequency = frequencies(reading.term, snapshot, leave)
    gain = reading.confidence[reading.word] * reading.weight * words.rarity(frequency)
    order = np.argsort(-gain, kind="stable")
    length = words.frequency(reading.term)[order]
    order = order[(np.cumsum(length) <= MAX_POSTINGS) & (gain[order] > 0)]
    if not len(order):
        return np.zeros(0, np.int64)
    positions, owner = words.postings.rows(reading.term[order])
    product = np.asarray(words.postings.values[positions], np.int64)
    word, value = reading.word[order][owner], gain[order][owner]
    if leave is not None:
        kept = ~((product == leave.product) & np.isin(reading.term[order][owner], leave.gone))
        product, word, value = product[kept], word[kept], value[kept]
    # A word counts once per product, with its best alternative: the first, since values fall.
    _, first = np.unique(product * len(reading.texts) + word, return_index=True)
    products, place = np.unique(product[first], return_inverse=True)
    score = np.bincount(place, value[first])
    return products[np.lexsort((products, -score))[:BY_WORDS]]


def frequencies(terms: IntArray, snapshot: Snapshot, leave: Leave | None) -> IntArray:
    """Products that have each term, without what is left out."""
    frequency = snapshot.words.frequency(terms)
    if leave is not None and len(leave.gone):
        frequency = frequency - np.isin(terms, leave.gone)
    return frequency
