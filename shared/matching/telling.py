"""Lines that tell: where on a photo the print stands by which its likeliest products differ.

Nothing need be found for that: a catalog photo that lies over the query says where each of its lines is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.word_notes import NAMED
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.close import Laid
from packsight.shared.matching.contradiction import line_corners, same_place
from packsight.shared.matching.exclusion import IntArray
from packsight.shared.matching.ranking import Ranking

Corners = npt.NDArray[np.float64]


class _Member(NamedTuple):
    """One of the likeliest products: its number, its probability, and how it lies."""

    product: int
    probability: float
    laid: Laid


def telling_lines(ranking: Ranking, snapshot: Snapshot, most: int) -> Corners:
    """Corners [lines, 4, 2] of at most so many lines, as shares of the query's sides, clockwise from the text's top left.

    The most telling come first, none of two in one place twice. There are none where the products that lie over the query are
    together unlikely to hold the one that it shows.
    """
    rules = snapshot.parameters.telling
    family = _family(ranking, snapshot)
    if sum(one.probability for one in family) < rules.together:
        return np.zeros((0, 4, 2))
    terms = [np.asarray(snapshot.words.products.row(one.product), np.int64) for one in family]
    having = np.bincount(np.concatenate(terms)) if terms else np.zeros(0, np.int64)
    found = [line for one in family[: rules.photos] for line in _lines(one, having, len(family), snapshot)]
    kept: list[Corners] = []
    for _, corners in sorted(found, key=lambda line: -line[0]):
        if len(kept) == most:
            break
        if not kept or not same_place(np.array(kept), corners[None]).any():
            kept.append(corners)
    boxes = np.array(kept).reshape(-1, 4, 2)
    middle = boxes.mean(axis=1, keepdims=True)
    return np.asarray(middle + rules.growth * (boxes - middle), np.float64)


def in_telling_places(query: Query, ranking: Ranking, snapshot: Snapshot, most: int) -> Query:
    """The same query with those of its lines only that stand where so many lines tell, and nothing of its looks."""
    places, corners = telling_lines(ranking, snapshot, most), line_corners(query)
    kept = np.flatnonzero(same_place(places, corners).any(axis=0)) if len(places) and len(corners) else np.zeros(0, np.int64)
    part = query.with_words([query.lines[line] for line in kept.tolist()], query.frame, snapshot)
    return replace(part, vectors=query.vectors[:0], near=query.near[:0])


def _family(ranking: Ranking, snapshot: Snapshot) -> list[_Member]:
    """The likeliest products as far as they lie over the query."""
    rules = snapshot.parameters.telling
    ordered = zip(ranking.order.tolist(), ranking.probability.tolist(), ranking.rows.tolist(), strict=True)
    least = rules.likely * float(ranking.probability.max(initial=0.0))
    likely = [(product, share, row) for product, share, row in ordered if share >= least and row in ranking.laid]
    members = [_Member(product, share, ranking.laid[row]) for product, share, row in likely]
    return [one for one in members if one.laid.match.homography is not None][: rules.products]


def _lines(one: _Member, having: IntArray, count: int, snapshot: Snapshot) -> Iterator[tuple[float, Corners]]:
    """Lines of a product's photo that lie on the query, with how telling each is.

    having: by term, how many of the `count` likeliest products have it. What all have tells nothing among them, but that it is
    one of them.
    """
    rules, words = snapshot.parameters.telling, snapshot.words
    corners = snapshot.lines.corners(one.laid.photo)
    line, term, sure = snapshot.lines.words(one.laid.photo)
    if not len(line) or one.laid.match.homography is None:
        return
    own, _ = words.products.rows(np.array([one.product]))
    named = np.isin(term, words.products.values[own][(np.asarray(words.flags[own]) & NAMED) > 0])
    worth = sure * words.rarity(words.frequency(term)) * np.where(named, 1.0, rules.unnamed)
    if count > 1:
        worth = worth * np.where(having[term] < count, 1.0, rules.shared)
    total = np.bincount(line, worth, len(corners))
    over = cv2.perspectiveTransform(corners.reshape(1, -1, 2), one.laid.match.homography).reshape(-1, 4, 2)
    inside = ((over > -rules.margin) & (over < 1 + rules.margin)).all(axis=(1, 2))
    for number in np.flatnonzero(inside & (total > 0)).tolist():
        yield one.probability * float(total[number]), np.asarray(over[number], np.float64)
