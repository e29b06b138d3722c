"""Which products are looked at more closely: those whose photos are near, and those whose words were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import Reading, read
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.geometry import Verified
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures

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
    """A photo laid against a catalog: features, projected vector [projected], catalog photos near it, words looked up.

    near: numbers of up to NEAR_PHOTOS photos, nearest first.
    verified: what comparing it with catalog photos gave, so that no photo is compared twice.
    """

    features: Features
    vector: FloatArray
    near: IntArray
    reading: Reading
    verified: dict[int, Verified] = field(default_factory=dict)

    @classmethod
    def of(cls, features: Features, snapshot: Snapshot) -> Query:
        """Project the embedding, search with it and look the words up."""
        vector = snapshot.project(features.embedding)
        return cls(features, vector, _near(vector, snapshot), read(features.words, snapshot.words.vocabulary))

    def with_words(self, words: Sequence[WordRead], snapshot: Snapshot) -> Query:
        """The same photo with other words, without another search."""
        known = replace(self.features, words=tuple(words))
        return replace(self, features=known, reading=read(words, snapshot.words.vocabulary))

    def with_details(self, local: LocalFeatures, thumbnail: bytes) -> Query:
        """The same photo with its key points and thumbnail, which comparing it closely needs."""
        return replace(self, features=replace(self.features, local=local, thumbnail=thumbnail))


def candidates(query: Query, snapshot: Snapshot, leave: Leave | None = None) -> IntArray:
    """Products from both sides, each once, in rising order of their number."""
    photos = query.near if leave is None else query.near[query.near != leave.photo]
    found = np.union1d(snapshot.photo_product[photos], _by_words(query.reading, snapshot, leave))
    if leave is not None and leave.whole:
        found = found[found != leave.product]
    return found.astype(np.int64)


def _near(vector: FloatArray, snapshot: Snapshot) -> IntArray:
    if not vector.any():
        return np.zeros(0, np.int64)
    _, found = snapshot.index.search(vector[None], min(NEAR_PHOTOS, snapshot.index.ntotal))
    return np.asarray(found[0][found[0] >= 0], np.int64)  # Faiss fills up with -1


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
