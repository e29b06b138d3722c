"""Whether what is known of a photo decides, so that nothing more need be asked: the rules by which workers stop early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.contradiction import contradiction
from packsight.shared.matching.evidence import BoolArray, Compared, compare
from packsight.shared.matching.exclusion import Exclusion, IntArray
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.stages import rank_by_all, rank_by_all_if, rank_by_details, rank_by_telling_lines


def as_served(
    query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None, by_details: Ranking | None = None
) -> Ranking:
    """Order the candidates as workers do, by the first that decides: details, the lines that tell, everything.

    What details and lines that were cut out decide holds however much more is known, so that a photo of which everything was
    asked is answered as one of which less was enough. by_details: where it is known.
    """
    by_details = by_details or rank_by_details(query, snapshot, exclusion)
    cut_out = [query.with_words(query.cut, query.frame, snapshot)] if query.cut else []
    for read in (*cut_out, query):
        early = early_ranking(read, by_details, snapshot, exclusion)
        if early is not None:
            return with_evidence(early, query, snapshot, exclusion)
    return rank_by_all(query, snapshot, exclusion)


def early_ranking(
    query: Query, by_details: Ranking, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> Ranking | None:
    """The ranking by details, or by the lines that tell, if it decides and the print that was read does not contradict it."""
    if is_confident(by_details, snapshot):
        early: Ranking | None = by_details
    else:
        by_lines = rank_by_telling_lines(query, by_details, snapshot, exclusion)
        early = by_lines if by_lines is not None and is_told(by_lines, snapshot) else None
    return None if early is None or is_overruled(early, query, snapshot, exclusion) else early


def is_confident(ranking: Ranking, snapshot: Snapshot) -> bool:
    """Tell whether a ranking by details decides, so that nothing more need be asked about the photo."""
    return len(ranking.order) > 0 and ranking.probability[0] >= snapshot.model.sure


def is_overruled(ranking: Ranking, query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None) -> bool:
    """Tell whether the words of a query contradict the first product of a ranking."""
    return bool(overruled(ranking, ranking.rows[:1], query, snapshot, exclusion)[0])


def overruled(
    ranking: Ranking, rows: IntArray, query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> BoolArray:
    """The same of each of some products of a ranking; rows: where they stand in what was compared."""
    result = np.zeros(len(rows), np.bool_)
    lying = np.array([row in ranking.laid for row in rows.tolist()], np.bool_)
    if query.lines and lying.any():
        compared = compare(query, ranking.compared.products, snapshot, exclusion)
        laid = [ranking.laid[row] for row in rows[lying].tolist()]
        against = contradiction(query, compared, rows[lying], laid, snapshot)
        result[lying] = against >= snapshot.parameters.decision.overruled
    return result


def is_told(ranking: Ranking, snapshot: Snapshot) -> bool:
    """Tell whether a ranking by the lines that tell decides."""
    return len(ranking.order) > 0 and ranking.probability[0] >= snapshot.model.told and is_name_read(ranking, snapshot)


def is_read_enough(ranking: Ranking, snapshot: Snapshot) -> bool:
    """Tell whether a ranking by all evidence, with the words read so far, decides."""
    decides = len(ranking.order) > 0 and bool(ranking.probability[0] >= snapshot.model.enough)
    return decides and is_name_read(ranking, snapshot)


def is_enough_read(query: Query, snapshot: Snapshot) -> bool:
    """The same of a query, ranked only where a candidate whose whole name was read may be as likely as that takes."""
    words, names = query.words, snapshot.names
    read = words.weight * words.confidence[words.word] >= snapshot.parameters.decision.seen
    if not names.unseen.any() and not len(names.read(words.term[read])):
        return False
    ranking = rank_by_all_if(query, snapshot, lambda compared: whole_names_read(compared, snapshot), snapshot.model.enough)
    return ranking is not None and is_read_enough(ranking, snapshot)


def is_name_read(ranking: Ranking, snapshot: Snapshot) -> bool:
    """Tell whether the first candidate's whole name was read; there must be one.

    While lines are being read: of a product's sibling that is not listed, the line that tells them apart may be still unread.
    """
    return bool(whole_names_read(ranking.compared, snapshot)[ranking.rows[0]])


def whole_names_read(compared: Compared, snapshot: Snapshot) -> BoolArray:
    """Tell of each candidate whether its whole name was read, as far as it is usually seen."""
    expected, seen = compared.expected, snapshot.parameters.decision.seen
    missed = expected.named & (expected.expected >= seen) & (compared.explained.read < seen)
    read = np.ones(len(compared.products), np.bool_)
    read[expected.candidate[missed]] = False
    return read


def with_evidence(ranking: Ranking, query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Ranking:
    """The same ranking, told with all that is known of the query, which does not change it."""
    compared = compare(query, ranking.compared.products, snapshot, exclusion)
    return replace(ranking, compared=replace(compared, columns=ranking.compared.columns | compared.columns))
