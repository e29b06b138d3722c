"""What speaks for and against each candidate, as numbers between -1 and 1.

EvidenceParameters (packsight.shared.parameters) has the numbers in capitals.

- bias: 1 for every candidate; its weight says how much evidence "none of them" outweighs.
- appearance: cosine to the product's nearest photo after projection; appearance_lead: that less the best of the others'.
- word_share: rarity of the words read that the product explains ÷ rarity of all words read that the catalog knows;
  word_mass: the same, absolute, in words that only one product has, saturated as m / (m + MASS_HALF);
  word_lead: the same share of all words read and UNREAD_WORDS more, less the best of the others': one number of a price tag, read
  alone, is no lead.
- unread: exp(-m), m being the mass of the words read that the catalog knows and the product does not explain: 1 on a photo on
  which nothing else was read, whose silence says little;
- coverage: rarity of the product's words that were read ÷ rarity of those expected, each by how surely it is to be
  seen.
- name: rarity of the words of the feed's name beyond the brand's that were read ÷ rarity of all of them: a photo too small for
  the small print still shows the name, and of names that share its words the one without others is meant;
  rival_name: how clearly a word of other products' names was read that this one does not explain.
- brand: the same of the brand's words; rival_brand: how clearly a brand was read that is not the product's.
- unknown_words: of the words of WORD_LETTERS and more that the product explains or the catalog has nowhere, the share of these;
  replaced_words: m / REPLACED_FULL, at most 1, m being the smaller of the words surely to be seen that were not read and the
  words read that are not the product's: another product of its line has other words where its own should stand.

Among the few candidates that are laid over the photo (close.py):
- distinctive_words: words read that the candidate has and its rivals lack;
- distinctive_missing: words of the candidate's name in the feed and not on its rivals that were not read; distinctive_unseen:
  the same of words that only its photos show, which may be too small to be read on another;
- contradicted: other words stand where its photo has its own (contradiction.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import begins, found_in
from packsight.shared.catalog.decision_model import Matrix
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import FuzzyMatches
from packsight.shared.catalog.words.normalise import is_number
from packsight.shared.catalog.words.word_notes import NAMED, VENDOR
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.exclusion import NO_PHOTO, Exclusion, IntArray
from packsight.shared.matching.shared_words import frequencies
from packsight.shared.parameters import CloseParameters

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Appearance:
    """Per candidate, the cosine to its nearest photo (0 without one) and that photo's number (NO_PHOTO without one)."""

    cosine: Matrix
    nearest: IntArray


@dataclass(frozen=True, slots=True)
class ExpectedWords:
    """Words that the candidates have, one row per candidate and word of it.

    candidate: row of the candidate; term; expected: how surely it is to be seen, 0 to 1; rarity in nats; named: is it part
    of the feed's name, vendor: of the brand's.
    """

    candidate: IntArray
    term: IntArray
    expected: Matrix
    rarity: Matrix
    named: BoolArray
    vendor: BoolArray


@dataclass(frozen=True, slots=True)
class ExplainedWords:
    """Words read, as far as the candidates explain them.

    rarity: [alternatives] of the terms that they may stand for. has: [alternatives, candidates] does the candidate have
    the term? value: [words, candidates] rarity times similarity of the candidate's best term for the word. known: [words] the
    same of the catalog's best term. read: [rows of ExpectedWords] was the word read, 0 to 1.
    """

    rarity: Matrix
    has: BoolArray
    value: Matrix
    known: Matrix
    read: Matrix


@dataclass(frozen=True, slots=True)
class Compared:
    """Candidates, in rising order of their number, with what their looks and words were compared by.

    columns: evidence by name, [candidates] each. read: what the words of the photo may stand for.
    """

    products: IntArray
    columns: dict[str, Matrix]
    read: FuzzyMatches
    appearance: Appearance
    expected: ExpectedWords
    explained: ExplainedWords

    def matrix(self, names: tuple[str, ...]) -> Matrix:
        """Evidence [candidates, names]; 0 for what was not looked at."""
        nothing = np.zeros(len(self.products))
        return np.stack([self.columns.get(name, nothing) for name in names], axis=1)


