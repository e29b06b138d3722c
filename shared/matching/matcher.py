"""The decision: from a photo's features and a catalog snapshot to a product, or to none.

A barcode that one product has decides alone; products that share those on the photo are the only candidates.
First every candidate is weighed by appearance and words (`first_stage`). Only if that leaves doubt, the few best are
compared more closely by the words and regions in which they differ (`rerank`), so that a photo that is clear, or clearly of
no product of the catalog, costs nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from packsight.shared.catalog.decision_model import Matrix, Stage, probabilities
from packsight.shared.catalog.evidence import FIRST_STAGE, RERANK
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Candidate, Evidence, Product, Status
from packsight.shared.matching import explain
from packsight.shared.matching.candidates import Exclusion, IntArray, Query, find_candidates
from packsight.shared.matching.evidence import CandidateMatrix, compute_evidence
from packsight.shared.matching.rerank import compare
from packsight.shared.vision.features import Features


class Variant(StrEnum):
    """How to decide; all but `fitted` exist to be compared with it."""

    FITTED = "fitted"
    FIRST_STAGE = "first-stage"
    """Without reranking."""
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


@dataclass(frozen=True, slots=True)
class Ranking:
    """Products by falling probability.

    probability: calibrated, of each product of `order`; none: that it is none of them; rows: where each stands in
    `candidates`. compared: evidence [compared, RERANK] of those that were compared closely, in rising order of their row,
    None when none was; inliers: by row.
    """

    order: IntArray
    probability: Matrix
    none: float
    rows: IntArray
    candidates: CandidateMatrix
    compared: Matrix | None = None
    inliers: dict[int, int] | None = None


def match(features: Features, snapshot: Snapshot, *, top_k: int, variant: Variant = Variant.FITTED) -> Decision:
    """Decide which product a photo shows; pure and deterministic.

    Raises CatalogError when the embedding has another length than the version's.
    """
    if coded := by_barcode(features.barcodes, snapshot):
        return coded
    query = Query.of(features, snapshot)
    return decision(query, rank(query, snapshot, variant=variant), snapshot, top_k=top_k)


def by_barcode(barcodes: tuple[int, ...] | None, snapshot: Snapshot) -> Decision | None:
    """The answer where the barcodes on a photo are those of one product; None where they are of none or of several."""
    found = snapshot.barcodes.find(barcodes or ())
    if len(found) != 1:
        return None
    [(number, code)] = found.items()
    product, confidence = explain.product(snapshot.products[number]), snapshot.parameters.barcodes.confidence
    only = Candidate(product=product, confidence=confidence, evidence=Evidence(barcode=explain.printed(code)))
    return Decision(Status.MATCHED, product, confidence, [only], explain.by_barcodes(found))


def rank(
    query: Query, snapshot: Snapshot, *, exclusion: Exclusion | None = None, variant: Variant = Variant.FITTED
) -> Ranking:
    """Order the candidates; `exclusion` answers as if a photo or product were not in the catalog."""
    candidates = compute_evidence(query, find_candidates(query, snapshot, exclusion), snapshot, exclusion)
    if variant is Variant.APPEARANCE:
        return _by_one(candidates, "appearance")
    if variant is Variant.WORDS:
        return _by_one(candidates, "word_share")
    ranking = first_stage(candidates, snapshot.model.first_stage)
    if variant is Variant.FIRST_STAGE or not in_doubt(ranking, snapshot):
        return ranking
    return rerank(query, ranking, snapshot, exclusion)


def is_confident(query: Query, snapshot: Snapshot) -> bool:
    """Tell whether appearance and the words read so far match the photo, so that the others need not be read.

    The whole name must have been read, as far as it is usually seen: of a product's sibling that is not listed, the line that
    tells them apart may be still unread.
    """
    ranking = first_ranking(query, snapshot)
    if not len(ranking.order) or ranking.probability[0] < snapshot.model.sure:
        return False
    expected, seen = ranking.candidates.expected, snapshot.parameters.decision.seen
    name = expected.named & (expected.candidate == ranking.rows[0]) & (expected.expected >= seen)
    return bool((ranking.candidates.explained.read[name] >= seen).all())


def first_ranking(query: Query, snapshot: Snapshot) -> Ranking:
    """Order the candidates by appearance and words alone."""
    return rank(query, snapshot, variant=Variant.FIRST_STAGE)


def in_doubt(ranking: Ranking, snapshot: Snapshot) -> bool:
    """Tell whether the few best of a first ranking must be compared by the photo's details."""
    sure_none = snapshot.parameters.rerank.sure_none
    return len(ranking.order) > 1 and ranking.probability[0] < snapshot.model.sure and ranking.none < sure_none


