"""Candidates laid over the photo: what key points, geometry and colours say of each, as numbers.

For each candidate, by the one of its catalog photos that most key points vote for:
- votes: ln(1 + v ÷ VoteParameters.half), v being what its points got; vote_rise: ln of v against what chance gives in this
  catalog; vote_lead: the same of the candidates' first photos alone, ln of v less that of the best other: the shop takes these
  alike, while of further ones that which happens to be held like the query would beat a sibling without such a one;
- inliers: ln(1 + key points in geometric agreement) ÷ ln of as many as count in full; inlier_lead: that less the best of the
  others'; alignment: inliers as a share of the most of any candidate;
- span: share of what has key points on the candidate's photo that the agreeing ones span: of a sibling the logo alone may agree;
- surplus: inliers less what the closest other product of the catalog would have (kinship.py), at least 0: of a line of siblings
  the shared face proves nothing, of a pack without relatives it proves all;
- area: root of the share of the query that the agreeing points span: what is asked about is large; off_centre: how far from the
  query's middle they are;
- colour: similarity of the colours; colour_lead: agreement where it differs from its rivals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.decision_model import Matrix
from packsight.shared.catalog.evidence import LAID, VOTES
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching import colours
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.evidence import lead
from packsight.shared.matching.exclusion import NO_PHOTO, Exclusion, IntArray
from packsight.shared.matching.geometry import NO_AGREEMENT, GeometricMatch, lay, spread, verify
from packsight.shared.matching.kinship import kinship
from packsight.shared.matching.votes import Votes
from packsight.shared.vision.features import LocalFeatures


@dataclass(frozen=True, slots=True)
class Laid:
    """One candidate's photo over the query: its number (NO_PHOTO when none agrees), and how it lies."""

    photo: int
    match: GeometricMatch


NOT_LAID = Laid(NO_PHOTO, NO_AGREEMENT)


