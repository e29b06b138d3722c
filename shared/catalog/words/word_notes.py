"""What is noted of the words of products and photos while a catalog is built: columns of numbers, grouped when all is known.

Texts are kept once, as numbers of spellings; a photo costs four bytes a word and eight a line until then.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import IntArray, Ragged
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.words.misread_lines import Lines, misread_lines
from packsight.shared.catalog.words.name_correction import corrected, parted, split_names
from packsight.shared.catalog.words.normalise import Token, tokens
from packsight.shared.catalog.words.photo_lines import sure_lines
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.parameters import WORDS, WordParameters

NAMED = 1
"""Flag of a word of a product that the feed's name has."""
VENDOR = 2
"""Flag of one that its brand has."""
_BLOCK = 32_768
"""Photos whose words are grouped at a time, which bounds the memory."""


@dataclass(frozen=True, slots=True)
class GroupedWords:
    """Words of all products and photos.

    keys, texts: of each term, terms numbered by falling number of products that have it, each with the spelling that it has most
    often; listed: keys of the feed. products: row per product, its terms in rising order, with the photos that show each and its
    flags beside the values. photos: row per photo, its terms in rising order. lines: row per line, its terms as they stand.
    line_starts: [photos + 1] first line of each.
    """

    keys: list[str]
    texts: list[str]
    listed: frozenset[str]
    products: Ragged
    photo_frequency: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint8]
    photos: Ragged
    lines: Ragged
    line_starts: IntArray


