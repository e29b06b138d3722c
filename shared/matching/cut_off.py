"""Words of which the beginning or the end was not read: print that runs around a bottle, under a finger, into a reflection.

What is left of a word is in no dictionary: `ange` may be the end of `orange` or of `mélange`. Of the few candidates that lie
over the photo each says what stands there, and where it begins and ends. So a part is told from a word by itself: of `orange`
its end is read where that stands, while `apple`, of a product that is not listed, begins and ends elsewhere than in `pineapple`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import FuzzyMatches
from packsight.shared.catalog.words.normalise import is_number, tokens
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.close import Laid
from packsight.shared.matching.contradiction import line_corners, same_place
from packsight.shared.matching.evidence import BoolArray, Compared
from packsight.shared.matching.exclusion import IntArray

Corners = npt.NDArray[np.float64]


class _Part(NamedTuple):
    """A word read that may be what is left of a term: the number of the word, and of the term's letters the share that it has,
    the last ones or the first.
    """

    word: int
    term: int
    share: float
    is_end: bool


def with_cut_off_words(
    compared: Compared, query: Query, rows: IntArray, laid: Sequence[Laid], inside: BoolArray, snapshot: Snapshot
) -> FuzzyMatches:
    """Words read, of which those that a candidate does not explain may also stand for words of its that begin or end so, in
    their place, as surely as of so many of their letters.

    rows: of a few candidates; laid: how each lies; inside: [words, candidates] which words may stand on which.
    """
    read = compared.read
    meant = {
        (part.word, part.term): part.share
        for row, one in zip(rows.tolist(), laid, strict=True)
        for part in _in_place(list(_parts(compared, row, inside[:, row], snapshot)), query, one, snapshot)
    }
    if not meant:
        return read
    words, terms = zip(*meant, strict=True)
    word, term = np.append(read.word, words), np.append(read.term, terms)
    order = np.lexsort((term, word))
    return replace(read, word=word[order], term=term[order], weight=np.append(read.weight, [*meant.values()])[order])


def _parts(compared: Compared, row: int, inside: BoolArray, snapshot: Snapshot) -> Iterator[_Part]:
    """Words read inside of a candidate that it does not explain, as ends or beginnings of words of its, by their letters."""
    rules, read, vocabulary = snapshot.parameters.cut_off, compared.read, snapshot.words.vocabulary
    loose = inside & (compared.explained.value[:, row] <= 0)
    loose[read.word[vocabulary.named[read.term]]] = False  # what is in some product's name is a word by itself
    keys = {word: read.keys[word] for word in np.flatnonzero(loose).tolist()}
    keys = {word: key for word, key in keys.items() if len(key) >= rules.letters and not is_number(key)}
    for term in compared.expected.term[compared.expected.candidate == row].tolist() if keys else ():
        whole = vocabulary.key(term)
        for word, key in keys.items():
            if rules.share * len(whole) <= len(key) < len(whole):
                for is_end, fits in ((True, whole.endswith(key)), (False, whole.startswith(key))):
                    if fits:
                        yield _Part(word, term, len(key) / len(whole), is_end)


def _in_place(parts: Sequence[_Part], query: Query, laid: Laid, snapshot: Snapshot) -> Iterator[_Part]:
    """Those that stand where a candidate's photo has that part of the term."""
    if not parts or laid.match.homography is None or not len(corners := snapshot.lines.corners(laid.photo)):
        return
    size, boxes = query.frame[2:], line_corners(query)
    over = cv2.perspectiveTransform(corners.reshape(1, -1, 2), laid.match.homography).reshape(-1, 4, 2)
    together = same_place(np.asarray(over, np.float64), boxes)
    line, term, _ = snapshot.lines.words(laid.photo)
    for part in parts:
        for number in line[term == part.term].tolist():
            first, last = _place(part.term, term[line == number].tolist(), snapshot)
            length = part.share * (last - first)
            for at in query.words.lines[part.word]:
                if together[number, at] and _is_outermost(part, query, at):
                    begins, ends = _stretch(over[number] * size, boxes[at] * size)
                    off = begins - (last - length) if part.is_end else ends - (first + length)
                    if abs(off) <= snapshot.parameters.cut_off.off:
                        yield part


def _is_outermost(part: _Part, query: Query, line: int) -> bool:
    """Whether nothing was read of a line before what has lost its beginning, or behind what has lost its end."""
    read = [token.key for token in tokens(query.lines[line].text)]
    return read[:1] == [query.words.keys[part.word]] if part.is_end else read[-1:] == [query.words.keys[part.word]]


def _place(term: int, terms: Sequence[int], snapshot: Snapshot) -> tuple[float, float]:
    """Where a term begins and ends among those of its line, as shares of their letters."""
    letters = [len(snapshot.words.vocabulary.key(one)) for one in terms]
    before = sum(letters[: terms.index(term)])
    return before / sum(letters), (before + letters[terms.index(term)]) / sum(letters)


def _stretch(line: Corners, other: Corners) -> tuple[float, float]:
    """Where another line begins and ends along a line, as shares of it; both by corners [4, 2] from the text's top left on."""
    (start, end), (first, last) = (((one[0] + one[3]) / 2, (one[1] + one[2]) / 2) for one in (line, other))
    along = (end - start) / max(float((end - start) @ (end - start)), 1e-12)
    return float((first - start) @ along), float((last - start) @ along)
