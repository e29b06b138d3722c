"""What speaks for and against each candidate, as numbers between -1 and 1.

- present: 1 for every candidate; its weight says how much evidence "none of them" outweighs.
- looks: cosine to the product's nearest photo after projection; looks_lead: that less the best of the other candidates.
- word_share: rarity of the words read that the product explains ÷ rarity of all words read that the catalog knows;
  word_mass: the same, absolute, in words that only one product has, saturated as m / (m + 1);
  word_lead: word_share less the best of the other candidates.
- coverage: rarity of the product's words that were read ÷ rarity of those expected, each by how surely it is to be
  seen.
- name: rarity of the words of the feed's name beyond the brand's that were read ÷ rarity of all of them: a photo too small for
  the small print still shows the name, and of names that share its words the one without others is meant;
  rival_name: how clearly a word of other products' names was read that this one does not explain, times 1 - name.
- brand: the same of the brand's words; rival_brand: how clearly a brand was read that is not the product's.
- unknown_words: share of the words of four letters and more that the catalog has nowhere;
  replaced_words: m / 2, at most 1, m being the smaller of the words surely to be seen that were not read and the words read
  that are not the product's: another product of its line has other words where its own should stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.decision_model import CLEAR, Matrix
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.normalise import is_number
from packsight.shared.catalog.words.word_index import NAME_WEIGHT, NAMED, PRIOR_PHOTOS, VENDOR
from packsight.shared.matching.candidates import NO_PHOTO, IntArray, Leave, Query, frequencies


@dataclass(frozen=True, slots=True)
class Gathered:
    """Evidence for all candidates.

    products: [candidates]; matrix: [candidates, CLEAR]; nearest: number of each one's nearest photo or NO_PHOTO;
    explained: [words, candidates] rarity times similarity of the best term of the candidate that the word stands
    for, and by: that alternative's number (-1: none); rarity: [alternatives] of the terms read.
    entry_…: one row per candidate and word of it: which candidate, which term, how surely it is to be seen, its
    rarity, was it read (0 to 1), is it part of the feed's name.
    """

    products: IntArray
    matrix: Matrix
    nearest: IntArray
    explained: Matrix
    by: IntArray
    rarity: Matrix
    entry_candidate: IntArray
    entry_term: IntArray
    entry_expected: Matrix
    entry_rarity: Matrix
    entry_read: Matrix
    entry_named: npt.NDArray[np.bool_]


def gather(query: Query, products: IntArray, snapshot: Snapshot, leave: Leave | None = None) -> Gathered:
    """Collect the evidence for each candidate; `products` in rising order."""
    count = len(products)
    looks, nearest = _looks(query, products, snapshot, leave)
    reading, words = query.reading, snapshot.words
    positions, candidate = words.products.rows(products)
    term = np.asarray(words.products.values[positions], np.int64)
    seen = np.asarray(words.seen[positions], np.float64)
    marks = np.asarray(words.marks[positions])
    photos = np.asarray(words.photo_count[products], np.float64)[candidate]
    if leave is not None and not leave.whole:
        own = products[candidate] == leave.product
        seen = seen - (own & np.isin(term, words.photos.row(leave.photo)))
        photos = photos - own
        kept = ~(own & np.isin(term, leave.gone))
        candidate, term, seen, marks, photos = candidate[kept], term[kept], seen[kept], marks[kept], photos[kept]
    expected = (seen + NAME_WEIGHT * (marks & NAMED)) / (photos + PRIOR_PHOTOS)
    term_rarity = words.rarity(frequencies(term, snapshot, leave))
    rarity = words.rarity(frequencies(reading.term, snapshot, leave))

    # has[alternative, candidate]: does the candidate have the alternative's term?
    terms, inverse = np.unique(reading.term, return_inverse=True)
    has = np.zeros((len(terms), count), bool)
    place = np.searchsorted(terms, term)
    read_here = np.zeros(len(term), bool)
    if len(terms):
        read_here = terms[np.minimum(place, len(terms) - 1)] == term
        has[place[read_here], candidate[read_here]] = True
    has = has[inverse]
    value = (reading.weight * rarity)[:, None] * has
    explained, by = _best_per_word(value, reading.word, len(reading.texts))
    confidence = reading.confidence
    known = _best_per_word((reading.weight * rarity)[:, None], reading.word, len(reading.texts))[0][:, 0]
    mass, total = confidence @ explained, float(confidence @ known)

    seen_terms = np.zeros(len(terms))
    np.maximum.at(seen_terms, inverse, reading.weight * confidence[reading.word])
    entry_read = np.zeros(len(term))
    entry_read[read_here] = seen_terms[place[read_here]]
    share = mass / total if total > 0 else np.zeros(count)
    most = np.log(len(snapshot.products) + 1)
    unit = mass / most

    def read_of(part: npt.NDArray[np.bool_]) -> Matrix:
        return _ratio(candidate[part], entry_read[part] * term_rarity[part], term_rarity[part], count)

    strength = reading.weight * confidence[reading.word] * rarity / most
    of_brand = words.vendor_terms[reading.term]
    of_name = words.vocabulary.named[reading.term] & ~of_brand
    rival_brand = (strength * of_brand)[:, None] * ~has
    rival_name = (strength * of_name)[:, None] * (explained[reading.word] <= 0)
    name = read_of((marks & (NAMED | VENDOR)) == NAMED)
    wordy = confidence * [len(key) >= 4 and not is_number(key) for key in reading.keys]
    unknown = float(wordy @ (known <= 0)) / max(float(wordy.sum()), 1.0)
    sure = np.maximum(2 * expected - 1, 0) * (1 - entry_read) * term_rarity
    missing = np.bincount(candidate, sure, count) / most
    columns = {
        "present": np.ones(count),
        "looks": looks,
        "looks_lead": lead(looks),
        "word_share": share,
        "word_mass": unit / (unit + 1),
        "word_lead": lead(share),
        "coverage": _ratio(candidate, entry_read * expected * term_rarity, expected * term_rarity, count),
        "name": name,
        "rival_name": (1 - name) * rival_name.max(axis=0, initial=0.0),
        "brand": read_of((marks & VENDOR) > 0),
        "rival_brand": rival_brand.max(axis=0, initial=0.0),
        "unknown_words": np.full(count, unknown),
        "replaced_words": np.minimum(np.minimum(missing, wordy @ (explained <= 0)) / 2, 1),
    }
    return Gathered(
        products, np.stack([columns[name] for name in CLEAR], axis=1), nearest, explained, by, rarity,
        candidate, term, expected, term_rarity, entry_read, (marks & NAMED) > 0,
    )  # fmt: skip


def lead(values: Matrix) -> Matrix:
    """Each value less the greatest of the others; 0 when there are no others."""
    if len(values) < 2:
        return np.zeros(len(values))
    second, first = np.sort(values)[-2:].tolist()
    return np.asarray(values - np.where(values == first, second, first), np.float64)


def _looks(query: Query, products: IntArray, snapshot: Snapshot, leave: Leave | None) -> tuple[Matrix, IntArray]:
    starts = np.asarray(snapshot.photo_starts[products])
    lengths = np.asarray(snapshot.photo_starts[products + 1]) - starts
    owner = np.repeat(np.arange(len(products)), lengths)
    photos = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + starts[owner]
    if leave is not None:
        kept = photos != leave.photo
        owner, photos = owner[kept], photos[kept]
    similarity = np.asarray(snapshot.vectors[photos], np.float64) @ query.vector.astype(np.float64)
    order = np.lexsort((photos, -similarity, owner))
    owners, first = np.unique(owner[order], return_index=True)
    looks, nearest = np.zeros(len(products)), np.full(len(products), NO_PHOTO, np.int64)
    looks[owners], nearest[owners] = similarity[order][first], photos[order][first]
    return looks, nearest


def _best_per_word(value: Matrix, word: IntArray, count: int) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Maximum over the alternatives of each word, with the alternative's number, from [alternatives, candidates]."""
    best = np.zeros((count, value.shape[1]))
    by = np.full((count, value.shape[1]), -1, np.int64)
    for number in range(len(word)):
        better = value[number] > best[word[number]]
        best[word[number], better] = value[number, better]
        by[word[number], better] = number
    return best, by


def _ratio(group: IntArray, part: Matrix, whole: Matrix, count: int) -> Matrix:
    """Sum of parts ÷ sum of wholes per group; 0 where there is nothing."""
    total = np.bincount(group, whole, count)
    result: Matrix = np.bincount(group, part, count) / np.maximum(total, 1e-9)
    return result
