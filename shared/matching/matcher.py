"""The decision: from what is known of a photo and a catalog snapshot to a product, or to none.

A barcode that one product has decides alone; products that share those on the photo are the only candidates.
Then details: what a photo's key points vote for is laid over it (`rank_by_details`), and the few lines in which the likeliest
differ are read (telling.py); if these decide, nothing else is asked (`as_served`). Else the candidates of votes, looks and words
are weighed by everything together (`rank`), also while lines are still being read. All give one probability for each candidate
and for "none".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from packsight.shared.catalog.decision_model import Matrix, Stage, probabilities
from packsight.shared.catalog.evidence import AGAINST, AGREEING, CONTRARY, DETAILS, FULL, LINES
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.lacking import Lack
from packsight.shared.contract.outcomes import Candidate, Evidence, Product, Status
from packsight.shared.matching import explain, reasons
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
from packsight.shared.matching.evidence import Compared, compare, distinctive_words
from packsight.shared.matching.exclusion import Exclusion, IntArray
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.region import pixels, region
from packsight.shared.matching.sight import lacks
from packsight.shared.matching.telling import in_telling_places
from packsight.shared.matching.votes import Votes, vote
from packsight.shared.vision.features import Features


class Variant(StrEnum):
    """How to decide; all but `fitted` exist to be compared with it."""

    FITTED = "fitted"
    """As workers do, by the first that decides."""
    EVERYTHING = "everything"
    """By all evidence, also where details decide."""
    DETAILS = "details"
    """By key points and colours alone."""
    APPEARANCE = "appearance"
    """By the nearest photo alone."""
    WORDS = "words"
    """By the share of words explained alone."""


@dataclass(frozen=True)
class Decision:
    """The answer for one photo: `product` is the first candidate's when matched."""

    status: Status
    product: Product | None
    confidence: float
    candidates: list[Candidate]
    reason: str
    lacking: tuple[Lack, ...] = ()


def match(features: Features, snapshot: Snapshot, *, top_k: int, variant: Variant = Variant.FITTED) -> Decision:
    """Decide which product a photo shows when everything is known of it; pure and deterministic.

    Raises CatalogError when the embedding has another length than the version's.
    """
    if coded := by_barcode(features.barcodes, snapshot):
        return coded
    query = Query.of(features, snapshot)
    return decision(query, rank(query, snapshot, variant=variant), snapshot, top_k=top_k)


def by_barcode(barcodes: tuple[int, ...] | None, snapshot: Snapshot) -> Decision | None:
    """The answer where the barcodes on a photo are those of one product; None where they are of none or of several."""
    found = snapshot.barcodes.find(barcodes or ())
    return _coded(*next(iter(found.items())), snapshot) if len(found) == 1 else None


def by_barcodes(barcodes: tuple[int, ...], snapshot: Snapshot) -> list[Decision]:
    """The same of several products: an answer for each code that one of them has alone."""
    found = snapshot.barcodes.find(barcodes)
    owners = Counter(found.values())
    return [_coded(number, code, snapshot) for number, code in found.items() if owners[code] == 1]


def _coded(number: int, code: int, snapshot: Snapshot) -> Decision:
    product, confidence = explain.product(snapshot.products[number]), snapshot.parameters.barcodes.confidence
    only = Candidate(product=product, confidence=confidence, evidence=Evidence(barcode=explain.printed(code)))
    return Decision(Status.MATCHED, product, confidence, [only], reasons.by_barcodes({number: code}))


