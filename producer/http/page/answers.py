"""An answer as pages show it: where the product is, what was read, the candidates, and in words why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packsight.producer.columns import corners
from packsight.producer.report import Line, Region, mark, web_link, word_keys
from packsight.producer.rows import Row
from packsight.shared.contract.lacking import WANTED, Lack
from packsight.shared.contract.outcomes import Candidate, Evidence, Outcome

_CANDIDATES = 5
_ALIKE = 0.3
"""Similarity from which looks are told as speaking for a product: that of photos of two products lies around 0."""
_TOLD = 6
"""Words that are told of each kind."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A candidate: its catalog photo (sha256, empty without), its page in the shop, and what speaks for it and against it."""

    candidate: Candidate
    photo: str
    link: str
    why: list[str]
    against: list[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that is shown of one photo. picture: its address here, to which `?side=` is added."""

    name: str
    extra: Mapping[str, str]
    outcome: Outcome
    picture: str
    choices: list[Choice]
    lines: list[Line]
    regions: list[Region]
    wanted: list[str]
    """What another photo would need."""

    @classmethod
    def of(cls, row: Row, picture: str) -> Answer:
        """Gather it."""
        outcome = row.outcome
        first = outcome.candidates[:1]
        agreeing = {key for one in first for word in one.evidence.words for key in word_keys(word.read)}
        places = outcome.products or first
        return cls(
            name=row.name,
            extra=row.extra,
            outcome=outcome,
            picture=picture,
            choices=[_choice(candidate) for candidate in outcome.candidates[:_CANDIDATES]],
            lines=[Line(mark(word.text, agreeing), corners(word.box)) for word in outcome.words],
            regions=[Region(corners(one.region), one.product.name) for one in places if one.region],
            wanted=[WANTED[Lack(code)].remedy for code in outcome.lacking if code in set(Lack)],
        )


def _choice(candidate: Candidate) -> Choice:
    evidence = candidate.evidence
    return Choice(
        candidate, evidence.nearest_photo or "", web_link(candidate.product.url), list(_why(evidence)), list(_against(evidence))
    )


def _why(evidence: Evidence) -> Iterator[str]:
    if evidence.barcode:
        yield f"Its barcode {evidence.barcode} is on the photo."
    if evidence.inliers:
        spanned = f", over {100 * evidence.spanned:.0f} % of the print" if evidence.spanned else ""
        yield f"{evidence.inliers} small details lie on the photo as they do on its catalog photo{spanned}."
    if evidence.words:
        words = sorted(evidence.words, key=lambda word: -word.rarity)[:_TOLD]
        told = (f"“{word.read}”" + ("" if word.read == word.expected else f" (on its pack “{word.expected}”)") for word in words)
        yield f"Read on the photo and known of its pack, the rarest first: {', '.join(told)}."
    if evidence.visual_similarity is not None and evidence.visual_similarity >= _ALIKE:
        yield f"It looks like its catalog photo: {100 * evidence.visual_similarity:.0f} of 100."


def _against(evidence: Evidence) -> Iterator[str]:
    if evidence.missing_words:
        told = ", ".join(f"“{word}”" for word in evidence.missing_words[:_TOLD])
        yield f"On its pack, but not read on the photo: {told}."
    if evidence.inliers == 0:
        yield "None of its catalog photos can be laid over this photo."
