"""The sentence for a person: what speaks for a match, what would decide between candidates, what speaks against all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.lacking import WANTED, Lack
from packsight.shared.contract.outcomes import Candidate, Status
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.close import Laid
from packsight.shared.matching.contradiction import contradicting_places
from packsight.shared.matching.evidence import Compared, clear_words
from packsight.shared.matching.explain import printed
from packsight.shared.parameters import EXPLANATION, ExplanationParameters


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
    lacking: Sequence[Lack] = (),
    against: Sequence[str] = (),
    instead: str = "",
    words: Mapping[str, Set[str]] = MappingProxyType({}),
    sole: float = math.inf,
    parameters: ExplanationParameters = EXPLANATION,
) -> str:
    """One sentence that says why; lacking, against: what the photo lacks and what speaks against all products, for other answers
    than a match; instead: what the first one has where the photo has other words; words: all that products have in the catalog,
    by their id: none of another's tells them apart, however badly it was read there; sole: rarity from which only one product of
    the catalog has a word."""
    if status is Status.MATCHED:
        return f"{_support(candidates[0], candidates[1:], parameters.told, sole)}."
    if lacking:
        return unseen(lacking, candidates)
    if not candidates:
        return "Nothing on this photo looks like or reads like a product of the catalog."
    if status is Status.NO_MATCH:
        return f"Probably not in the catalog: {'; '.join(against)}."
    first = candidates[0]
    least = parameters.rival_share * first.confidence
    rivals = [candidate for candidate in candidates[1:] if candidate.confidence >= least][: parameters.rivals]
    if not rivals:
        support = _support(first, candidates[1:], parameters.told, sole)
        return f"Perhaps {_named(first)}: {_lower(support)}; {_doubt(first, instead, parameters.told)}."
    group = (first, *rivals)
    names = " or ".join(_called(candidate, group) for candidate in group)
    but = f"; but {_called(first, group)} {instead}" if instead else ""
    return f"Either {names}: {_difference(group, words, parameters.told_apart)}{but}."


def unseen(lacking: Sequence[Lack], candidates: Sequence[Candidate]) -> str:
    """Why a photo cannot tell, what would, and what it shows most likely."""
    causes = " and ".join(WANTED[lack].cause for lack in lacking)
    guess = f" Perhaps it is {_named(candidates[0])}." if candidates else ""
    return f"The photo {causes}, so no product is certain. {WANTED[lacking[0]].remedy}{guess}"


def against_all(
    query: Query,
    compared: Compared,
    row: int,
    laid: Mapping[int, Laid],
    nearest: Candidate,
    snapshot: Snapshot,
    parameters: ExplanationParameters = EXPLANATION,
) -> list[str]:
    """What speaks against every product, and against the nearest one, whose row in `compared` is given."""
    explained, texts = compared.explained, query.words.texts
    clear = clear_words(query.words, snapshot) >= parameters.surely_read
    strange, foreign = clear & (explained.known <= 0), clear & (explained.known > 0) & (explained.value[:, row] <= 0)
    strange_words, foreign_words = (
        [texts[word] for word in np.flatnonzero(part)][: parameters.told_apart] for part in (strange, foreign)
    )
    missing = nearest.evidence.missing_words[: parameters.told_apart]
    parts, differs = [], []
    instead = contradicted(query, compared, row, laid.get(row), snapshot, parameters)
    if strange_words:
        parts.append(f"reads {_listed(strange_words)}, which no product has")
    if laid and not any(one.match.inliers for one in laid.values()):
        parts.append("no catalog photo lies over it")
    if instead:
        differs.append(instead)
    elif missing and (foreign_words or strange_words):
        differs.append(f"has {_listed(missing)} where this reads {_listed(foreign_words or strange_words)}")
    elif missing:
        differs.append(f"has {_listed(missing)}, which was not read here")
    elif foreign_words:
        differs.append(f"does not have {_listed(foreign_words)}, which this reads")
    spanned = nearest.evidence.spanned
    if spanned is not None and spanned < parameters.little:
        differs.append(f"agrees in {100 * spanned:.0f} % of its print only")
    if differs or not parts:
        differs = differs or ["agrees in too little"]
        parts.append(f"the nearest, {nearest.product.name}, {' and '.join(differs)}")
    return parts


def contradicted(
    query: Query,
    compared: Compared,
    row: int,
    laid: Laid | None,
    snapshot: Snapshot,
    parameters: ExplanationParameters = EXPLANATION,
) -> str:
    """What stands where a candidate, whose row in `compared` is given, has other words; nothing where its print agrees."""
    places = [] if laid is None else list(contradicting_places(query, compared, row, laid, snapshot))
    place = max(places, key=lambda one: one.weight, default=None)
    if place is None or place.weight < parameters.contradicted:
        return ""
    expected = [snapshot.words.vocabulary.text(term) for term in place.here][: parameters.told_apart]
    found = [query.words.texts[word] for word in place.there][: parameters.told_apart]
    return f"has {_listed(expected)} in the place where this reads {_listed(found)}"


def _support(first: Candidate, others: Sequence[Candidate], told: int, sole: float) -> str:
    elsewhere = {word.read for other in others for word in other.evidence.words}
    words = sorted((word for word in first.evidence.words if _telling(word.read)), key=lambda word: -word.rarity)
    own = [word for word in words if word.read not in elsewhere]
    alone = [word for word in own if word.rarity >= sole] if others else []
    parts = []
    if words:
        # That none of the others shown has a word does not say that no other product has it.
        only = ", which only this product has" if alone else ""
        parts.append(f"reads {_listed([word.read for word in (alone or own or words)[:told]])}{only}")
    if first.evidence.visual_similarity is not None:
        parts.append(f"looks like its photo ({first.evidence.visual_similarity:.2f})")
    if first.evidence.inliers:
        parts.append(_details(first, others))
    text = "; ".join(parts) or "more of its details are found on this product's photos than on others'"
    return text[0].upper() + text[1:]


def _details(first: Candidate, others: Sequence[Candidate]) -> str:
    evidence = first.evidence
    spanning = "" if evidence.spanned is None else f", spanning {100 * evidence.spanned:.0f} % of it"
    text = f"{evidence.inliers} details lie where its photo has them{spanning}"
    rival = max(others, key=lambda other: other.evidence.inliers or 0, default=None)
    if evidence.words or rival is None or rival.evidence.inliers is None:
        return text
    return f"{text}; next is {rival.product.name} with {rival.evidence.inliers or 'none'}"


def _doubt(first: Candidate, instead: str, told: int) -> str:
    """What keeps the first from being certain."""
    if instead:
        return f"but it {instead}"
    if first.evidence.missing_words:
        return f"{_listed(first.evidence.missing_words[:told])} would make it certain"
    return "a sharper photo of the front would make it certain"


def _difference(group: Sequence[Candidate], words: Mapping[str, Set[str]], told: int) -> str:
    parts = []
    for candidate in group:
        rest = [other for other in group if other is not candidate]
        others = {word for other in rest for word in _all_words(other) | words.get(other.product.id, set())}
        own = [word for word in candidate.evidence.missing_words if word not in others and _telling(word)][:told]
        if own:
            parts.append(f"{_listed(own)} would speak for {_called(candidate, group)}")
    return "; ".join(parts) or "a sharper photo of where their packs differ would tell them apart"


def _telling(word: str) -> bool:
    """Not a scrap or a word like 'of'."""
    return len(word) > 2 or any(map(str.isdigit, word))


def _all_words(candidate: Candidate) -> set[str]:
    return {word.expected for word in candidate.evidence.words} | set(candidate.evidence.missing_words)


def _called(candidate: Candidate, group: Sequence[Candidate]) -> str:
    """Its name, with the id where others of the group are called the same."""
    name = candidate.product.name
    same = [other for other in group if other.product.name == name]
    return name if len(same) == 1 else f"{name} ({candidate.product.id})"


def _named(candidate: Candidate) -> str:
    return f"{candidate.product.name} ({candidate.confidence:.2f})"


def _listed(words: Sequence[str]) -> str:
    quoted = [f"'{word}'" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
