"""The few best candidates compared more closely: products of one line are told apart by what differs between them.

For each of them, against the one of its catalog photos that agrees best with the query:
- first_stage, bias: the utility of the first stage, and 1;
- inliers: ln(1 + key points in geometric agreement) ÷ ln of as many as count in full;
  alignment: inliers as a share of the most of any candidate;
- colour: similarity of the colours; colour_lead: agreement where it differs from its rivals;
  inliers, alignment and colour count less where words are replaced (evidence.py): a sibling agrees everywhere else;
- distinctive_words: words read that the candidate has and its rivals lack;
- distinctive_missing: words of the candidate's name in the feed and not on its rivals that were not read; distinctive_unseen:
  the same of words that only its photos show, which may be too small to be read on another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from packsight.shared.catalog.decision_model import Matrix
from packsight.shared.catalog.evidence import FIRST_STAGE, RERANK
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching import colours
from packsight.shared.matching.candidates import NO_PHOTO, Exclusion, IntArray, Query
from packsight.shared.matching.evidence import CandidateMatrix
from packsight.shared.matching.geometry import NO_AGREEMENT, GeometricMatch, verify
from packsight.shared.parameters import RerankParameters

COMPARED = RERANK[2:]
"""Evidence that comparing adds to the first stage's utility and the bias."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Evidence [candidates, COMPARED] and inliers of each."""

    matrix: Matrix
    inliers: IntArray


def compare(
    query: Query, candidates: CandidateMatrix, rows: IntArray, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> Compared:
    """Compare a few candidates, given by their row in rising order."""
    parameters = snapshot.parameters.rerank
    found = [_best_photo(query, int(candidates.products[row]), snapshot, exclusion) for row in rows.tolist()]
    inliers = np.array([match.inliers for _, match in found], np.int64)
    colour, colour_lead = _colours(query, found, snapshot)
    words, missing, unseen = _distinctive(candidates, rows, parameters)
    kept = 1 - candidates.matrix[rows, FIRST_STAGE.index("replaced_words")]
    columns = {
        "inliers": np.log1p(inliers) / np.log(parameters.full_inliers) * kept,
        "alignment": inliers / max(int(inliers.max(initial=0)), 1) * kept,
        "colour": colour * kept,
        "colour_lead": colour_lead,
        "distinctive_words": words,
        "distinctive_missing": missing,
        "distinctive_unseen": unseen,
    }
    return Compared(np.stack([columns[name] for name in COMPARED], axis=1), inliers)


def _best_photo(
    query: Query, product: int, snapshot: Snapshot, exclusion: Exclusion | None
) -> tuple[int, GeometricMatch]:
    """The product's photo that agrees best with the query, of those that look most like it."""
    without = NO_PHOTO if exclusion is None else exclusion.photo
    photos = np.array([photo for photo in snapshot.photos(product) if photo != without], np.int64)
    similarity = np.asarray(snapshot.vectors[photos], np.float32) @ query.vector
    best = (NO_PHOTO, NO_AGREEMENT)
    for photo in photos[np.argsort(-similarity, kind="stable")[: snapshot.parameters.rerank.photos]].tolist():
        if photo not in query.geometry:
            other = snapshot.local.features(photo)
            query.geometry[photo] = verify(query.features.local, other, snapshot.parameters.geometry)
        if query.geometry[photo].inliers > best[1].inliers:
            best = (photo, query.geometry[photo])
    return best


def _colours(query: Query, found: list[tuple[int, GeometricMatch]], snapshot: Snapshot) -> tuple[Matrix, Matrix]:
    """Similarity and lead of each candidate's colours; 0 for those that could not be laid over the query."""
    parameters = snapshot.parameters.colours
    similarity, lead = np.zeros(len(found)), np.zeros(len(found))
    light = colours.lab(query.features.thumbnail, parameters)
    if light is None:
        return similarity, lead
    least = snapshot.parameters.rerank.hull_share * max(match.inliers for _, match in found)
    hulls = [match.hull for _, match in found if match.inliers and match.inliers >= least]
    where = colours.region(hulls, parameters.side)
    rows, laid = [], []
    for row, (number, match) in enumerate(found):
        photo = None if match.homography is None else colours.lab(snapshot.local.thumbnail(number), parameters)
        if photo is not None and match.homography is not None:
            rows.append(row)
            laid.append(colours.warped(photo, match.homography, light, where, parameters))
    similarity[rows] = [colours.colour_similarity(light, photo, parameters.far) for photo in laid]
    lead[rows] = colours.discriminative_colour(light, laid, parameters)
    return similarity, lead


def _distinctive(
    candidates: CandidateMatrix, rows: IntArray, parameters: RerankParameters
) -> tuple[Matrix, Matrix, Matrix]:
    """Words read, of names missed and of photos unseen that set candidates apart, weighed by how few of them have each."""
    count, expected = len(rows), candidates.expected
    of_them = np.flatnonzero(np.isin(expected.candidate, rows))
    candidate = np.searchsorted(rows, expected.candidate[of_them])
    _, term, having = np.unique(expected.term[of_them], return_inverse=True, return_counts=True)
    # Squared, since a word that name and every photo agree on tells more than several that one photo seemed to show.
    weight = np.log(count / having[term]) / np.log(max(count, 2)) * expected.expected[of_them] ** 2
    read, named = candidates.explained.read[of_them], expected.named[of_them]
    told, missed, unseen = (
        np.bincount(candidate, weight * part, count) for part in (read, (1 - read) * named, (1 - read) * ~named)
    )
    total, half = told.sum(), parameters.missing_half
    return told / (total + parameters.distinctive_half), missed / (missed + half), unseen / (unseen + half)