def compare(query: Query, products: IntArray, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Compared:
    """Compare a photo's looks and words with candidates; `products` in rising order."""
    appearance = compare_appearance(query, products, snapshot, exclusion)
    expected = expected_words(products, snapshot, exclusion)
    explained = explain_words(query.words, expected, len(products), snapshot, exclusion)
    columns = {
        "bias": np.ones(len(products)),
        "appearance": appearance.cosine,
        "appearance_lead": lead(appearance.cosine),
        **_of_words_expected(expected, explained, len(products)),
    }
    compared = Compared(products, columns, query.words, appearance, expected, explained)
    return confined(compared, np.ones((len(query.words.keys), len(products)), np.bool_), snapshot)


def read_as(compared: Compared, read: FuzzyMatches, snapshot: Snapshot, exclusion: Exclusion | None = None) -> Compared:
    """The same comparison by words that may stand for others; to be confined again."""
    if read is compared.read:
        return compared
    explained = explain_words(read, compared.expected, len(compared.products), snapshot, exclusion)
    columns = compared.columns | _of_words_expected(compared.expected, explained, len(compared.products))
    return replace(compared, columns=columns, read=read, explained=explained)


def confined(compared: Compared, inside: BoolArray, snapshot: Snapshot) -> Compared:
    """The same comparison, in which words speak against those candidates only that they may stand on: [words, candidates]."""
    read, expected, explained = compared.read, compared.expected, compared.explained
    wordy = clear_words(read, snapshot)
    columns = {
        **_of_words_read(read, wordy, explained, inside, snapshot),
        **_of_rivals(read, explained, inside, snapshot),
        "replaced_words": _replaced(wordy, expected, explained, inside, snapshot),
    }
    return replace(compared, columns=compared.columns | columns)


def distinctive_words(compared: Compared, rows: IntArray, parameters: CloseParameters) -> dict[str, Matrix]:
    """Words read, of names missed and of photos unseen that set a few candidates apart, by how few of them have each.

    rows: of the candidates, rising.
    """
    count, expected = len(rows), compared.expected
    of_them = np.flatnonzero(np.isin(expected.candidate, rows))
    candidate = np.searchsorted(rows, expected.candidate[of_them])
    _, term, having = np.unique(expected.term[of_them], return_inverse=True, return_counts=True)
    # Squared, since a word that name and every photo agree on tells more than several that one photo seemed to show.
    weight = np.log(count / having[term]) / np.log(max(count, 2)) * expected.expected[of_them] ** 2
    read, named = compared.explained.read[of_them], expected.named[of_them]
    told, missed, unseen = (
        np.bincount(candidate, weight * part, count) for part in (read, (1 - read) * named, (1 - read) * ~named)
    )
    total, half = told.sum(), parameters.missing_half
    return {
        "distinctive_words": told / (total + parameters.distinctive_half),
        "distinctive_missing": missed / (missed + half),
        "distinctive_unseen": unseen / (unseen + half),
    }


def most_distinctive(compared: Compared, row: int, parameters: CloseParameters) -> float:
    """What `distinctive_words` of a candidate may be at most, whatever its rivals have."""
    own, expected = compared.expected.candidate == row, compared.expected.expected
    told = float(compared.explained.read[own] @ expected[own] ** 2)
    return told / (told + parameters.distinctive_half)


def compare_appearance(
    query: Query, products: IntArray, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> Appearance:
    """Compare the query's looks with those of all photos of the candidates: what comes closest counts."""
    starts = np.asarray(snapshot.photo_starts[products])
    lengths = np.asarray(snapshot.photo_starts[products + 1]) - starts
    owner = np.repeat(np.arange(len(products)), lengths)
    photos = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + starts[owner]
    if exclusion is not None:
        kept = photos != exclusion.photo
        owner, photos = owner[kept], photos[kept]
    cosines = np.asarray(snapshot.vectors[photos], np.float64) @ query.vectors.T.astype(np.float64)
    similarity = cosines.max(axis=1) if len(query.vectors) else np.zeros(len(photos))
    order = np.lexsort((photos, -similarity, owner))
    owners, first = np.unique(owner[order], return_index=True)
    cosine, nearest = np.zeros(len(products)), np.full(len(products), NO_PHOTO, np.int64)
    cosine[owners], nearest[owners] = similarity[order][first], photos[order][first]
    return Appearance(cosine, nearest)


def expected_words(products: IntArray, snapshot: Snapshot, exclusion: Exclusion | None = None) -> ExpectedWords:
    """Words of each candidate, without what is left out, and how surely each is to be seen on a photo of it."""
    words = snapshot.words
    positions, candidate = words.products.rows(products)
    term = np.asarray(words.products.values[positions], np.int64)
    seen = np.asarray(words.photo_frequency[positions], np.float64)
    flags = np.asarray(words.flags[positions])
    photos = np.asarray(words.photo_count[products], np.float64)[candidate]
    if exclusion is not None and not exclusion.whole_product:
        own = products[candidate] == exclusion.product
        seen = seen - (own & np.isin(term, words.photos.row(exclusion.photo)))
        photos = photos - own
        kept = ~(own & np.isin(term, exclusion.dropped_terms))
        candidate, term, seen, flags, photos = candidate[kept], term[kept], seen[kept], flags[kept], photos[kept]
    named = (flags & NAMED) > 0
    return ExpectedWords(
        candidate=candidate,
        term=term,
        expected=words.expected(seen, photos, named),
        rarity=words.rarity(frequencies(term, snapshot, exclusion)),
        named=named,
        vendor=(flags & VENDOR) > 0,
    )


def explain_words(
    read: FuzzyMatches, expected: ExpectedWords, candidates: int, snapshot: Snapshot, exclusion: Exclusion | None = None
) -> ExplainedWords:
    """Lay the words read against those that the candidates have."""
    rarity = snapshot.words.rarity(frequencies(read.term, snapshot, exclusion))
    terms, inverse = np.unique(read.term, return_inverse=True)
    read_here, own = found_in(expected.term, terms)
    had = np.zeros((len(terms), candidates), bool)
    had[own, expected.candidate[read_here]] = True
    worth = read.weight * rarity
    # Most of what a word may be misread for is none of the candidates'.
    some = np.flatnonzero(np.any(had, axis=1)[inverse])
    value = _best_per_word(worth[some, None] * had[inverse[some]], read.word[some], len(read.texts))
    known = np.zeros(len(read.texts))
    np.maximum.at(known, read.word, worth)
    surest = np.zeros(len(terms))
    np.maximum.at(surest, inverse, read.weight * read.confidence[read.word])
    was_read = np.zeros(len(expected.term))
    was_read[read_here] = surest[own]
    return ExplainedWords(rarity=rarity, has=had[inverse], value=value, known=known, read=was_read)


def _of_words_read(
    read: FuzzyMatches, wordy: Matrix, explained: ExplainedWords, inside: BoolArray, snapshot: Snapshot
) -> dict[str, Matrix]:
    """How much of what was read each candidate explains, and how much nobody does."""
    mass = read.confidence @ explained.value
    total = (read.confidence * explained.known) @ (inside | (explained.value > 0))
    share = np.divide(mass, total, out=np.zeros(len(mass)), where=total > 0)
    unit = mass / _rarest(snapshot)
    foreign = (wordy * (explained.known <= 0)) @ inside
    unknown = foreign / np.maximum(foreign + wordy @ (explained.value > 0), 1.0)
    unread = np.exp(-np.maximum(total - mass, 0.0) / _rarest(snapshot))
    return {
        "word_share": share,
        "word_mass": unit / (unit + snapshot.parameters.evidence.mass_half),
        "word_lead": lead(mass / (total + _rarest(snapshot) * snapshot.parameters.evidence.unread_words)),
        "unknown_words": unknown,
        "unread": unread,
    }


def _of_words_expected(expected: ExpectedWords, explained: ExplainedWords, candidates: int) -> dict[str, Matrix]:
    """How much of what stands on each candidate was read: of all its words, of its name, of its brand."""

    def read_of(part: BoolArray) -> Matrix:
        rarity = expected.rarity[part]
        return _ratio(expected.candidate[part], explained.read[part] * rarity, rarity, candidates)

    due = expected.expected * expected.rarity
    return {
        "coverage": _ratio(expected.candidate, explained.read * expected.expected * expected.rarity, due, candidates),
        "name": read_of(expected.named & ~expected.vendor),
        "brand": read_of(expected.vendor),
    }


def _of_rivals(
    read: FuzzyMatches, explained: ExplainedWords, inside: BoolArray, snapshot: Snapshot
) -> dict[str, Matrix]:
    """How clearly a name or a brand was read that is not the candidate's."""
    words = snapshot.words
    strength = read.weight * read.confidence[read.word] * explained.rarity / _rarest(snapshot)
    of_brand = words.vendor_terms[read.term]
    brands = np.flatnonzero(of_brand)
    names = np.flatnonzero(words.vocabulary.named[read.term] & ~of_brand)
    brand = strength[brands, None] * (~explained.has[brands] & inside[read.word[brands]])
    name = strength[names, None] * ((explained.value <= 0) & inside)[read.word[names]]
    return {"rival_brand": brand.max(axis=0, initial=0.0), "rival_name": name.max(axis=0, initial=0.0)}


def _replaced(
    wordy: Matrix, expected: ExpectedWords, explained: ExplainedWords, inside: BoolArray, snapshot: Snapshot
) -> Matrix:
    """How many words that are surely to be seen were not read where others were that are not the candidate's."""
    parameters, candidates = snapshot.parameters.evidence, explained.value.shape[1]
    sure = np.maximum((expected.expected - parameters.surely_seen) / (1 - parameters.surely_seen), 0)
    sure = sure * (1 - explained.read) * expected.rarity
    missing = np.bincount(expected.candidate, sure, candidates) / _rarest(snapshot)
    foreign = wordy @ ((explained.value <= 0) & inside)
    result: Matrix = np.minimum(np.minimum(missing, foreign) / parameters.replaced_full, 1)
    return result


def _rarest(snapshot: Snapshot) -> float:
    """Rarity of a word that only one product has, roughly: the unit in which rarities become numbers around 1."""
    return float(np.log(len(snapshot.products) + 1))


def clear_words(read: FuzzyMatches, snapshot: Snapshot) -> Matrix:
    """Confidence of each word read that is long enough to be a word, and no number; else 0."""
    result: Matrix = read.confidence * [is_clear(key, snapshot) for key in read.keys]
    return result


def is_clear(key: str, snapshot: Snapshot) -> bool:
    """Whether a word's key is long enough to be a word, and no number."""
    return len(key) >= snapshot.parameters.evidence.word_letters and not is_number(key)


def lead(values: Matrix) -> Matrix:
    """Each value less the greatest of the others; 0 when there are no others."""
    if len(values) < 2:
        return np.zeros(len(values))
    second, first = np.sort(values)[-2:].tolist()
    return np.asarray(values - np.where(values == first, second, first), np.float64)


def _best_per_word(value: Matrix, word: IntArray, count: int) -> Matrix:
    """Maximum over the alternatives of each word, 0 where it has none, from [alternatives, candidates].

    value: 0 or more; word: [alternatives] in rising order.
    """
    best = np.zeros((count, value.shape[1]))
    if len(word):
        starts = np.flatnonzero(begins(word))
        best[word[starts]] = np.maximum.reduceat(value, starts, axis=0)
    return best


def _ratio(group: IntArray, part: Matrix, whole: Matrix, count: int) -> Matrix:
    """Sum of parts ÷ sum of wholes per group; 0 where there is nothing."""
    total = np.bincount(group, whole, count)
    result: Matrix = np.bincount(group, part, count) / np.maximum(total, 1e-9)
    return result