def first_stage(candidates: CandidateMatrix, stage: Stage) -> Ranking:
    """Order all candidates by their evidence."""
    return _ordered(candidates, np.arange(len(candidates.products)), candidates.matrix, stage, FIRST_STAGE)


def rerank(query: Query, ranking: Ranking, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Ranking:
    """Compare the first few candidates by what differs between them and order them anew."""
    if not len(ranking.order):
        return ranking
    parameters, model = snapshot.parameters.rerank, snapshot.model
    candidates, first = ranking.candidates, ranking.probability[: parameters.depth]
    likely = int((first >= parameters.least_share * first[0]).sum())
    rows = np.sort(ranking.rows[: max(likely, parameters.least)])
    compared = compare(query, candidates, rows, snapshot, exclusion)
    utility = candidates.matrix[rows] @ model.first_stage.vector(FIRST_STAGE)
    matrix = np.column_stack([utility, np.ones(len(rows)), compared.matrix])
    again = _ordered(candidates, rows, matrix, model.rerank, RERANK)
    return replace(again, compared=matrix, inliers=dict(zip(rows.tolist(), compared.inliers.tolist(), strict=True)))


def decision(query: Query, ranking: Ranking, snapshot: Snapshot, *, top_k: int) -> Decision:
    """Say what a ranking means, with the evidence for its first `top_k` candidates.

    Where the photo has a barcode that several products share, it is one of them, and what is left is which.
    """
    coded = snapshot.barcodes.find(query.features.barcodes or ())
    if coded:
        ranking = _given_one(ranking)
    inliers = ranking.inliers or {}
    first = zip(ranking.order.tolist(), ranking.probability.tolist(), ranking.rows.tolist(), strict=True)
    top = [
        Candidate(
            product=explain.product(snapshot.products[number]),
            confidence=round(probability, 6),
            evidence=explain.evidence(query, ranking.candidates, row, snapshot, inliers.get(row), coded.get(number)),
        )
        for number, probability, row in list(first)[:top_k]
    ]
    status = status_of(ranking, snapshot)
    confidence = top[0].confidence if top else 0.0
    reason = explain.reason(status, top, confidence)
    return Decision(
        status=status,
        product=top[0].product if top and status is Status.MATCHED else None,
        confidence=confidence,
        candidates=top,
        reason=explain.by_barcodes(coded, reason) if coded else reason,
    )


def status_of(ranking: Ranking, snapshot: Snapshot) -> Status:
    """`matched` from the version's threshold; `no_match` when none is likelier than all candidates together."""
    if not len(ranking.order):
        return Status.NO_MATCH
    if ranking.probability[0] >= snapshot.model.matched:
        return Status.MATCHED
    return Status.NO_MATCH if ranking.none > snapshot.parameters.decision.no_match else Status.AMBIGUOUS


def _given_one(ranking: Ranking) -> Ranking:
    """The same where one of the candidates is known to be right: what spoke for none of them speaks for all of them alike."""
    left = max(0.0, 1.0 - float(ranking.probability.sum()))
    return replace(ranking, probability=ranking.probability + left / len(ranking.order), none=0.0)


def _ordered(
    candidates: CandidateMatrix, rows: IntArray, evidence: Matrix, stage: Stage, names: tuple[str, ...]
) -> Ranking:
    """Order the candidates that stand at `rows` by their evidence [rows, names]."""
    share, none = probabilities(evidence, stage.vector(names))
    order = np.lexsort((candidates.products[rows], -share))
    calibrated = stage.curve(share[order])
    if len(calibrated):
        calibrated = np.append(calibrated[:1], np.minimum(calibrated[1:], 1.0 - calibrated[0]))
    return Ranking(candidates.products[rows][order], calibrated, none, rows[order], candidates)


def _by_one(candidates: CandidateMatrix, name: str) -> Ranking:
    """Order by one kind of evidence alone."""
    column = candidates.matrix[:, FIRST_STAGE.index(name)]
    order = np.lexsort((candidates.products, -column))
    return Ranking(candidates.products[order], np.clip(column[order], 0, 1), 0.0, order, candidates)
