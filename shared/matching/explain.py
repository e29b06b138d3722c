"""Evidence in the form in which it leaves the system, and the one sentence for a person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from packsight.shared.catalog.decision_model import CLEAR
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import ProductRow
from packsight.shared.contract.outcomes import Candidate, Evidence, Product, Status, WordEvidence
from packsight.shared.matching.candidates import NO_PHOTO, Query
from packsight.shared.matching.evidence import Gathered

MAX_WORDS = 12
MAX_MISSING = 5
LIKELY = 0.5
"""Expectation from which a word's absence is worth telling."""
_LOOKS, _SHARE = CLEAR.index("looks"), CLEAR.index("word_share")


def product(row: ProductRow) -> Product:
    """The product as it stands in an answer."""
    return Product(id=row.id, name=row.name, vendor=row.vendor, url=row.url, picture=row.picture)


def evidence(query: Query, gathered: Gathered, number: int, snapshot: Snapshot, inliers: int | None = None) -> Evidence:
    """Evidence for candidate `number` of those gathered."""
    nearest = int(gathered.nearest[number])
    return Evidence(
        visual_similarity=None
        if nearest == NO_PHOTO or not query.vector.any()
        else round(float(gathered.matrix[number, _LOOKS]), 4),
        nearest_photo=None if nearest == NO_PHOTO else snapshot.photo_table.sha256(nearest),
        word_score=round(float(np.clip(gathered.matrix[number, _SHARE], 0, 1)), 4),
        words=_words(query, gathered, number, snapshot),
        missing_words=_missing(gathered, number, snapshot),
        inliers=inliers,
    )


def _words(query: Query, gathered: Gathered, number: int, snapshot: Snapshot) -> list[WordEvidence]:
    reading, vocabulary = query.reading, snapshot.words.vocabulary
    value = gathered.explained[:, number] * reading.confidence
    order = np.argsort(-value, kind="stable")[:MAX_WORDS]
    by = gathered.by[:, number]
    return [
        WordEvidence(
            read=reading.texts[word],
            expected=vocabulary.text(int(reading.term[by[word]])),
            rarity=round(float(gathered.rarity[by[word]]), 4),
            similarity=round(float(reading.weight[by[word]]), 4),
        )
        for word in order.tolist()
        if value[word] > 0
    ]


def _missing(gathered: Gathered, number: int, snapshot: Snapshot) -> list[str]:
    row = gathered.entry_candidate == number
    absent = row & (gathered.entry_read < 0.5) & (gathered.entry_expected >= LIKELY)
    weight = gathered.entry_expected * gathered.entry_rarity
    places = np.flatnonzero(absent)
    places = places[np.argsort(-weight[places], kind="stable")][:MAX_MISSING]
    return [snapshot.words.vocabulary.text(int(term)) for term in gathered.entry_term[places]]


def reason(status: Status, candidates: Sequence[Candidate], confidence: float, photos: int) -> str:
    """One sentence that says why."""
    if not candidates:
        return "Nothing on this photo looks like or reads like a product of the catalog."
    first = candidates[0]
    support = _support(first, candidates[1:])
    if status is Status.MATCHED:
        return f"{support}."
    if status is Status.NO_MATCH:
        return f"Probably not in the catalog; nearest is {first.product.name} ({confidence:.2f}): {_lower(support)}."
    rivals = [candidate for candidate in candidates[1:] if candidate.confidence >= 0.1 * first.confidence][:2]
    if not rivals:
        return f"Perhaps {first.product.name} ({confidence:.2f}): {_lower(support)}; {_wanting(first)}."
    names = " or ".join(candidate.product.name for candidate in (first, *rivals))
    return f"Either {names}: {_difference(first, rivals)}."


def _support(first: Candidate, others: Sequence[Candidate]) -> str:
    elsewhere = {word.read for other in others for word in other.evidence.words}
    words = sorted(first.evidence.words, key=lambda word: -word.rarity)
    own = [word.read for word in words if word.read not in elsewhere][:3]
    parts = []
    if own:
        only = ", which only this product has" if others else ""
        parts.append(f"reads {_listed(own)}{only}")
    elif words:
        parts.append(f"reads {_listed([word.read for word in words[:3]])}")
    if first.evidence.visual_similarity is not None:
        parts.append(f"looks like its photo ({first.evidence.visual_similarity:.2f})")
    if first.evidence.inliers:
        parts.append(f"{first.evidence.inliers} details lie where its photo has them")
    text = "; ".join(parts) or "no word was read and no photo is near"
    return text[0].upper() + text[1:]


def _wanting(first: Candidate) -> str:
    if first.evidence.missing_words:
        return f"{_listed(first.evidence.missing_words[:3])} would make it certain"
    return "a sharper photo of the front would make it certain"


def _difference(first: Candidate, rivals: Sequence[Candidate]) -> str:
    group = (first, *rivals)
    told = []
    for candidate in group:
        others = {word for other in group if other is not candidate for word in _all_words(other)}
        own = [word for word in candidate.evidence.missing_words if word not in others][:2]
        if own:
            told.append(f"{_listed(own)} would speak for {candidate.product.name}")
    return "; ".join(told) or "a sharper photo of where their packs differ would tell them apart"


def _all_words(candidate: Candidate) -> set[str]:
    return {word.expected for word in candidate.evidence.words} | set(candidate.evidence.missing_words)


def _listed(words: Sequence[str]) -> str:
    quoted = [f"'{word}'" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
