"""Which products are weighed at all: those that key points vote for, whose photos are near, or whose words were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import FuzzyMatches, look_up
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.exclusion import Exclusion, IntArray
from packsight.shared.matching.geometry import GeometricMatch
from packsight.shared.matching.votes import Votes, vote
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures


class Frame(NamedTuple):
    """The part of a photo that shares of width and height are of: left, top, width and height in its pixels."""

    left: float
    top: float
    width: float
    height: float

    def shares(self, points: FloatArray) -> FloatArray:
        """Points [n, 2] in pixels of the photo as shares of this part's width and height."""
        return np.asarray((points - self[:2]) / self[2:], np.float32)

    def pixels(self, points: FloatArray) -> FloatArray:
        """Points [n, 2] that are shares of this part's width and height in pixels of the photo."""
        return np.asarray(points * self[2:] + self[:2], np.float32)


WHOLE = Frame(0.0, 0.0, 1.0, 1.0)
"""Where the photo's pixels are not known: places stay shares."""


@dataclass(frozen=True, slots=True)
class Query:
    """A photo that a catalog was searched with, as far as it is known: key points first, then its looks, then its words.

    votes: what its key points voted for. vectors: [looks, projected] of the whole photo and of its middle, none while unknown;
    near: numbers of the catalog photos nearest to one of them, nearest first. words: what its words may stand for. barcodes:
    GTINs on it. looks, lines: looks and words as they came; places: [lines, 2] middles of the lines as shares of its sides;
    cut: lines that were cut out where a catalog's lines tell, and read by themselves.
    frame: what of a photo it is. geometry: what laying catalog photos over it gave, by photo, so that none is laid twice; laid:
    what comparing sets of candidates so gave, by their numbers.
    """

    local: LocalFeatures
    thumbnail: bytes
    votes: Votes
    vectors: FloatArray
    near: IntArray
    words: FuzzyMatches
    barcodes: tuple[int, ...] = ()
    looks: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    lines: tuple[WordRead, ...] = ()
    places: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    cut: tuple[WordRead, ...] = ()
    frame: Frame = WHOLE
    geometry: dict[int, GeometricMatch] = field(default_factory=dict)
    laid: dict[bytes, Any] = field(default_factory=dict)

    @classmethod
    def of_details(
        cls,
        local: LocalFeatures,
        thumbnail: bytes,
        snapshot: Snapshot,
        barcodes: tuple[int, ...] = (),
        frame: Frame = WHOLE,
    ) -> Query:
        """A photo of which nothing but its details and barcodes is known yet: let its key points vote."""
        unseen, unread = np.zeros((0, snapshot.projection.dimension), np.float32), look_up((), snapshot.words.vocabulary)
        return cls(local, thumbnail, vote(local, snapshot), unseen, np.zeros(0, np.int64), unread, barcodes, frame=frame)

    @classmethod
    def of(cls, features: Features, snapshot: Snapshot) -> Query:
        """A photo of which everything is known; of a catalog photo as if it were asked about.

        Raises CatalogError when the embedding has another length than the version's.
        """
        frame = Frame(0.0, 0.0, features.width, features.height)
        query = cls.of_details(features.local.as_query(), features.thumbnail, snapshot, features.barcodes or (), frame)
        return query.with_rest(features, snapshot)

    def with_rest(self, features: Features, snapshot: Snapshot) -> Query:
        """The same photo with its looks and its words, as far as they are known.

        Raises CatalogError when the embedding has another length than the version's.
        """
        seen = self.with_looks(features.looks, snapshot) if len(features.looks) else self
        return replace(seen.with_words(features.words, self.frame, snapshot), cut=features.cut)

    def with_looks(self, looks: FloatArray, snapshot: Snapshot) -> Query:
        """The same photo with its looks: project the embeddings [looks, dimension] and search with them.

        One that is not finite counts as unknown. Raises CatalogError when they have another length than the version's.
        """
        projected = [snapshot.project(embedding) for embedding in looks]
        vectors = np.array([one for one in projected if one.any()], np.float32).reshape(-1, snapshot.projection.dimension)
        return replace(self, looks=looks, vectors=vectors, near=_near(vectors, snapshot))

    def with_words(self, words: Sequence[WordRead], frame: Frame, snapshot: Snapshot) -> Query:
        """The same photo with these words, without another search; frame: this photo in the pixels of their boxes."""
        middles = np.array([np.mean(line.box, axis=0) for line in words], np.float32).reshape(-1, 2)
        found = look_up(words, snapshot.words.vocabulary)
        return replace(self, lines=tuple(words), places=frame.shares(middles), words=found)


def find_candidates(
    query: Query, votes: Votes, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> IntArray:
    """Products from all sides, each once, in rising order of their number; only those whose barcode is on the photo, if any."""
    if coded := snapshot.barcodes.find(query.barcodes):
        return np.array(sorted(coded), np.int64)
    photos = query.near if exclusion is None else query.near[query.near != exclusion.photo]
    found = np.union1d(snapshot.photo_product[photos], _by_words(query.words, snapshot, exclusion))
    found = np.union1d(found, votes.products[: snapshot.parameters.votes.candidates])
    if exclusion is not None and exclusion.whole_product:
        found = found[found != exclusion.product]
    return found.astype(np.int64)


def _near(vectors: FloatArray, snapshot: Snapshot) -> IntArray:
    """As many photos as one look finds, nearest to any of them first."""
    most = min(snapshot.parameters.candidates.near_photos, snapshot.index.ntotal)
    if not len(vectors) or not most:
        return np.zeros(0, np.int64)
    similarity, found = snapshot.index.search(vectors, most)
    order = np.argsort(-similarity, axis=None, kind="stable")
    photos = found.ravel()[order]
    _, first = np.unique(photos, return_index=True)
    nearest = photos[np.sort(first)]
    return np.asarray(nearest[nearest >= 0][:most], np.int64)  # Faiss fills up with -1


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
