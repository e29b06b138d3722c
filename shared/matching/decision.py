"""What an order of candidates means: a product, none, or a question for a person. A barcode of one product decides alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.lacking import Lack
from packsight.shared.contract.outcomes import Candidate, Evidence, Product, Status
from packsight.shared.matching import explain, reasons
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.region import pixels, region
from packsight.shared.matching.sight import lacks
from packsight.shared.parameters import EXPLANATION


@dataclass(frozen=True)
class Decision:
    """The answer for one photo: `product` is the first candidate's when matched."""

    status: Status
    product: Product | None
    confidence: float
    candidates: list[Candidate]
    reason: str
    lacking: tuple[Lack, ...] = ()


def by_barcode(barcodes: tuple[int, ...] | None, snapshot: Snapshot) -> Decision | None:
    """The answer where the barcodes on a photo are those of one product; None where they are of none or of several."""
    found = snapshot.barcodes.find(barcodes or ())
    return _coded(*next(iter(found.items())), snapshot) if len(found) == 1 else None


def by_barcodes(barcodes: tuple[int, ...], snapshot: Snapshot) -> list[Decision]:
    """The same of several products: an answer for each code that one of them has alone."""
    found = snapshot.barcodes.find(barcodes)
    owners = Counter(found.values())
    return [_coded(number, code, snapshot) for number, code in found.items() if owners[code] == 1]


def decision(query: Query, ranking: Ranking, snapshot: Snapshot, *, top_k: int) -> Decision:
    """Say what a ranking means, with the evidence for its first `top_k` candidates; why, by as many as the sentence may name.

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
        for number, probability, row in list(first)[: max(top_k, 1 + EXPLANATION.rivals)]
    ]
    status, lacking = (status_of(ranking, snapshot), ()) if coded else judged(query, ranking, snapshot)
    against: list[str] = []
    instead = ""
    if top and status is not Status.MATCHED:
        row = int(ranking.rows[0])
        against = reasons.against_all(query, ranking.compared, row, ranking.laid, top[0], snapshot)
        instead = reasons.contradicted(query, ranking.compared, row, ranking.laid.get(row), snapshot)
    ambiguous = zip(top, ranking.rows.tolist(), strict=False) if status is Status.AMBIGUOUS else ()
    words = {one.product.id: explain.all_words(ranking.compared, row, snapshot) for one, row in ambiguous}
    reason = reasons.reason(status, top, lacking, against, instead, words, explain.sole(snapshot))
    return Decision(
        status=status,
        product=top[0].product if top and status is Status.MATCHED else None,
        confidence=top[0].confidence if top else 0.0,
        candidates=top[:top_k],
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


def _coded(number: int, code: int, snapshot: Snapshot) -> Decision:
    product, confidence = explain.product(snapshot.products[number]), snapshot.parameters.barcodes.confidence
    only = Candidate(product=product, confidence=confidence, evidence=Evidence(barcode=explain.printed(code)))
    return Decision(Status.MATCHED, product, confidence, [only], reasons.by_barcodes({number: code}))


def _given_one(ranking: Ranking) -> Ranking:
    """The same where one of the candidates is known to be right: what spoke for none of them speaks for all of them alike."""
    left = max(0.0, 1.0 - float(ranking.probability.sum()))
    return replace(ranking, probability=ranking.probability + left / len(ranking.order), none=0.0)
