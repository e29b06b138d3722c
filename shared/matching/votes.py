"""Which products do a photo's key points vote for?

Local naive Bayes nearest neighbour (McCann & Lowe, CVPR 2012): a point adds to each product near it what it is nearer than the
last neighbour, once. Points that many products share add nothing, points that only one has decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.detail_index import DetailIndex
from packsight.shared.matching.exclusion import Exclusion, IntArray
from packsight.shared.matching.worthiest import worthiest
from packsight.shared.parameters import MatchingParameters, VoteParameters
from packsight.shared.vision.features import FloatArray, LocalFeatures


class Voters(Protocol):
    """Key points that can be voted for, as a snapshot has them."""

    @property
    def details(self) -> DetailIndex:
        """Where they are found."""

    @property
    def photo_product(self) -> npt.NDArray[np.int32]:
        """[photos] the product that each photo shows."""

    @property
    def parameters(self) -> MatchingParameters:
        """How they are asked."""


class Neighbours(NamedTuple):
    """The catalog's points near some of a query [voters, neighbours], nearest first: squared distance, number, and photo.

    voters: [voters] rows of the query's points, rising.
    """

    voters: IntArray
    distance: FloatArray
    point: IntArray
    photo: IntArray


@dataclass(frozen=True, slots=True)
class Votes:
    """What all products got, and the pairs of points behind it.

    products: numbers of products with votes, most first, with their score; photos: numbers of photos with votes,
    rising, with theirs. point, near, gain: [pairs] a point of the query, the catalog's point near it, and what the pair adds;
    photo: [pairs] whose point that is.
    """

    products: IntArray
    score: npt.NDArray[np.float64]
    photos: IntArray
    photo_score: npt.NDArray[np.float64]
    point: IntArray
    near: IntArray
    gain: FloatArray
    photo: IntArray

    def of(self, products: IntArray) -> npt.NDArray[np.float64]:
        """Scores of these products, 0 without votes."""
        order = np.argsort(self.products)
        return _looked_up(self.products[order], self.score[order], products)

    def of_photos(self, photos: IntArray) -> npt.NDArray[np.float64]:
        """Scores of these photos, 0 without votes."""
        return _looked_up(self.photos, self.photo_score, photos)

    def floor(self, parameters: VoteParameters) -> float:
        """What chance gives: the votes of a product far down the list, 0 in a catalog without so many."""
        return float(self.score[parameters.floor - 1]) if len(self.score) >= parameters.floor else 0.0


def nearest(local: LocalFeatures, snapshot: Voters, *, spare: bool) -> Neighbours:
    """Look for points near those of a photo that vote; spare: as many more as may be left out again."""
    parameters, voters = snapshot.parameters.votes, np.arange(len(local.points))
    if snapshot.details.index.ntotal > parameters.large:
        voters = np.sort(worthiest(local.points, local.descriptors, snapshot.parameters.spread)[: parameters.voters])
    distance, point = snapshot.details.search(local.descriptors[voters], parameters.neighbours + spare * parameters.spare)
    return Neighbours(voters, distance, point, snapshot.details.photo(point))


def vote(
    local: LocalFeatures, snapshot: Voters, exclusion: Exclusion | None = None, found: Neighbours | None = None
) -> Votes:
    """Let a photo's key points vote; `exclusion` as if a photo or product were not in the catalog.

    found: what `nearest` gave, with points to spare where something is left out.
    """
    parameters = snapshot.parameters.votes
    voters, distance, near, photo = found or nearest(local, snapshot, spare=exclusion is not None)
    if exclusion is not None:
        count = parameters.neighbours
        out = photo == exclusion.photo if not exclusion.whole_product else snapshot.photo_product[photo] == exclusion.product
        distance = np.where(out, np.inf, distance)
        order = np.argsort(distance, axis=1, kind="stable")[:, :count]
        distance, near = np.take_along_axis(distance, order, axis=1), np.take_along_axis(near, order, axis=1)
        photo = np.take_along_axis(photo, order, axis=1)
    there = np.isfinite(distance)
    last = np.where(there, distance, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    middle = np.exp(-((local.points[voters] - 0.5) ** 2).sum(axis=1) / (2 * parameters.prominence**2))
    gain = np.where(there, last - distance, 0.0) * middle[:, None]
    point, place = np.nonzero(gain > 0)
    pairs = near[point, place], gain[point, place].astype(np.float32), photo[point, place]
    products, score = _scores(point, np.asarray(snapshot.photo_product, np.int64)[pairs[2]], pairs[1])
    photos, photo_score = _scores(point, pairs[2], pairs[1])
    order = np.lexsort((products, -score))
    return Votes(products[order], score[order], photos, photo_score, voters[point], *pairs)


def _scores(point: IntArray, owner: IntArray, gain: FloatArray) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Sum of gains by owner, of each point only the greatest: the first, since neighbours come nearest first."""
    if not len(point):
        return np.zeros(0, np.int64), np.zeros(0)
    _, first = np.unique(point * (int(owner.max()) + 1) + owner, return_index=True)
    owners, row = np.unique(owner[first], return_inverse=True)
    return owners.astype(np.int64), np.bincount(row, gain[first]).astype(np.float64)


def _looked_up(keys: IntArray, values: npt.NDArray[np.float64], wanted: IntArray) -> npt.NDArray[np.float64]:
    if not len(keys):
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0.0)