def rank_by_details(query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Ranking:
    """Order the products that key points vote for by details alone; `exclusion` as for `rank`."""
    votes = _votes(query, snapshot, exclusion)
    products = np.sort(votes.products[: snapshot.parameters.votes.candidates])
    compared = compare(query, products, snapshot, exclusion)
    laid = lay_by_votes(query, votes, products, snapshot)
    compared.columns.update(vote_evidence(votes, products, snapshot) | laid_evidence(query, laid, products, snapshot, exclusion))
    weights, matched = snapshot.model.details.vector(DETAILS), snapshot.model.matched
    return _ordered(compared, compared.matrix(DETAILS), weights, matched, dict(enumerate(laid)))


def rank_by_lines(query: Query, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Ranking:
    """Order the products by details and the lines that tell, which are all that was read; `exclusion` as for `rank`."""
    return _weighed(query, snapshot, exclusion, LINES, snapshot.model.lines, snapshot.model.told)


def rank_by_telling_lines(
    query: Query, by_details: Ranking, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> Ranking | None:
    """The same of a photo of which more was read, by those of its lines that stand where they tell; None where none does."""
    some = in_telling_places(query, by_details, snapshot)
    return rank_by_lines(some, snapshot, exclusion) if some.lines else None


def rank(
    query: Query, snapshot: Snapshot, *, exclusion: Exclusion | None = None, variant: Variant = Variant.EVERYTHING
) -> Ranking:
    """Order the candidates by all that is known, or by a part; `exclusion` as if a photo or product were not in the catalog."""
    if variant is Variant.DETAILS:
        return rank_by_details(query, snapshot, exclusion)
    if variant is Variant.FITTED:
        return as_served(query, snapshot, exclusion)
    if variant is Variant.EVERYTHING:
        return _weighed(query, snapshot, exclusion, FULL, snapshot.model.full, snapshot.model.matched)
    products = find_candidates(query, _votes(query, snapshot, exclusion), snapshot, exclusion)
    compared = compare(query, products, snapshot, exclusion)
    return _by_one(compared, "appearance" if variant is Variant.APPEARANCE else "word_share", snapshot.model.matched)


def _weighed(
    query: Query, snapshot: Snapshot, exclusion: Exclusion | None, names: tuple[str, ...], stage: Stage, matched: float
) -> Ranking:
    """Order the candidates of votes, looks and words by evidence of these names; a few of them are laid over the photo."""
    votes, weights = _votes(query, snapshot, exclusion), stage.vector(names)
    products = find_candidates(query, votes, snapshot, exclusion)
    compared = compare(query, products, snapshot, exclusion)
    compared.columns.update(vote_evidence(votes, products, snapshot))
    rows = _closest(compared, votes, names, weights, snapshot)
    laid, close = _laid(query, votes, products[rows], snapshot, exclusion)
    inside = np.ones((len(query.words.keys), len(products)), np.bool_)
    inside[:, rows] = words_inside(query, laid, snapshot)
    compared = compare(query, products, snapshot, exclusion, inside)
    compared.columns.update(vote_evidence(votes, products, snapshot))
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
            return _with_evidence(early, query, snapshot, exclusion)
    return rank(query, snapshot, exclusion=exclusion)


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
    row = ranking.rows[:1]
    if not query.lines or int(row[0]) not in ranking.laid:
        return False
    compared = compare(query, ranking.compared.products, snapshot, exclusion)
    against = contradiction(query, compared, row, [ranking.laid[int(row[0])]], snapshot)
    return float(against[0]) >= snapshot.parameters.decision.overruled


def _with_evidence(ranking: Ranking, query: Query, snapshot: Snapshot, exclusion: Exclusion | None) -> Ranking:
    """The same ranking, told with all that is known of the query, which does not change it."""
    compared = compare(query, ranking.compared.products, snapshot, exclusion)
    return replace(ranking, compared=replace(compared, columns=ranking.compared.columns | compared.columns))


def is_told(ranking: Ranking, snapshot: Snapshot) -> bool:
    """Tell whether a ranking by the lines that tell decides."""
    return len(ranking.order) > 0 and ranking.probability[0] >= snapshot.model.told and is_name_read(ranking, snapshot)


def is_read_enough(ranking: Ranking, snapshot: Snapshot) -> bool:
    """Tell whether a ranking by all evidence, with the words read so far, decides."""
    return len(ranking.order) > 0 and ranking.probability[0] >= snapshot.model.enough and is_name_read(ranking, snapshot)


def is_name_read(ranking: Ranking, snapshot: Snapshot) -> bool:
    """Tell whether the first candidate's whole name was read, as far as it is usually seen; there must be one.

    While lines are being read: of a product's sibling that is not listed, the line that tells them apart may be still unread.
    """
    expected, seen = ranking.compared.expected, snapshot.parameters.decision.seen
    name = expected.named & (expected.candidate == ranking.rows[0]) & (expected.expected >= seen)
    return bool((ranking.compared.explained.read[name] >= seen).all())


def decision(query: Query, ranking: Ranking, snapshot: Snapshot, *, top_k: int) -> Decision:
    """Say what a ranking means, with the evidence for its first `top_k` candidates.

    Where the photo has a barcode that several products share, it is one of them, and what is left is which.
    """
    coded = snapshot.barcodes.find(query.barcodes)
    if coded:
        ranking = _given_one(ranking)
    first = zip(ranking.order.tolist(), ranking.probability.tolist(), ranking.rows.tolist(), strict=True)
    top = [
        Candidate(
            product=explain.product(snapshot.products[number]),
            confidence=round(probability, 6),
            evidence=explain.evidence(query, ranking.compared, row, snapshot, ranking.laid.get(row), coded.get(number)),
            region=pixels(region(query, ranking.compared, row, snapshot, ranking.laid.get(row)), query.frame),
        )
        for number, probability, row in list(first)[:top_k]
    ]
    status, lacking = (status_of(ranking, snapshot), ()) if coded else judged(query, ranking, snapshot)
    against: list[str] = []
    instead = ""
    if top and status is not Status.MATCHED:
        row = int(ranking.rows[0])
        against = reasons.against_all(query, ranking.compared, row, ranking.laid, top[0], snapshot)
        instead = reasons.contradicted(query, ranking.compared, row, ranking.laid.get(row), snapshot)
    reason = reasons.reason(status, top, lacking, against, instead)
    return Decision(
        status=status,
        product=top[0].product if top and status is Status.MATCHED else None,
        confidence=top[0].confidence if top else 0.0,
        candidates=top,
        reason=reasons.by_barcodes(coded, reason) if coded else reason,
        lacking=lacking,
    )


def status_of(ranking: Ranking, snapshot: Snapshot) -> Status:
    """`matched` from the threshold of what decided; `no_match` when none is likelier than all candidates together."""
    if not len(ranking.order):
        return Status.NO_MATCH
    if ranking.probability[0] >= ranking.matched:
        return Status.MATCHED
    return Status.NO_MATCH if ranking.none > snapshot.parameters.decision.no_match else Status.AMBIGUOUS


def judged(query: Query, ranking: Ranking, snapshot: Snapshot) -> tuple[Status, tuple[Lack, ...]]:
    """The status of the answer, and what the photo lacks: only one on which a product could have been seen is `no_match`."""
    status = status_of(ranking, snapshot)
    lacking = () if status is Status.MATCHED else lacks(query, ranking.laid.values(), snapshot.parameters.sight)
    return Status.AMBIGUOUS if lacking else status, lacking


def _given_one(ranking: Ranking) -> Ranking:
    """The same where one of the candidates is known to be right: what spoke for none of them speaks for all of them alike."""
    left = max(0.0, 1.0 - float(ranking.probability.sum()))
    return replace(ranking, probability=ranking.probability + left / len(ranking.order), none=0.0)


def _votes(query: Query, snapshot: Snapshot, exclusion: Exclusion | None) -> Votes:
    return query.votes if exclusion is None else vote(query.local, snapshot, exclusion)


def _closest(
    compared: Compared, votes: Votes, names: tuple[str, ...], weights: Matrix, snapshot: Snapshot
) -> IntArray:
    """Rows that are laid over the photo: the most voted for, and the likeliest by what is known without."""
    rules = snapshot.parameters.close
    voted = np.flatnonzero(np.isin(compared.products, votes.products[: rules.voted]))
    utility = compared.matrix(names) @ weights
    likely = np.argsort(-utility, kind="stable")[: rules.likely]
    return np.union1d(voted, likely).astype(np.int64)


def _laid(
    query: Query, votes: Votes, products: IntArray, snapshot: Snapshot, exclusion: Exclusion | None
) -> tuple[list[Laid], dict[str, Matrix]]:
    """Candidates laid over the photo, once: words that are read meanwhile change nothing of it."""
    key = products.tobytes() if exclusion is None else b""
    if key and key in query.laid:
        found: tuple[list[Laid], dict[str, Matrix]] = query.laid[key]
        return found
    laid = lay_by_all_points(query, votes, products, snapshot, exclusion)
    result = laid, laid_evidence(query, laid, products, snapshot, exclusion)
    if key:
        query.laid[key] = result
    return result


def _ordered(compared: Compared, evidence: Matrix, weights: Matrix, matched: float, laid: dict[int, Laid]) -> Ranking:
    share, none = probabilities(evidence, weights)
    order = np.lexsort((compared.products, -share))
    return Ranking(compared.products[order], share[order], none, order, compared, evidence, matched, laid)


def _by_one(compared: Compared, name: str, matched: float) -> Ranking:
    """Order by one kind of evidence alone."""
    column = compared.columns[name]
    order = np.lexsort((compared.products, -column))
    evidence = column[:, None]
    return Ranking(compared.products[order], np.clip(column[order], 0, 1), 0.0, order, compared, evidence, matched, {})
