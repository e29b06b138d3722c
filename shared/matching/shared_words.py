"""Which products share the rarest words that were read of a photo?

The postings of the words that tell most propose products; where they are too many to be read all, everything that was read says
which of those proposed share most. (Moffat & Zobel, Self-indexing inverted files for fast text retrieval, 1996, go on so once no
further product is taken in.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import among, begins
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import FuzzyMatches
from packsight.shared.matching.exclusion import Exclusion, IntArray

Scores = npt.NDArray[np.float64]
_NOTHING = np.zeros(1)
_Gains = tuple[IntArray, Scores]
_Ranks = npt.NDArray[np.unsignedinteger[Any]]


class _Meant(NamedTuple):
    """Terms that a word may mean, and what each gives a product that has it, the least first; key: tells them from others."""

    terms: IntArray
    gains: Scores
    key: bytes

    @classmethod
    def of(cls, terms: IntArray, gains: Scores) -> _Meant:
        return cls(terms, gains, terms.tobytes() + gains.tobytes())

    def gain_of(self, ranks: _Ranks) -> Scores:
        """What products get that have these ranks among its gains, counted from 1; 0 for none."""
        return np.concatenate([_NOTHING, self.gains]).take(ranks)


class _Word(NamedTuple):
    """All that a word may mean, and that of it whose postings are read to propose products."""

    meant: _Meant
    proposing: _Meant


class _Left(NamedTuple):
    """The terms, rising, that a product has without what is left out."""

    product: int
    terms: IntArray

    @classmethod
    def of(cls, exclusion: Exclusion, snapshot: Snapshot) -> _Left:
        return cls(exclusion.product, np.setdiff1d(snapshot.words.products.row(exclusion.product), exclusion.dropped_terms))


@dataclass(slots=True)
class WordGains:
    """What each word read of one photo gives the products that have it, kept from one search to the next.

    Most words of a photo were read before when a search is repeated with a further line. Each is kept under the terms that it may
    mean and their gains, so that it is found anew where neighbours or a surer reading changed them; what the last search did not
    use is let go. proposing: products, as postings have them, and the gain of each. ranks: [products] which of the word's gains,
    rising, a product gets, 0 for none.
    """

    proposing: dict[bytes, _Gains] = field(default_factory=dict)
    ranks: dict[bytes, _Ranks] = field(default_factory=dict)


def sharing_most(
    read: FuzzyMatches, kept: WordGains, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> IntArray:
    """Products that share most of the words read, rising; kept: of the same photo, asked without an exclusion."""
    words, rules = snapshot.words, snapshot.parameters.candidates
    kept = kept if exclusion is None else WordGains()
    gain = read.confidence[read.word] * read.weight * words.rarity(frequencies(read.term, snapshot, exclusion))
    order = np.argsort(-gain, kind="stable")
    order = order[: np.count_nonzero(gain > 0)]
    affordable = np.zeros(len(gain), np.bool_)
    affordable[order[_affordable(words.frequency(read.term[order]), rules.max_postings)]] = True
    meant = list(_by_word(read, order, gain, affordable))
    left = None if exclusion is None else _Left.of(exclusion, snapshot)
    products, score = _proposed(meant, kept, snapshot, left)
    if np.count_nonzero(affordable) < len(order):
        products = _foremost(products, score, rules.proposed)
        score = _shared(products, meant, kept, snapshot, left)
    return _foremost(products, score, rules.by_words)


def frequencies(terms: IntArray, snapshot: Snapshot, exclusion: Exclusion | None) -> IntArray:
    """Products that have each term, without what is left out."""
    frequency = snapshot.words.frequency(terms)
    if exclusion is not None and len(exclusion.dropped_terms):
        frequency = frequency - np.isin(terms, exclusion.dropped_terms)
    return frequency


def _affordable(lengths: IntArray, most: int) -> IntArray:
    """Numbers of the lists that are read, in their order: the first, and each that leaves no more than so many to be read."""
    chosen, left = [], most
    for number, length in enumerate(lengths.tolist()):
        if not number or length <= left:
            chosen.append(number)
            left -= length
    return np.array(chosen, np.int64)


def _by_word(read: FuzzyMatches, order: IntArray, gain: Scores, affordable: npt.NDArray[np.bool_]) -> Iterator[_Word]:
    """What each word that gives anything may mean; order: of the alternatives, the most telling first."""
    by_word = order[::-1]
    by_word = by_word[np.argsort(read.word[by_word], kind="stable")]
    term, gain, word, affordable = read.term[by_word], gain[by_word], read.word[by_word], affordable[by_word]
    for start, end in pairwise([*np.flatnonzero(begins(word)).tolist(), len(word)]):
        meant, some = _Meant.of(term[start:end], gain[start:end]), affordable[start:end]
        yield _Word(meant, meant if some.all() else _Meant.of(meant.terms[some], meant.gains[some]))


def _proposed(
    words: Sequence[_Word], kept: WordGains, snapshot: Snapshot, left: _Left | None
) -> tuple[IntArray, Scores]:
    """Products in the postings that are read, rising, with the gain that they share.

    A word counts once per product, with the best that it may mean.
    """
    score, now = np.zeros(len(snapshot.words.products)), {}
    for meant, word in words:
        found = kept.proposing.get(word.key)
        if found is None:
            products, ranks = _ranked(word, snapshot, left)
            found = products, word.gain_of(ranks.take(products))
            if word is meant:
                kept.ranks[word.key] = ranks
        products, gains = now[word.key] = found
        score[products] = score.take(products) + gains  # of one that stands there twice the same sum
    kept.proposing = now
    found_at = np.flatnonzero(score > 0)
    return found_at, score.take(found_at)


def _shared(
    products: IntArray, words: Sequence[_Word], kept: WordGains, snapshot: Snapshot, left: _Left | None
) -> Scores:
    """The same gain of each of these products, by all postings."""
    score, now = np.zeros(len(products)), {}
    for word, _ in words:
        ranks = kept.ranks.get(word.key)
        now[word.key] = ranks = _ranked(word, snapshot, left)[1] if ranks is None else ranks
        score += word.gain_of(ranks.take(products))
    kept.ranks = now
    return score


def _ranked(word: _Meant, snapshot: Snapshot, left: _Left | None) -> tuple[IntArray, _Ranks]:
    """Products in the postings of what a word may mean, and of every product which of the word's gains it gets."""
    postings = snapshot.words.postings
    starts, ends = postings.starts[word.terms].tolist(), postings.starts[word.terms + 1].tolist()
    having = [postings.values[start:end] for start, end in zip(starts, ends, strict=True)]
    products = np.concatenate([np.zeros(0, np.int64), *having])
    ranks = np.zeros(len(snapshot.words.products), np.min_scalar_type(len(having)))
    # Of a product that stands there twice the last stays, which gives most.
    ranks[products] = np.arange(1, len(having) + 1, dtype=ranks.dtype).repeat(list(map(len, having)))
    if left is not None and ranks[left.product]:
        ranks[left.product] = max(np.flatnonzero(among(word.terms, left.terms)) + 1, default=0)
    return products, ranks


def _foremost(products: IntArray, score: Scores, most: int) -> IntArray:
    """So many products of the highest scores, rising, of equal ones the first; products: rising."""
    if len(score) <= most:
        return products
    least = np.partition(score, len(score) - most)[len(score) - most]
    chosen = score >= least
    if surplus := np.count_nonzero(chosen) - most:
        chosen[np.flatnonzero(score == least)[-surplus:]] = False
    return products[np.flatnonzero(chosen)]
