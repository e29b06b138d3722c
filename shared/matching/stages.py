"""The stages of the question which product a photo shows, each an order of candidates by the evidence that it has.

Details first: what a photo's key points vote for is laid over it. Then the few lines in which the likeliest differ (telling.py).
Then the candidates of votes, looks and words, weighed by everything together, also while lines are still being read. Each gives
one probability for every candidate and for "none". `exclusion`: as if a photo or a product were not in the catalog.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from packsight.shared.catalog.arrays import among
from packsight.shared.catalog.decision_model import Matrix, Stage, probabilities
from packsight.shared.catalog.evidence import AGAINST, AGREEING, CONTRARY, DETAILS, FULL, LINES, bounds
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query, find_candidates
from packsight.shared.matching.close import (
    Laid,
    laid_evidence,
    lay_by_all_points,
    lay_by_votes,
    vote_evidence,
    words_inside,
)
from packsight.shared.matching.contradiction import contradiction
from packsight.shared.matching.cut_off import with_cut_off_words
from packsight.shared.matching.evidence import (
    BoolArray,
    Compared,
    compare,
    confined,
    distinctive_words,
    most_distinctive,
    read_as,
)
from packsight.shared.matching.exclusion import Exclusion, IntArray
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.telling import in_telling_places
from packsight.shared.matching.votes import Votes

_ROUNDING = 1e-9
"""Probability by which sums differ by the order of their terms, at most."""


def rank_by_details(query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Ranking:
    """Order the products that key points vote for by details alone; those whose barcode is on the photo, if any."""
    votes, coded = query.votes(snapshot, exclusion), query.coded(snapshot)
    products = coded if len(coded) else np.sort(votes.products[: snapshot.parameters.votes.candidates])
    compared = compare(query, products, snapshot, exclusion)
    laid = lay_by_votes(query, votes, products, snapshot)
    of_votes = vote_evidence(votes, products, snapshot, exclusion)
    compared.columns.update(of_votes | laid_evidence(query, laid, products, snapshot, exclusion))
    weights, matched = snapshot.model.details.vector(DETAILS), snapshot.model.matched
    return _ordered(compared, compared.matrix(DETAILS), weights, matched, dict(enumerate(laid)))


def rank_by_lines(query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Ranking:
    """Order the products by details and the lines that tell, which are all that was read."""
    return _weighed(query, snapshot, exclusion, LINES, snapshot.model.lines, snapshot.model.told)


def rank_by_telling_lines(
    query: Query, by_details: Ranking, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> Ranking | None:
    """The same of a photo of which more was read, by those of its lines that stand where they tell; None where none does."""
    some = in_telling_places(query, by_details, snapshot, snapshot.parameters.telling.lines)
    return rank_by_lines(some, snapshot, exclusion) if some.lines else None


def rank_by_all(query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Ranking:
    """Order the candidates by all that is known; some lines may be unread."""
    return _weighed(query, snapshot, exclusion, FULL, snapshot.model.full, snapshot.model.matched)


def rank_by_all_if(
    query: Query, snapshot: Snapshot, wanted: Callable[[Compared], BoolArray], least: float
) -> Ranking | None:
    """The same if one of those candidates that are wanted may be as likely as that; None where none can be.

    Without laying anything over the photo but those of them that would be: what is not laid, or does not agree with it, has no
    more for it than is known before, but distinctive words. (Or a part of a word that another one's photo shows to be of a term
    of both: then a line more is read than had to be.)
    """
    votes, weights = query.votes(snapshot), snapshot.model.full.vector(FULL)
    begun = _begun(query, votes, find_candidates(query, votes, snapshot), snapshot, None, FULL, weights)
    some = np.flatnonzero(wanted(begun.compared))
    if not len(some):
        return None
    if _keeps_signs(weights) and not _may_reach(least, query, begun, some, weights, snapshot):
        return None
    return _finished(begun, query, snapshot, None, FULL, weights, snapshot.model.matched)


def rank_by_one(name: str, query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Ranking:
    """Order the candidates by one kind of evidence alone."""
    products = find_candidates(query, query.votes(snapshot, exclusion), snapshot, exclusion)
    compared = compare(query, products, snapshot, exclusion)
    column = compared.columns[name]
    order = np.lexsort((compared.products, -column))
    share = np.clip(column[order], 0, 1)
    return Ranking(compared.products[order], share, 0.0, order, compared, column[:, None], snapshot.model.matched, {})


class _Begun(NamedTuple):
    """Candidates compared without laying them over the photo, how likely each is so, and rows of those that are to be laid."""

    votes: Votes
    compared: Compared
    utility: Matrix
    rows: IntArray


def _weighed(
    query: Query, snapshot: Snapshot, exclusion: Exclusion | None, names: tuple[str, ...], stage: Stage, matched: float
) -> Ranking:
    """Order the candidates of votes, looks and words by evidence of these names; a few of them are laid over the photo."""
    votes, weights = query.votes(snapshot, exclusion), stage.vector(names)
    products = find_candidates(query, votes, snapshot, exclusion)
    begun = _begun(query, votes, products, snapshot, exclusion, names, weights)
    return _finished(begun, query, snapshot, exclusion, names, weights, matched)


def _begun(
    query: Query,
    votes: Votes,
    products: IntArray,
    snapshot: Snapshot,
    exclusion: Exclusion | None,
    names: tuple[str, ...],
    weights: Matrix,
) -> _Begun:
    compared = compare(query, products, snapshot, exclusion)
    compared.columns.update(vote_evidence(votes, products, snapshot, exclusion))
    utility = compared.matrix(names) @ weights
    return _Begun(votes, compared, utility, _closest(compared.products, votes, utility, snapshot))


def _keeps_signs(weights: Matrix) -> bool:
    """Whether no evidence that only speaks for a candidate can lower it, nor the other way round; fitted weights are so."""
    return all(
        (low is None or weight >= low) and (high is None or weight <= high)
        for weight, (low, high) in zip(weights.tolist(), bounds(FULL), strict=True)
    )


def _may_reach(
    least: float, query: Query, begun: _Begun, some: IntArray, weights: Matrix, snapshot: Snapshot
) -> bool:
    """Whether one of some candidates may be as likely; some: their rows."""
    compared = begun.compared
    utility = begun.utility[some]
    closer = np.flatnonzero(among(some, begun.rows))
    distinctive = weights[FULL.index("distinctive_words")]
    for place, row in zip(closer.tolist(), some[closer].tolist(), strict=True):
        product = compared.products[row : row + 1]
        if lay_by_all_points(query, begun.votes, product, snapshot)[0].match.inliers:
            return True
        utility[place] += distinctive * most_distinctive(compared, row, snapshot.parameters.close)
    return bool((1 / (1 + np.exp(-utility)) >= least - _ROUNDING).any())


def _finished(
    begun: _Begun,
    query: Query,
    snapshot: Snapshot,
    exclusion: Exclusion | None,
    names: tuple[str, ...],
    weights: Matrix,
    matched: float,
) -> Ranking:
    votes, compared, _, rows = begun
    products = compared.products
    laid, close = _laid(query, votes, products[rows], snapshot, exclusion)
    inside = np.ones((len(query.words.keys), len(products)), np.bool_)
    inside[:, rows] = words_inside(query, laid, snapshot)
    read = with_cut_off_words(compared, query, rows, laid, inside, snapshot)
    compared = confined(read_as(compared, read, snapshot, exclusion), inside, snapshot)
    words = distinctive_words(compared, rows, snapshot.parameters.close)
    close = close | words | {"contradicted": contradiction(query, compared, rows, laid, snapshot)}
    for name, values in close.items():
        # Of one that was not laid over the photo the worst is held: else a closer look could only harm.
        worst = values.max(initial=0.0) if name in AGAINST else values.min(initial=0.0)
        compared.columns[name] = np.full(len(products), worst)
        compared.columns[name][rows] = values
    agreed = 1 - compared.columns["contradicted"]
    for name in AGREEING:
        compared.columns[name] = compared.columns[name] * np.where(compared.columns[name] > 0, agreed, 1.0)
    trusted = 1 - snapshot.parameters.evidence.outweighed * np.minimum(compared.columns["surplus"], 1)
    for name in CONTRARY:
        compared.columns[name] = compared.columns[name] * trusted
    return _ordered(compared, compared.matrix(names), weights, matched, dict(zip(rows.tolist(), laid, strict=True)))


def _closest(products: IntArray, votes: Votes, utility: Matrix, snapshot: Snapshot) -> IntArray:
    """Rows that are laid over the photo: the most voted for, and the likeliest by what is known without."""
    rules = snapshot.parameters.close
    close = among(products, np.sort(votes.products[: rules.voted]))
    close[np.argsort(-utility, kind="stable")[: rules.likely]] = True
    return np.flatnonzero(close)


def _laid(
    query: Query, votes: Votes, products: IntArray, snapshot: Snapshot, exclusion: Exclusion | None
) -> tuple[list[Laid], dict[str, Matrix]]:
    """Candidates laid over the photo, once: words that are read meanwhile change nothing of it."""
    key = products.tobytes(), None if exclusion is None else exclusion.key
    if key not in query.laid:
        laid = lay_by_all_points(query, votes, products, snapshot, exclusion)
        query.laid[key] = laid, laid_evidence(query, laid, products, snapshot, exclusion)
    result: tuple[list[Laid], dict[str, Matrix]] = query.laid[key]
    return result


def _ordered(compared: Compared, evidence: Matrix, weights: Matrix, matched: float, laid: dict[int, Laid]) -> Ranking:
    share, none = probabilities(evidence, weights)
    order = np.lexsort((compared.products, -share))
    return Ranking(compared.products[order], share[order], none, order, compared, evidence, matched, laid)
