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
from packsight.shared.matching.shared_words import WordGains, sharing_most
from packsight.shared.matching.votes import Neighbours, Votes, nearest, vote
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

    @property
    def corners(self) -> FloatArray:
        """[4, 2] in pixels of the photo, around from its top left."""
        left, top, width, height = self
        return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]], np.float32)


WHOLE = Frame(0.0, 0.0, 1.0, 1.0)
"""Where the photo's pixels are not known: places stay shares."""


@dataclass(frozen=True, slots=True)
class Query:
    """A photo that a catalog was searched with, as far as it is known: key points first, then its looks, then its words.

    vectors: [looks, projected] of the whole photo and of its middle, none while unknown; near: numbers of the catalog photos
    nearest to one of them, nearest first. words: what its words may stand for. barcodes: GTINs on it. looks, lines: looks and
    words as they came; places: [lines, 2] middles of the lines as shares of its sides; cut: lines that were cut out where a
    catalog's lines tell, and read by themselves. frame: what of a photo it is; where that is the surest part of a long one,
    whole: the frame of all of it, and beside: its other parts.

    What every stage asks for is found once: spare: the catalog's points near its key points with some to spare, where anything
    was left out; voted: what these voted for, by what was left out; geometry: what laying catalog photos over it gave, by photo;
    laid: what comparing sets of candidates so gave, by their numbers and what was left out; gains: what words give products.
    """

    local: LocalFeatures
    thumbnail: bytes
    vectors: FloatArray
    near: IntArray
    words: FuzzyMatches
    barcodes: tuple[int, ...] = ()
    looks: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    lines: tuple[WordRead, ...] = ()
    places: FloatArray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    cut: tuple[WordRead, ...] = ()
    frame: Frame = WHOLE
    whole: Frame | None = None
    beside: tuple[Query, ...] = ()
    spare: list[Neighbours] = field(default_factory=list)
    voted: dict[tuple[int, int] | None, Votes] = field(default_factory=dict)
    geometry: dict[int, GeometricMatch] = field(default_factory=dict)
    laid: dict[tuple[bytes, tuple[int, int] | None], Any] = field(default_factory=dict)
    gains: WordGains = field(default_factory=WordGains)

    @classmethod
    def of_details(
        cls,
        local: LocalFeatures,
        thumbnail: bytes,
        snapshot: Snapshot,
        barcodes: tuple[int, ...] = (),
        frame: Frame = WHOLE,
    ) -> Query:
        """A photo of which nothing but its details and barcodes is known yet."""
        unseen, unread = np.zeros((0, snapshot.projection.dimension), np.float32), look_up((), snapshot.words.vocabulary)
        return cls(local, thumbnail, unseen, np.zeros(0, np.int64), unread, barcodes, frame=frame)

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
        if len(looks) and np.array_equal(looks, self.looks):
            return self
        projected = [snapshot.project(embedding) for embedding in looks]
        vectors = np.array([one for one in projected if one.any()], np.float32).reshape(-1, snapshot.projection.dimension)
        return replace(self, looks=looks, vectors=vectors, near=_near(vectors, snapshot))

    @property
    def edges(self) -> FloatArray:
        """Corners [4, 2] of the photo as shares of this part's sides."""
        return self.frame.shares((self.whole or self.frame).corners)

    def votes(self, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Votes:
        """What its key points vote for; `exclusion` as if a photo or product were not in the catalog."""
        key = None if exclusion is None else exclusion.key
        if key not in self.voted:
            if exclusion is not None and not self.spare:
                self.spare.append(nearest(self.local, snapshot, spare=True))
            self.voted[key] = vote(self.local, snapshot, exclusion, self.spare[0] if exclusion is not None else None)
        return self.voted[key]

    def coded(self, snapshot: Snapshot) -> IntArray:
        """Products whose barcode is on it, rising."""
        return np.array(sorted(snapshot.barcodes.find(self.barcodes)), np.int64)

    def with_words(self, words: Sequence[WordRead], frame: Frame, snapshot: Snapshot) -> Query:
        """The same photo with these words, without another search; frame: this photo in the pixels of their boxes."""
        middles = np.array([line.box for line in words], np.float64).reshape(-1, 4, 2).mean(axis=1).astype(np.float32)
        found = look_up(words, snapshot.words.vocabulary)
        return replace(self, lines=tuple(words), places=frame.shares(middles), words=found)


def find_candidates(
    query: Query, votes: Votes, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> IntArray:
    """Products from all sides, each once, in rising order of their number; only those whose barcode is on the photo, if any."""
    if len(coded := query.coded(snapshot)):
        return coded
    photos = query.near if exclusion is None else query.near[query.near != exclusion.photo]
    voted = votes.products[: snapshot.parameters.votes.candidates]
    by_words = sharing_most(query.words, query.gains, snapshot, exclusion)
    found = np.unique(np.concatenate([snapshot.photo_product[photos], voted, by_words]))
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
