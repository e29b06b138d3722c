"""Print that contradicts: another word was read where a candidate's photo has one of its own.

Siblings share most of what key points see, and differ in a line: the photo of one laid over a query of another has print in that
place that was not read, and the query has print there that the candidate does not explain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import DamerauLevenshtein
from rapidfuzz.fuzz import partial_ratio

from packsight.shared.catalog.decision_model import Matrix
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.close import Laid
from packsight.shared.matching.evidence import Compared, clear_words, is_clear
from packsight.shared.matching.exclusion import IntArray
from packsight.shared.matching.geometry import NEXT

BoolArray = npt.NDArray[np.bool_]


class Place(NamedTuple):
    """Where a line of a candidate's photo and one of the query are, and how surely they contradict each other, in sure words.

    here: terms of the photo that were not read; there: numbers of the query's words that are not the candidate's.
    """

    weight: float
    here: tuple[int, ...]
    there: tuple[int, ...]


def contradiction(query: Query, compared: Compared, rows: IntArray, laid: Sequence[Laid], snapshot: Snapshot) -> Matrix:
    """How surely the print of each candidate contradicts the query's, 0 to 1; 0 for those that do not lie over it.

    rows: of the candidates in `compared`; laid: how each lies.
    """
    found = np.array([
        sum(place.weight for place in contradicting_places(query, compared, row, one, snapshot))
        for row, one in zip(rows.tolist(), laid, strict=True)
    ])  # fmt: skip
    result: Matrix = found / (found + snapshot.parameters.close.contradicting_half)
    return result


def contradicting_places(query: Query, compared: Compared, row: int, laid: Laid, snapshot: Snapshot) -> Iterator[Place]:
    """Where the print of a candidate, whose row in `compared` is given, contradicts the query's."""
    boxes = line_corners(query)
    if laid.match.homography is None or not len(boxes):
        return
    corners = snapshot.lines.corners(laid.photo)
    if not len(corners):
        return
    over = cv2.perspectiveTransform(corners.reshape(1, -1, 2), laid.match.homography).reshape(-1, 4, 2)
    together = same_place(np.asarray(over, np.float64), boxes)
    if not together.any():
        return
    line, term, sure = snapshot.lines.words(laid.photo)
    keys = [snapshot.words.vocabulary.key(int(one)) for one in term]
    unread = sure * (1 - _read(compared, row, term)) * [is_clear(key, snapshot) for key in keys]
    foreign = clear_words(query.words, snapshot) * (compared.explained.value[:, row] <= 0)
    for number in np.flatnonzero(together.any(axis=1)).tolist():
        here = np.flatnonzero(line == number)
        lines = set(np.flatnonzero(together[number]).tolist())
        there = [word for word, at in enumerate(query.words.lines) if lines.intersection(at)]
        mine, theirs = unread[here].tolist(), foreign[there].tolist()
        if any(mine) and any(theirs):
            expected, found = [keys[one] for one in here], [query.words.keys[word] for word in there]
            yield Place(
                min(_unlike(expected, mine, found), _unlike(found, theirs, keys, expected)),
                tuple(int(term[one]) for one, weight in zip(here.tolist(), mine, strict=True) if weight > 0),
                tuple(word for word, weight in zip(there, theirs, strict=True) if weight > 0),
            )


def _read(compared: Compared, row: int, terms: IntArray) -> Matrix:
    """How surely each term was read, 0 to 1, of a candidate that is expected to have them."""
    own = np.flatnonzero(compared.expected.candidate == row)
    expected, read = compared.expected.term[own], compared.explained.read[own]
    place = np.minimum(np.searchsorted(expected, terms), max(len(own) - 1, 0))
    return np.where(expected[place] == terms, read[place], 0.0) if len(own) else np.zeros(len(terms))


def _unlike(words: Sequence[str], sure: Sequence[float], others: Sequence[str], together: Sequence[str] = ()) -> float:
    """Sum of how surely words are unlike all others: what is half like one, or like a part of them all, may be a misreading."""
    joined = "".join(together or others)
    weighed = [(word, weight) for word, weight in zip(words, sure, strict=True) if weight > 0]
    return sum(weight * max(0.0, 1 - 2 * _likeness(word, others, joined)) for word, weight in weighed)


def _likeness(word: str, others: Sequence[str], joined: str) -> float:
    best = max(DamerauLevenshtein.normalized_similarity(word, other) for other in others)
    return max(best, partial_ratio(word, joined) / 100 if len(joined) >= len(word) else 0.0)


def same_place(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> BoolArray:
    """Which of the quadrangles [m, 4, 2] have their middle in one of [n, 4, 2], or hold its middle: [m, n]."""
    return _holds(one, other.mean(axis=1)) | _holds(other, one.mean(axis=1)).T


def _holds(boxes: npt.NDArray[np.float64], points: npt.NDArray[np.float64]) -> BoolArray:
    """Which convex boxes [m, 4, 2] hold which points [n, 2]: [m, n]; corners in either sense of rotation."""
    sides = boxes[:, NEXT] - boxes
    to = points[None, :, None] - boxes[:, None]
    turn = sides[:, None, :, 0] * to[..., 1] - sides[:, None, :, 1] * to[..., 0]
    return np.asarray((turn >= 0).all(axis=2) | (turn <= 0).all(axis=2), np.bool_)


def line_corners(query: Query) -> npt.NDArray[np.float64]:
    """Corners [lines, 4, 2] of the query's lines, as shares of its sides."""
    corners = np.array([line.box for line in query.lines], np.float32).reshape(-1, 2)
    return query.frame.shares(corners).astype(np.float64).reshape(-1, 4, 2)
