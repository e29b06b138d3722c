"""Which products are weighed at all: those whose photos are near, and those whose words were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import FuzzyMatches, look_up
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.geometry import GeometricMatch
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures

NO_PHOTO = -1

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What a catalog is to be answered without: one of its photos, or a product altogether (then photo is NO_PHOTO).

    dropped_terms: terms that the product no longer has.
    """

    product: int
    photo: int
    dropped_terms: IntArray

    @property
    def whole_product(self) -> bool:
        """Whether the product is left out with all its photos."""
        return self.photo == NO_PHOTO

    @classmethod
    def of_photo(cls, snapshot: Snapshot, photo: int) -> Exclusion:
        """As if this photo had never been taken."""
        product = int(snapshot.photo_product[photo])
        return cls(product, photo, snapshot.words.only_on(photo, product))

    @classmethod
    def of_product(cls, snapshot: Snapshot, product: int) -> Exclusion:
        """As if this product had never been listed."""
        return cls(product, NO_PHOTO, np.asarray(snapshot.words.products.row(product), np.int64))


@dataclass(frozen=True, slots=True)
class Query:
    """A photo that a catalog was searched with: features, projected vector [projected], what was found.

    near: numbers of the catalog photos nearest to it, nearest first. words: what its words may stand for.
    geometry: what comparing it with catalog photos gave, by photo, so that none is compared twice.
    """

    features: Features
    vector: FloatArray
    near: IntArray
    words: FuzzyMatches
    geometry: dict[int, GeometricMatch] = field(default_factory=dict)

    @classmethod
    def of(cls, features: Features, snapshot: Snapshot) -> Query:
        """Project the embedding, search with it and look the words up.

        Raises CatalogError when the embedding has another length than the version's.
        """
        vector = snapshot.project(features.embedding)
        words = look_up(features.words, snapshot.words.vocabulary)
        return cls(features, vector, _near(vector, snapshot), words)

    def with_words(self, words: Sequence[WordRead], snapshot: Snapshot) -> Query:
        """The same photo with other words, without another search."""
        known = replace(self.features, words=tuple(words))
        return replace(self, features=known, words=look_up(words, snapshot.words.vocabulary))

    def with_details(self, local: LocalFeatures, thumbnail: bytes) -> Query:
        """The same photo with its key points and thumbnail, which reranking needs."""
        return replace(self, features=replace(self.features, local=local, thumbnail=thumbnail))


def find_candidates(query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None) -> IntArray:
    """Products from both sides, each once, in rising order of their number; only those whose barcode is on the photo, if any."""
    if coded := snapshot.barcodes.find(query.features.barcodes or ()):
        return np.array(sorted(coded), np.int64)
    photos = query.near if exclusion is None else query.near[query.near != exclusion.photo]
    found = np.union1d(snapshot.photo_product[photos], _by_words(query.words, snapshot, exclusion))
    if exclusion is not None and exclusion.whole_product:
        found = found[found != exclusion.product]
    return found.astype(np.int64)


def _near(vector: FloatArray, snapshot: Snapshot) -> IntArray:
    if not vector.any():
        return np.zeros(0, np.int64)
    most = min(snapshot.parameters.candidates.near_photos, snapshot.index.ntotal)
    _, found = snapshot.index.search(vector[None], most)
    return np.asarray(found[0][found[0] >= 0], np.int64)  # Faiss fills up with -1


def _by_words(read: FuzzyMatches, snapshot: Snapshot, exclusion: Exclusion | None) -> IntArray:
    """Products that share the rarest words read."""
    words, parameters = snapshot.words, snapshot.parameters.candidates
    gain = read.confidence[read.word] * read.weight * words.rarity(frequencies(read.term, snapshot, exclusion))
    order = np.argsort(-gain, kind="stable")
    length = words.frequency(read.term)[order]
    order = order[(np.cumsum(length) <= parameters.max_postings) & (gain[order] > 0)]
    if not len(order):
        return np.zeros(0, np.int64)
    positions, owner = words.postings.rows(read.term[order])
    product = np.asarray(words.postings.values[positions], np.int64)
    word, value = read.word[order][owner], gain[order][owner]
    if exclusion is not None:
        kept = ~((product == exclusion.product) & np.isin(read.term[order][owner], exclusion.dropped_terms))
        product, word, value = product[kept], word[kept], value[kept]
    # A word counts once per product, with its best alternative: the first, since values fall.
    _, first = np.unique(product * len(read.texts) + word, return_index=True)
    products, row = np.unique(product[first], return_inverse=True)
    score = np.bincount(row, value[first])
    return products[np.lexsort((products, -score))[: parameters.by_words]]


def frequencies(terms: IntArray, snapshot: Snapshot, exclusion: Exclusion | None) -> IntArray:
    """Products that have each term, without what is left out."""
    frequency = snapshot.words.frequency(terms)
    if exclusion is not None and len(exclusion.dropped_terms):
        frequency = frequency - np.isin(terms, exclusion.dropped_terms)
    return frequency
