"""Words of a photo laid against a catalog's vocabulary: exact, misread, split or joined."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import begins
from packsight.shared.catalog.words.normalise import Token, is_number, tokens
from packsight.shared.catalog.words.vocabulary import Matches, Vocabulary
from packsight.shared.contract.outcomes import WordRead

GAP = "/"
"""Stands between two unknown words where a misread letter may be: SHL/EIDO."""


@dataclass(frozen=True, slots=True)
class FuzzyMatches:
    """Distinct words of a photo and the terms that each may stand for.

    keys, texts: each word as it is compared and as it was read. confidence: [words] float64, 0 to 1. lines: numbers of the lines
    that each word stands on.
    word, term, weight: [alternatives], sorted by word: alternative i says that word[i] is a reading of term[i] (or
    of a part of it) with similarity weight[i], 0 to 1.
    """

    keys: tuple[str, ...]
    texts: tuple[str, ...]
    confidence: npt.NDArray[np.float64]
    lines: tuple[tuple[int, ...], ...]
    word: npt.NDArray[np.int64]
    term: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]


class Found(NamedTuple):
    """A word with its line's confidence and number."""

    token: Token
    confidence: float
    line: int


def photo_tokens(words: Iterable[WordRead]) -> list[Found]:
    """Words of all lines in reading order."""
    return [Found(token, float(line.confidence), number) for number, line in enumerate(words) for token in tokens(line.text)]


def look_up(words: Iterable[WordRead], vocabulary: Vocabulary) -> FuzzyMatches:
    """Look every word up; each word counts once, with the best of its confidences."""
    sequence = photo_tokens(words)
    _ask_together(sequence, vocabulary)
    sequence = _split(sequence, vocabulary)
    confidence: dict[str, float] = {}
    texts: dict[str, str] = {}
    lines: dict[str, list[int]] = {}
    for token, value, line in sequence:
        texts.setdefault(token.key, token.text)
        confidence[token.key] = max(value, confidence.get(token.key, 0.0))
        lines.setdefault(token.key, []).append(line)
    number = {key: index for index, key in enumerate(confidence)}
    whole, odd = _joined(sequence, vocabulary)
    # Together, since a look-up costs the same for a few words as for one.
    found = vocabulary.matches([*number, *(a + GAP + b for a, b in odd)])
    meant = list(zip(number, found, strict=False))
    for pair, matches in [*whole, *zip(odd, found[len(number) :], strict=True)]:
        meant += [(part, matches._replace(similarity=matches.similarity * len(part) / sum(map(len, pair)))) for part in pair]
    counts = np.array([len(matches.terms) for _, matches in meant], np.int64)
    word = np.repeat(np.array([number[key] for key, _ in meant], np.int64), counts)
    term = np.concatenate([np.zeros(0, np.int64), *(matches.terms for _, matches in meant)])
    weight = np.concatenate([np.zeros(0), *(matches.similarity for _, matches in meant)])
    # Of a term that a word stands for in several ways the likeliest counts.
    order = np.lexsort((-weight, term, word))
    word, term, weight = word[order], term[order], weight[order]
    first = np.flatnonzero(begins(word) | begins(term))
    return FuzzyMatches(
        keys=tuple(number),
        texts=tuple(texts[key] for key in number),
        confidence=np.array([confidence[key] for key in number], np.float64),
        lines=tuple(tuple(lines[key]) for key in number),
        word=word[first],
        term=term[first],
        weight=weight[first],
    )


def _ask_together(sequence: list[Found], vocabulary: Vocabulary) -> None:
    """Have the vocabulary find at once what is asked of it one after the other: it costs the same for a few words as for one."""
    keys = [one.token.key for one in sequence]
    vocabulary.exact([*keys, *(a + gap + b for a, b in pairwise(keys) for gap in ("", GAP))])


def _split(sequence: list[Found], vocabulary: Vocabulary) -> list[Found]:
    """Replace words that the catalog doesn't know by two that it does, read without the gap: BODYWASH."""
    rules = vocabulary.parameters
    long = (one.token.key for one in sequence)
    keys = [key for key in dict.fromkeys(long) if len(key) >= rules.min_split and not is_number(key)]
    unknown = [key for key, term in zip(keys, vocabulary.exact(keys), strict=True) if term < 0]
    cuts = [(key, at) for key in unknown for at in range(rules.min_part, len(key) - rules.min_part + 1)]
    halves = vocabulary.exact([key[:at] for key, at in cuts] + [key[at:] for key, at in cuts])
    heads, tails = halves[: len(cuts)], halves[len(cuts) :]
    best: dict[str, int] = {}
    for (key, at), head, tail in zip(cuts, heads, tails, strict=True):
        if head < 0 or tail < 0 or abs(2 * at - len(key)) >= abs(2 * best.get(key, 0) - len(key)):
            continue
        if min(at, len(key) - at) >= rules.min_read_part or (vocabulary.named[head] and vocabulary.named[tail]):
            best[key] = at
    result: list[Found] = []
    for one in sequence:
        key, text = one.token
        at = best.get(key, 0)
        result += [one._replace(token=Token(key[part], text[part])) for part in (slice(at), slice(at, None))] if at else [one]
    return result


def _joined(sequence: list[Found], vocabulary: Vocabulary) -> tuple[list[tuple[tuple[str, str], Matches]], list[tuple[str, str]]]:
    """Neighbouring words that together are one of the catalog's, with this one: SUPER STAY; and those that may be one misread,
    since the catalog has neither: SHL EIDO.
    """
    pairs = [(a.token.key, b.token.key) for a, b in pairwise(sequence)]
    pairs = list(dict.fromkeys(pair for pair in pairs if not any(map(is_number, pair))))
    keys = list({key for pair in pairs for key in pair})
    known = vocabulary.exact([a + b for a, b in pairs] + keys)
    terms = known[: len(pairs)]
    found = [(pair, Matches(np.array([term]), np.ones(1))) for pair, term in zip(pairs, terms, strict=True) if term >= 0]
    unnamed = {key for key, term in zip(keys, known[len(pairs) :], strict=True) if term < 0 or not vocabulary.named[term]}
    return found, [pair for pair, term in zip(pairs, terms, strict=True) if term < 0 and unnamed.issuperset(pair)]