class WordNotes:
    """Notes of the feed's words, and of the photos' as they are added."""

    def __init__(self, products: Sequence[ProductRow], parameters: WordParameters = WORDS) -> None:
        self.parameters = parameters
        self._keys: dict[str, int] = {}
        self._spellings: dict[Token, int] = {}
        self._key_of = array("i")  # of each spelling
        self._named = tuple(array("i") for _ in range(3))  # product, spelling and flags of each word of the feed
        for number, product in enumerate(products):
            for text in (product.name, product.type_prefix, product.model):
                self._name(number, text, NAMED)
            self._name(number, product.vendor, NAMED | VENDOR)
        self._products = len(products)
        self._listed = self._least_spellings()
        self._split: set[tuple[str, str]] = set()
        self._photo_product = array("i")
        self._line_photo, self._line_words = array("i"), array("i")  # photo of each line, and how many words it has
        self._words = array("i")  # spellings, line by line

    def add_photo(self, product: int, words: Sequence[WordRead]) -> None:
        """Note the words of a photo; raises ValueError for one of a product before the last."""
        if self._photo_product and product < self._photo_product[-1]:
            raise ValueError(f"a photo of product {product} after one of {self._photo_product[-1]}: products come in their order")
        number = len(self._photo_product)
        self._photo_product.append(product)
        for line in sure_lines(words, self.parameters.min_confidence):
            found = tokens(line.text)
            self._words.extend(map(self._number_of, found))
            self._line_photo.append(number)
            self._line_words.append(len(found))
            self._split.update(parted(line.text, self._listed))

    def grouped(self) -> GroupedWords:
        """Put misread names right, and group what was noted by product, photo and line."""
        words = self._corrected()
        key_of, count = np.asarray(self._key_of, np.int64), max(len(self._keys), 1)
        line_photo = np.asarray(self._line_photo)
        owner, spelling, flags = (np.asarray(column) for column in self._named)
        times = np.bincount(spelling, minlength=len(key_of))
        of_product, of_photo, frequency, said = _Rows(), _Rows(), array("i"), array("B")
        photo_starts = _starts(np.bincount(np.asarray(self._photo_product), minlength=self._products))
        for first, end in _blocks(photo_starts):
            one, beyond = photo_starts[[first, end]].tolist()
            pairs, last = self._distinct(words, line_photo, one, beyond, key_of, count)
            times += np.bincount(last, minlength=len(key_of))
            photo, key = np.divmod(pairs, count)
            of_photo.add(photo, key, beyond - one)
            # Of every word of a product: how many photos show it, and what the feed says of it.
            product = np.searchsorted(photo_starts[first : end + 1], one + photo, side="right") - 1
            seen, seen_times = np.unique(product * count + key, return_counts=True)
            low, high = np.searchsorted(owner, [first, end]).tolist()
            own = owner[low:high].astype(np.int64) - first
            named, row = np.unique(own * count + key_of[spelling[low:high]], return_inverse=True)
            has = np.union1d(named, seen)
            has_frequency, has_flags = np.zeros(len(has), np.int32), np.zeros(len(has), np.uint8)
            has_frequency[np.searchsorted(has, seen)] = seen_times
            np.bitwise_or.at(has_flags, np.searchsorted(has, named)[row], flags[low:high].astype(np.uint8))
            of_product.add(*np.divmod(has, count), end - first)
            frequency.frombytes(has_frequency.tobytes())
            said.frombytes(has_flags.tobytes())

        keys = list(self._keys)
        having = np.bincount(np.asarray(of_product.values), minlength=count)
        # Not those that were read, but put right wherever they stood.
        order = np.array(sorted(np.flatnonzero(having).tolist(), key=lambda key: (-having[key], keys[key])), np.int64)
        term_of = np.full(count, -1, np.int32)
        term_of[order] = np.arange(len(order))
        photo_frequency, product_flags = np.asarray(frequency), np.asarray(said)
        spellings = self._usual(times)
        return GroupedWords(
            keys=[keys[key] for key in order.tolist()],
            texts=[spellings[key] for key in order.tolist()],
            listed=frozenset(self._listed),
            products=of_product.ragged(term_of, photo_frequency, product_flags),
            photo_frequency=photo_frequency,
            flags=product_flags,
            photos=of_photo.ragged(term_of),
            lines=Ragged(words.starts, term_of[key_of][words.values]),
            line_starts=_starts(np.bincount(line_photo, minlength=len(self._photo_product))),
        )

    def _name(self, product: int, text: str, flags: int) -> None:
        for token in tokens(text):
            for column, value in zip(self._named, (product, self._number_of(token), flags), strict=True):
                column.append(value)

    def _number_of(self, token: Token) -> int:
        number = self._spellings.get(token)
        if number is None:
            number = self._spellings[token] = len(self._spellings)
            self._key_of.append(self._keys.setdefault(token.key, len(self._keys)))
        return number

    def _least_spellings(self) -> dict[str, str]:
        """Spelling by key of all words noted so far, of several the first in the alphabet."""
        least: dict[str, str] = {}
        for key, text in self._spellings:
            least[key] = min(text, least.get(key, text))
        return least

    def _corrected(self) -> Ragged:
        """Spellings of the words of each line, names among them put right."""
        read = Ragged(_starts(np.asarray(self._line_words, np.int64)), np.asarray(self._words, np.int32))
        split = split_names(self._split, self._listed, self.parameters)
        changed = dict(self._changed_lines(read, split))
        if not changed:
            return read
        lengths = np.array(self._line_words)
        lines = np.array(list(changed), np.int64)
        lengths[lines] = [len(words) for words in changed.values()]
        starts = _starts(lengths)
        values = np.empty(int(starts[-1]), np.int32)
        done = taken = 0
        for place, line, end, words in zip(
            starts[lines].tolist(), read.starts[lines].tolist(), read.starts[lines + 1].tolist(), changed.values(), strict=True
        ):
            values[done:place] = read.values[taken:line]
            done, taken = place + len(words), end
            values[place:done] = words
        values[done:] = read.values[taken:]
        return Ragged(starts, values)

    def _changed_lines(self, read: Ragged, split: Mapping[tuple[str, str], Token]) -> Iterator[tuple[int, list[int]]]:
        """Lines in which something was put right."""
        known, names = list(self._spellings), self._names()
        lines = Lines(read, np.asarray(self._line_photo), np.asarray(self._photo_product), np.asarray(self._key_of))
        for line in misread_lines(lines, names, list(self._keys), self._listed, split, self.parameters):
            numbers = read.row(line).tolist()
            own = [known[one] for one in names.row(self._photo_product[self._line_photo[line]]).tolist()]
            own = [Token(name.key, self._listed[name.key]) for name in own]
            right = corrected([known[one] for one in numbers], own, self._listed, split, self.parameters)
            found = [self._number_of(token) for token in right]
            if found != numbers:
                yield line, found

    def _names(self) -> Ragged:
        """A spelling of each word of each product in the feed, each word once, as they come."""
        product, spelling = (np.asarray(column, np.int64) for column in self._named[:2])
        key = np.asarray(self._key_of, np.int64)[spelling]
        _, first = np.unique(product * max(len(self._keys), 1) + key, return_index=True)
        first.sort()
        return Ragged(_starts(np.bincount(product[first], minlength=self._products)), spelling[first].astype(np.int32))

    @staticmethod
    def _distinct(
        words: Ragged, line_photo: npt.NDArray[np.int32], start: int, end: int, key_of: IntArray, count: int
    ) -> tuple[IntArray, IntArray]:
        """Of a block of photos: pairs (photo - start) * count + key, rising, and the last spelling of each."""
        low, high = np.searchsorted(line_photo, [start, end]).tolist()
        first, last = int(words.starts[low]), int(words.starts[high])
        photo = np.repeat(line_photo[low:high].astype(np.int64) - start, np.diff(words.starts[low : high + 1]))
        spelling = np.asarray(words.values[first:last], np.int64)[::-1]
        pairs, at = np.unique(photo[::-1] * count + key_of[spelling], return_index=True)
        return pairs, spelling[at]

    def _usual(self, times: IntArray) -> list[str]:
        """The spelling that each key has most often, of equally frequent ones the first in the alphabet."""
        best: dict[int, tuple[int, str]] = {}
        for (_, text), key, many in zip(self._spellings, self._key_of, times.tolist(), strict=True):
            best[key] = min((-many, text), best.get(key, (1, "")))
        return [best[key][1] for key in range(len(self._keys))]