def vote_evidence(
    votes: Votes, products: IntArray, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> dict[str, Matrix]:
    """Evidence VOTES for products."""
    parameters = snapshot.parameters.votes
    score = votes.of(products)
    height = np.log(score + parameters.half)
    columns = {
        "votes": np.log1p(score / parameters.half),
        "vote_rise": np.maximum(height - np.log(votes.floor(parameters) + parameters.half), 0.0),
        "vote_lead": lead(np.log(votes.of_photos(_first_photos(products, snapshot, exclusion)) + parameters.half)),
    }
    return {name: columns[name] for name in VOTES}


def lay_by_votes(query: Query, votes: Votes, products: IntArray, snapshot: Snapshot) -> list[Laid]:
    """Lay the photo with the most votes of each product over the query, by the pairs of points that voted for it."""

    def pairs(photo: int) -> GeometricMatch:
        mine = np.flatnonzero(votes.photo == photo)
        mine = mine[np.argsort(-votes.gain[mine], kind="stable")]
        place = snapshot.local.places(votes.near[mine])
        return lay(query.local.points[votes.point[mine]], place, snapshot.parameters.geometry)

    return [_laid(_most_voted(int(product), votes, snapshot, NO_PHOTO), pairs) for product in products]


def lay_by_all_points(
    query: Query, votes: Votes, products: IntArray, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> list[Laid]:
    """The same by all points of photo and query: what siblings share is found too."""
    without = NO_PHOTO if exclusion is None else exclusion.photo

    def points(photo: int) -> GeometricMatch:
        if photo not in query.geometry:
            other: LocalFeatures = snapshot.local.features(photo)
            query.geometry[photo] = verify(query.local, other, snapshot.parameters.geometry)
        return query.geometry[photo]

    return [_laid(_most_voted(int(product), votes, snapshot, without), points) for product in products]


def laid_evidence(
    query: Query, laid: list[Laid], products: IntArray, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> dict[str, Matrix]:
    """Evidence LAID for candidates, each beside the others."""
    inliers = np.array([one.match.inliers for one in laid], np.float64)
    strength = np.log1p(inliers) / np.log(snapshot.parameters.close.full_inliers)
    colour, colour_lead = _colours(query, laid, snapshot)
    # Asked of those only that have anything to exceed it, since it is dear the first time.
    kin = [
        kinship(product, snapshot, exclusion) if one.match.inliers else 0.0
        for product, one in zip(products.tolist(), laid, strict=True)
    ]
    columns = {
        "inliers": strength,
        "alignment": inliers / max(inliers.max(initial=0), 1),
        "inlier_lead": lead(strength),
        "span": np.array([_span(one, snapshot) for one in laid]),
        "area": np.sqrt([one.match.area for one in laid]),
        "off_centre": np.array([one.match.off_centre for one in laid]),
        "colour": colour,
        "colour_lead": colour_lead,
        "surplus": np.maximum(strength - kin, 0.0),
    }
    return {name: np.asarray(columns[name], np.float64) for name in LAID}


def _span(laid: Laid, snapshot: Snapshot) -> float:
    if laid.photo == NO_PHOTO:
        return 0.0
    whole = spread(snapshot.local.points_of(laid.photo))
    return min(laid.match.covered / whole, 1.0) if whole > 0 else 0.0


def words_inside(query: Query, laid: list[Laid], snapshot: Snapshot) -> npt.NDArray[np.bool_]:
    """Which words [words, candidates] stand where a candidate's photo lies, or may do so: of others nothing is known.

    What stands elsewhere says nothing against it: photos show other things too.
    """
    inside = np.ones((len(query.words.keys), len(laid)), np.bool_)
    growth = snapshot.parameters.geometry.hull_growth
    for row, one in enumerate(laid):
        if one.match.homography is None:
            continue
        outline = one.match.outline(snapshot.local.points_of(one.photo), growth)
        there = [cv2.pointPolygonTest(outline, (float(x), float(y)), measureDist=False) >= 0 for x, y in query.places]
        inside[:, row] = [any(there[line] for line in lines) for lines in query.words.lines]
    return inside


def _first_photos(products: IntArray, snapshot: Snapshot, exclusion: Exclusion | None) -> IntArray:
    """Of each product the first photo but the one left out; NO_PHOTO where it has none."""
    first, end = (np.asarray(snapshot.photo_starts[products + one], np.int64) for one in (0, 1))
    if exclusion is not None:
        first += first == exclusion.photo
    return np.where(first < end, first, NO_PHOTO)


def _most_voted(product: int, votes: Votes, snapshot: Snapshot, without: int) -> int:
    """A product's photo with the most votes, the first of several; NO_PHOTO where it has none but the one left out."""
    photos = np.array([photo for photo in snapshot.photos(product) if photo != without], np.int64)
    return int(photos[votes.of_photos(photos).argmax()]) if len(photos) else NO_PHOTO


def _laid(photo: int, match: Callable[[int], GeometricMatch]) -> Laid:
    found = NO_AGREEMENT if photo == NO_PHOTO else match(photo)
    return Laid(photo, found) if found.inliers else NOT_LAID


def _colours(query: Query, laid: list[Laid], snapshot: Snapshot) -> tuple[Matrix, Matrix]:
    """Similarity and lead of each candidate's colours; 0 for those that could not be laid over the query."""
    parameters = snapshot.parameters.colours
    similarity, ahead = np.zeros(len(laid)), np.zeros(len(laid))
    if not any(one.match.inliers for one in laid):
        return similarity, ahead
    light = colours.lab(query.thumbnail, parameters)
    if light is None:
        return similarity, ahead
    least = snapshot.parameters.close.hull_share * max(one.match.inliers for one in laid)
    hulls = [one.match.hull for one in laid if one.match.inliers and one.match.inliers >= least]
    where = colours.region(hulls, parameters.side)
    rows, warped = [], []
    for row, one in enumerate(laid):
        photo = None if one.match.homography is None else colours.lab(snapshot.local.thumbnail(one.photo), parameters)
        if photo is not None and one.match.homography is not None:
            rows.append(row)
            warped.append(colours.warped(photo, one.match.homography, light, where, parameters))
    off = [colours.difference(photo, light, parameters.far) for photo in warped]
    similarity[rows] = [colours.colour_similarity(one, parameters.far) for one in off]
    ahead[rows] = colours.discriminative_colour(off, warped, parameters)
    return similarity, ahead
