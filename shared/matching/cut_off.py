"""Words of which the beginning or the end was not read: print that runs around a bottle, under a finger, into a reflection.

What is left of a word is in no dictionary: `ange` may be the end of `orange` or of `mélange`. Among the few candidates that lie
over the photo it tells what it tells people: which of them has a word that begins or ends so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import FuzzyMatches
from packsight.shared.catalog.words.normalise import is_number
from packsight.shared.matching.close import Laid
from packsight.shared.matching.evidence import BoolArray, Compared
from packsight.shared.matching.exclusion import IntArray
from packsight.shared.parameters import CutOffParameters


def with_cut_off_words(
    compared: Compared, rows: IntArray, laid: Sequence[Laid], inside: BoolArray, snapshot: Snapshot
) -> FuzzyMatches:
    """Words read, of which those that a candidate does not explain may also stand for words of its that begin or end so, as
    surely as of so many of their letters.

    rows: of a few candidates; laid: how each lies; inside: [words, candidates] which words may stand on which.
    """
    read = compared.read
    meant = {
        (word, term): share
        for row, one in zip(rows.tolist(), laid, strict=True) if one.match.inliers
        for word, term, share in _meant(compared, row, inside[:, row], snapshot)
    }  # fmt: skip
    if not meant:
        return read
    words, terms = zip(*meant, strict=True)
    word, term = np.append(read.word, words), np.append(read.term, terms)
    order = np.lexsort((term, word))
    return replace(read, word=word[order], term=term[order], weight=np.append(read.weight, [*meant.values()])[order])


def _meant(compared: Compared, row: int, inside: BoolArray, snapshot: Snapshot) -> Iterator[tuple[int, int, float]]:
    """Words that a candidate does not explain, the terms of its that they may be a part of, and how much of them."""
    rules, read = snapshot.parameters.cut_off, compared.read
    loose = inside & (compared.explained.value[:, row] <= 0)
    # What stands in some product's name is a word by itself.
    loose[read.word[snapshot.words.vocabulary.named[read.term]]] = False
    parts = [
        (word, read.keys[word]) for word in np.flatnonzero(loose).tolist()
        if len(read.keys[word]) >= rules.letters and not is_number(read.keys[word])
    ]  # fmt: skip
    if not parts:
        return
    for term in compared.expected.term[compared.expected.candidate == row].tolist():
        whole = snapshot.words.vocabulary.key(term)
        for word, part in parts:
            if share := _share(part, whole, rules):
                yield word, term, share


def _share(part: str, whole: str, rules: CutOffParameters) -> float:
    """Of the letters of a word, those that are left of it; 0 where it is no end of it, or too little."""
    share = len(part) / len(whole)
    return share if rules.share <= share < 1 and (whole.startswith(part) or whole.endswith(part)) else 0.0
