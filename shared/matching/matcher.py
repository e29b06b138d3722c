"""The decision: from a photo's features and a catalog snapshot to a product, or to none.

First every candidate is weighed by looks and words (`clear`). Only if that leaves doubt, the few best are compared
more closely by the words and regions in which they differ (`close`), so that a photo that is clear, or clearly of no
product of the catalog, costs nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from packsight.shared.catalog.decision_model import CLEAR, CLOSE, LOOKS, WORDS, Curve, Matrix, Model, probabilities
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Candidate, Product, Status
from packsight.shared.matching import explain
from packsight.shared.matching import rerank as siblings
from packsight.shared.matching.candidates import IntArray, Leave, Query, candidates
from packsight.shared.matching.evidence import Gathered, gather
from packsight.shared.vision.features import Features

CLOSEST = 6
"""Candidates compared closely at most."""
SEEN = 0.5
"""Of how surely a word is to be seen, and of how surely it was read."""
UNLIKELY = 0.01
"""Part of the first candidate's probability below which a candidate is not worth a close look."""

STRANGE = 0.95
"""Probability of none of the products from which the clear look stands: close ones made no such photo `matched`."""


class Variant(StrEnum):
    """How to decide; all but `fitted` exist to be compared with it."""

    FITTED = "fitted"
    CLEAR = "clear"
    """Without the close comparison."""
    LOOKS = "looks"
    WORDS = "words"


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

    probability: calibrated, of each product of `order`; none: that it is none of them; place: row in `gathered`;
    inliers per place.
    """

    order: IntArray
    probability: Matrix
    none: float
    place: IntArray
    gathered: Gathered
    close: Matrix | None = None
    inliers: dict[int, int] | None = None


def match(features: Features, snapshot: Snapshot, *, top_k: int, variant: Variant = Variant.FITTED) -> Decision:
    """Decide which product a photo shows; pure and deterministic.

    Raises CatalogError when the embedding has another length than the version's.
    """
    query = Query.of(features, snapshot)
    return decision(query, rank(query, snapshot, variant=variant), snapshot, top_k=top_k)


def decided(query: Query, snapshot: Snapshot) -> bool:
    """Tell whether looks and the words read so far match the photo, so that the others need not be read.

    The whole name must have been read, as far as it is usually seen: of a product's sibling that is not listed, the line that
    tells them apart may be still unread.
    """
    ranking = first_ranking(query, snapshot)
    gathered = ranking.gathered
    if not len(ranking.order) or ranking.probability[0] < snapshot.model.sure:
        return False
    name = gathered.entry_named & (gathered.entry_candidate == ranking.place[0]) & (gathered.entry_expected >= SEEN)
    return bool((gathered.entry_read[name] >= SEEN).all())


def rank(
    query: Query,
    snapshot: Snapshot,
    *,
    leave: Leave | None = None,
    variant: Variant = Variant.FITTED,
    model: Model | None = None,
) -> Ranking:
    """Order the candidates; `leave` answers as if a photo or product were not in the catalog."""
    model = model or snapshot.model
    found = candidates(query, snapshot, leave)
    gathered = gather(query, found, snapshot, leave)
    if variant in {Variant.LOOKS, Variant.WORDS}:
        return _single(gathered, model, LOOKS if variant is Variant.LOOKS else WORDS)
    ranking = ranked(gathered, gathered.matrix, np.arange(len(found)), model.clear.vector(CLEAR), model.clear.curve)
    if variant is Variant.CLEAR or not in_doubt(ranking, model):
        return ranking
    return look_closer(query, ranking, snapshot, model, leave)


def first_ranking(query: Query, snapshot: Snapshot) -> Ranking:
    """Order the candidates by appearance and words alone."""
    return rank(query, snapshot, variant=Variant.CLEAR)


def in_doubt(ranking: Ranking, model: Model) -> bool:
    """Tell whether the few best of a first ranking must be compared by the photo's details."""
    return len(ranking.order) > 1 and ranking.probability[0] < model.sure and ranking.none < STRANGE


def look_closer(
    query: Query, ranking: Ranking, snapshot: Snapshot, model: Model, leave: Leave | None = None
) -> Ranking:
    """Compare the first few candidates by what differs between them and order them anew."""
    gathered = ranking.gathered
    if not len(ranking.order):
        return ranking
    likely = int((ranking.probability[:CLOSEST] >= UNLIKELY * ranking.probability[0]).sum())
    places = np.sort(ranking.place[: max(likely, 2)])
    compared = siblings.compare(query, gathered, places, snapshot, leave)
    utility = gathered.matrix[places] @ model.clear.vector(CLEAR)
    matrix = np.column_stack([utility, np.ones(len(places)), compared.matrix])
    again = ranked(gathered, matrix, places, model.close.vector(CLOSE), model.close.curve)
    return replace(again, close=matrix, inliers=dict(zip(places.tolist(), compared.inliers.tolist(), strict=True)))


def ranked(gathered: Gathered, matrix: Matrix, places: IntArray, weights: Matrix, curve: Curve) -> Ranking:
    """Order the candidates that stand at `places` of `gathered` by their evidence [places, features]."""
    share, none = probabilities(matrix, weights)
    order = np.lexsort((gathered.products[places], -share))
    calibrated = curve(share[order])
    if len(calibrated):
        calibrated = np.append(calibrated[:1], np.minimum(calibrated[1:], 1.0 - calibrated[0]))
    return Ranking(gathered.products[places][order], calibrated, none, places[order], gathered)


def _single(gathered: Gathered, model: Model, names: tuple[str, ...]) -> Ranking:
    """Order by one kind of evidence alone: the nearest photo, or the share of words explained."""
    column = gathered.matrix[:, CLEAR.index(names[0])]
    order = np.lexsort((gathered.products, -column))
    return Ranking(gathered.products[order], np.clip(column[order], 0, 1), 0.0, order, gathered)


def decision(query: Query, ranking: Ranking, snapshot: Snapshot, *, top_k: int) -> Decision:
    """Say what a ranking means, with the evidence for its first `top_k` candidates."""
    gathered = ranking.gathered
    inliers = ranking.inliers or {}
    top = [
        Candidate(
            product=explain.product(snapshot.products[int(number)]),
            confidence=round(float(probability), 6),
            evidence=explain.evidence(query, gathered, int(place), snapshot, inliers.get(int(place))),
        )
        for number, probability, place in zip(
            ranking.order[:top_k].tolist(),
            ranking.probability[:top_k].tolist(),
            ranking.place[:top_k].tolist(),
            strict=True,
        )
    ]
    status = status_of(ranking, snapshot.model)
    confidence = top[0].confidence if top else 0.0
    return Decision(
        status,
        top[0].product if top and status is Status.MATCHED else None,
        confidence,
        top,
        explain.reason(status, top, confidence, snapshot.manifest.photos),
    )


def status_of(ranking: Ranking, model: Model) -> Status:
    """`matched` from the version's threshold; `no_match` when none is likelier than all candidates together."""
    if not len(ranking.order):
        return Status.NO_MATCH
    if ranking.probability[0] >= model.matched:
        return Status.MATCHED
    return Status.NO_MATCH if ranking.none > 0.5 else Status.AMBIGUOUS
