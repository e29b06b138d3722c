"""Siblings: products of one line told apart by what differs, the words and the regions of their photos.

For each of the few candidates, against the one of its catalog photos that agrees best with the query:
- clear, present: the utility of the first look, and 1;
- inliers: ln(1 + key points in geometric agreement) ÷ ln 100; alignment: inliers as a share of the most of any
  candidate;
- colour: likeness of the colours; colour_lead: agreement where it differs from its rivals;
  inliers, alignment and colour count less where words are replaced (evidence.py): a sibling agrees everywhere else;
- telling_words: words read that the candidate has and its rivals lack;
- telling_missing: words of the candidate's name in the feed and not on its rivals that were not read; telling_unseen: the same
  of words that only its photos show, which may be too small to be read on another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from packsight.shared.catalog.decision_model import CLEAR, CLOSE, Matrix
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching import colours
from packsight.shared.matching.candidates import NO_PHOTO, IntArray, Leave, Query
from packsight.shared.matching.evidence import Gathered
from packsight.shared.matching.geometry import NOT_VERIFIED, Verified, verify

NAMES = CLOSE[2:]
MAX_PHOTOS = 2
"""Photos of a candidate that are laid over the query."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Close evidence [candidates, NAMES] and inliers of each."""

    matrix: Matrix
    inliers: IntArray


def compare(query: Query, gathered: Gathered, places: IntArray, snapshot: Snapshot, leave: Leave | None) -> Compared:
    """Compare a few candidates, given by their row in `gathered`."""
    columns = {name: np.zeros(len(places)) for name in NAMES}
    found = [_best(query, int(gathered.products[place]), snapshot, leave) for place in places.tolist()]
    inliers = np.array([one.inliers for _, one in found], np.int64)
    columns["inliers"] = np.log1p(inliers) / np.log(100)
    columns["alignment"] = inliers / max(int(inliers.max(initial=0)), 1)
    columns["colour"], columns["colour_lead"] = _colours(query, found, snapshot)
    kept = 1 - gathered.matrix[places, CLEAR.index("replaced_words")]
    for name in ("inliers", "alignment", "colour"):
        columns[name] *= kept
    columns["telling_words"], columns["telling_missing"], columns["telling_unseen"] = _telling(gathered, places)
    return Compared(np.stack([columns[name] for name in NAMES], axis=1), inliers)


def _best(query: Query, product: int, snapshot: Snapshot, leave: Leave | None) -> tuple[int, Verified]:
    """The product's photo that agrees best with the query, of those that look most like it."""
    photos = np.array([photo for photo in snapshot.photos(product) if leave is None or photo != leave.photo], np.int64)
    similarity = np.asarray(snapshot.vectors[photos], np.float32) @ query.vector
    best = (NO_PHOTO, NOT_VERIFIED)
    for photo in photos[np.argsort(-similarity, kind="stable")[:MAX_PHOTOS]].tolist():
        if photo not in query.verified:
            query.verified[photo] = verify(query.features.local, snapshot.local.features(photo))
        if query.verified[photo].inliers > best[1].inliers:
            best = (photo, query.verified[photo])
    return best


def _colours(query: Query, found: list[tuple[int, Verified]], snapshot: Snapshot) -> tuple[Matrix, Matrix]:
    """Likeness and lead of each candidate's colours; 0 for those that could not be laid over the query."""
    likeness, lead = np.zeros(len(found)), np.zeros(len(found))
    light = colours.lab(query.features.thumbnail)
    if light is None:
        return likeness, lead
    most = max(one.inliers for _, one in found)
    where = colours.region([one.hull for _, one in found if one.inliers and 2 * one.inliers >= most])
    rows, laid = [], []
    for row, (number, one) in enumerate(found):
        photo = None if one.homography is None else colours.lab(snapshot.local.thumbnail(number))
        if photo is not None and one.homography is not None:
            rows.append(row)
            laid.append(colours.lay(photo, one.homography, light, where))
    likeness[rows] = [colours.likeness(light, photo) for photo in laid]
    lead[rows] = colours.agreement(light, laid)
    return likeness, lead


def _telling(gathered: Gathered, places: IntArray) -> tuple[Matrix, Matrix, Matrix]:
    """Words read, of names missed and of photos unseen that tell candidates apart, weighed by how few of them have each."""
    count = len(places)
    entries = np.flatnonzero(np.isin(gathered.entry_candidate, places))
    candidate = np.searchsorted(places, gathered.entry_candidate[entries])
    _, term, having = np.unique(gathered.entry_term[entries], return_inverse=True, return_counts=True)
    # Squared, since a word that name and every photo agree on tells more than several that one photo seemed to show.
    weight = np.log(count / having[term]) / np.log(max(count, 2)) * gathered.entry_expected[entries] ** 2
    read = gathered.entry_read[entries]
    named = gathered.entry_named[entries]
    told, missed, unseen = (
        np.bincount(candidate, weight * part, count) for part in (read, (1 - read) * named, (1 - read) * ~named)
    )
    total = told.sum()
    return told / (total + 0.25), missed / (missed + 1), unseen / (unseen + 1)
