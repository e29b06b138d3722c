"""Evidence in the form in which it leaves the system, and the one sentence for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Candidate, Evidence, Product, Status, WordEvidence
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.close import Laid
from packsight.shared.matching.evidence import Compared
from packsight.shared.matching.exclusion import NO_PHOTO
from packsight.shared.parameters import EXPLANATION, ExplanationParameters


def product(row: ProductRow) -> Product:
    """The product as it stands in an answer."""
    return Product(id=row.id, name=row.name, vendor=row.vendor, url=row.url, picture=row.picture)


def evidence(
    query: Query,
    candidates: Compared,
    row: int,
    snapshot: Snapshot,
    laid: Laid | None = None,
    code: int | None = None,
    parameters: ExplanationParameters = EXPLANATION,
) -> Evidence:
    """Evidence for the candidate of that row; `code`: its barcode on the photo."""
    nearest = int(candidates.appearance.nearest[row])
    return Evidence(
        visual_similarity=None
        if nearest == NO_PHOTO or not query.vector.any()
        else round(float(candidates.columns["appearance"][row]), 4),
        nearest_photo=None if nearest == NO_PHOTO else snapshot.photo_table.sha256(nearest),
        word_score=round(float(np.clip(candidates.columns["word_share"][row], 0, 1)), 4),
        words=_words(query, candidates, row, snapshot, parameters.words),
        missing_words=_missing(candidates, row, snapshot, parameters),
        barcode=None if code is None else printed(code),
        inliers=None if laid is None else laid.match.inliers,
    )


def printed(code: int) -> str:
    """A GTIN in the digits of its symbol: 8 of an EAN-8, 13 of an EAN-13; a UPC gets a leading zero."""
    return f"{code:08}" if code < 10**8 else f"{code:013}"


def _words(
    query: Query, candidates: Compared, row: int, snapshot: Snapshot, most: int
) -> list[WordEvidence]:
    read, explained, vocabulary = query.words, candidates.explained, snapshot.words.vocabulary
    value = explained.value[:, row] * read.confidence
    order = np.argsort(-value, kind="stable")[:most]
    by = explained.by[:, row]
    return [
        WordEvidence(
            read=read.texts[word],
            expected=vocabulary.text(int(read.term[by[word]])),
            rarity=round(float(explained.rarity[by[word]]), 4),
            similarity=round(float(read.weight[by[word]]), 4),
        )
        for word in order.tolist()
        if value[word] > 0
    ]


def _missing(candidates: Compared, row: int, snapshot: Snapshot, parameters: ExplanationParameters) -> list[str]:
    expected, read = candidates.expected, candidates.explained.read
    own = expected.candidate == row
    absent = np.flatnonzero(own & (read < parameters.read) & (expected.expected >= parameters.expected))
    weight = expected.expected * expected.rarity
    absent = absent[np.argsort(-weight[absent], kind="stable")][: parameters.missing_words]
    return [snapshot.words.vocabulary.text(int(term)) for term in expected.term[absent]]


def by_barcodes(products: Mapping[int, int], rest: str = "") -> str:
    """One sentence that says whose barcodes are on a photo, and then the rest; products: number to code."""
    codes = [printed(code) for code in sorted(set(products.values()))]
    whose = "this product alone" if len(products) == 1 else f"{len(products)} products"
    text = (
        f"Barcode {codes[0]} is that of {whose}"
        if len(codes) == 1
        else f"Barcodes {', '.join(codes[:-1])} and {codes[-1]} are those of {whose}"
    )
    return f"{text}; {_lower(rest)}" if rest else f"{text}."


def reason(
    status: Status,
    candidates: Sequence[Candidate],
    confidence: float,
    parameters: ExplanationParameters = EXPLANATION,
) -> str:
    """One sentence that says why."""
    if not candidates:
        return "Nothing on this photo looks like or reads like a product of the catalog."
    first = candidates[0]
    support = _support(first, candidates[1:], parameters.told)
    if status is Status.MATCHED:
        return f"{support}."
    if status is Status.NO_MATCH:
        return f"Probably not in the catalog; nearest is {first.product.name} ({confidence:.2f}): {_lower(support)}."
    least = parameters.rival_share * first.confidence
    rivals = [candidate for candidate in candidates[1:] if candidate.confidence >= least][: parameters.rivals]
    if not rivals:
        wanting = _wanting(first, parameters.told)
        return f"Perhaps {first.product.name} ({confidence:.2f}): {_lower(support)}; {wanting}."
    names = " or ".join(candidate.product.name for candidate in (first, *rivals))
    return f"Either {names}: {_difference(first, rivals, parameters.told_apart)}."


def _support(first: Candidate, others: Sequence[Candidate], told: int) -> str:
    elsewhere = {word.read for other in others for word in other.evidence.words}
    words = sorted(first.evidence.words, key=lambda word: -word.rarity)
    own = [word.read for word in words if word.read not in elsewhere][:told]
    parts = []
    if own:
        only = ", which only this product has" if others else ""
        parts.append(f"reads {_listed(own)}{only}")
    elif words:
        parts.append(f"reads {_listed([word.read for word in words[:told]])}")
    if first.evidence.visual_similarity is not None:
        parts.append(f"looks like its photo ({first.evidence.visual_similarity:.2f})")
    if first.evidence.inliers:
        parts.append(f"{first.evidence.inliers} details lie where its photo has them")
    text = "; ".join(parts) or "no word was read and no photo is near"
    return text[0].upper() + text[1:]


def _wanting(first: Candidate, told: int) -> str:
    if first.evidence.missing_words:
        return f"{_listed(first.evidence.missing_words[:told])} would make it certain"
    return "a sharper photo of the front would make it certain"


def _difference(first: Candidate, rivals: Sequence[Candidate], told: int) -> str:
    group = (first, *rivals)
    parts = []
    for candidate in group:
        others = {word for other in group if other is not candidate for word in _all_words(other)}
        own = [word for word in candidate.evidence.missing_words if word not in others][:told]
        if own:
            parts.append(f"{_listed(own)} would speak for {candidate.product.name}")
    return "; ".join(parts) or "a sharper photo of where their packs differ would tell them apart"


def _all_words(candidate: Candidate) -> set[str]:
    return {word.expected for word in candidate.evidence.words} | set(candidate.evidence.missing_words)


def _listed(words: Sequence[str]) -> str:
    quoted = [f"'{word}'" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