class _Rows:
    """Keys of rows, as they are added: numbers of four bytes, so that those of a million photos cost little."""

    def __init__(self) -> None:
        self._lengths, self.values = array("i"), array("i")

    def add(self, row: IntArray, key: IntArray, count: int) -> None:
        """Further rows, so many, and the keys of each; row: rising."""
        self._lengths.frombytes(np.bincount(row, minlength=count).astype(np.int32).tobytes())
        self.values.frombytes(key.astype(np.int32).tobytes())

    def ragged(self, term_of: npt.NDArray[np.int32], *beside: npt.NDArray[Any]) -> Ragged:
        """The terms of each row in rising order, in the place of its keys; beside: values of these, moved with them."""
        starts, values = _starts(np.asarray(self._lengths)), np.asarray(self.values)
        for first in range(0, len(starts) - 1, _BLOCK):
            lengths = np.diff(starts[first : first + _BLOCK + 1])
            part = slice(int(starts[first]), int(starts[first + len(lengths)]))
            term = term_of[values[part]]
            order = np.lexsort((term, np.repeat(np.arange(len(lengths)), lengths)))
            values[part] = term[order]
            for column in beside:
                column[part] = column[part][order]
        return Ragged(starts, values)


def _blocks(photo_starts: IntArray) -> Iterator[tuple[int, int]]:
    """First and last + 1 of products that are grouped together: of some _BLOCK photos, and no more of them than that."""
    first, count = 0, len(photo_starts) - 1
    while first < count:
        enough = int(np.searchsorted(photo_starts, photo_starts[first] + _BLOCK))
        end = min(max(enough, first + 1), first + _BLOCK, count)
        yield first, end
        first = end


def _starts(lengths: npt.NDArray[Any]) -> IntArray:
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts
