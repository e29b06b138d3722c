"""Which products share the rarest words that were read of a photo?

The postings of the words that tell most propose products; where they are too many to be read all, everything that was read says
which of those proposed share most. (Moffat & Zobel, Self-indexing inverted files for fast text retrieval, 1996, go on so once no
further product is taken in.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import among, begins, spans
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import FuzzyMatches
from packsight.shared.matching.exclusion import Exclusion, IntArray

Scores = npt.NDArray[np.float64]
_Gains = tuple[IntArray, Scores]


class _Meant(NamedTuple):
    """Terms that a word may mean, and what each gives a product that has it, the least first."""

    terms: IntArray
    gains: Scores

    @property
    def key(self) -> bytes:
        """What tells them from others."""
        return self.terms.tobytes() + self.gains.tobytes()


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
    use is let go. proposing: products, as postings have them, and the gain of each.
    """

    proposing: dict[bytes, _Gains] = field(default_factory=dict)


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
        score = _shared(products, [one.meant for one in meant], snapshot, left)
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
        meant, some = _Meant(term[start:end], gain[start:end]), affordable[start:end]
        yield _Word(meant, meant if some.all() else _Meant(meant.terms[some], meant.gains[some]))


def _proposed(
    words: Sequence[_Word], kept: WordGains, snapshot: Snapshot, left: _Left | None
) -> tuple[IntArray, Scores]:
    """Products in the postings that are read, rising, with the gain that they share.

    A word counts once per product, with the best that it may mean.
    """
    score, best, now = np.zeros(len(snapshot.words.products)), np.empty(len(snapshot.words.products)), {}
    for _, word in words:
        key = word.key
        products, gains = now[key] = kept.proposing.get(key) or _having(word, snapshot, left, best)
        score[products] = score.take(products) + gains  # of one that stands there twice the same sum
    kept.proposing = now
    found_at = np.flatnonzero(score > 0)
    return found_at, score.take(found_at)


def _having(word: _Meant, snapshot: Snapshot, left: _Left | None, best: Scores) -> _Gains:
    """Products in the postings of what a word may mean, and what each gets; best: [products], overwritten."""
    postings = snapshot.words.postings
    starts, ends = postings.starts[word.terms].tolist(), postings.starts[word.terms + 1].tolist()
    having = [postings.values[start:end] for start, end in zip(starts, ends, strict=True)]
    products = np.concatenate([np.zeros(0, np.int64), *having])
    # Of a product that stands there twice the last stays, which gives most.
    best[products] = word.gains.repeat(list(map(len, having)))
    if left is not None:
        best[left.product] = max(word.gains[among(word.terms, left.terms)], default=0.0)
    return products, best.take(products)


def _shared(products: IntArray, words: Sequence[_Meant], snapshot: Snapshot, left: _Left | None) -> Scores:
    """The same gain of each of these products, by all words that it has: as many however many others have them."""
    position, row = snapshot.words.products.rows(products)
    term = snapshot.words.products.values[position]
    meant = np.concatenate([word.terms for word in words])
    order = np.argsort(meant, kind="stable")
    number = np.repeat(np.arange(len(words)), [len(word.terms) for word in words])[order]
    gain, meant = np.concatenate([word.gains for word in words])[order], meant[order]
    starts = np.flatnonzero(np.append(begins(meant), True))
    place = np.zeros(len(snapshot.words.postings), np.int32)  # of a term among those meant, from 1
    place[meant[starts[:-1]]] = np.arange(1, len(starts))
    found = place.take(term)
    some = np.flatnonzero(found > 0)  # of the words that a product has a few were read
    row, term, found = row[some], term[some], found[some]
    if left is not None:
        kept = (products[row] != left.product) | among(term, left.terms)
        row, found = row[kept], found[kept]
    places, which = spans(starts[found - 1], starts[found])
    best = np.zeros(len(words) * len(products))
    np.maximum.at(best, number[places] * len(products) + row[which], gain[places])
    by_word = best.reshape(len(words), len(products))
    return np.asarray(sum(by_word, np.zeros(len(products))), np.float64)  # word by word, as those proposed were scored


def _foremost(products: IntArray, score: Scores, most: int) -> IntArray:
    """So many products of the highest scores, rising, of equal ones the first; products: rising."""
    if len(score) <= most:
        return products
    least = np.partition(score, len(score) - most)[len(score) - most]
    chosen = score >= least
    if surplus := np.count_nonzero(chosen) - most:
        chosen[np.flatnonzero(score == least)[-surplus:]] = False
    return products[np.flatnonzero(chosen)]
