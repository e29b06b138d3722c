"""All words of a catalog, found by their exact key or by a misread one, without a scan.

Misreadings are found by symmetric deletion (W. Garbe, SymSpell, 2012): two words within edit distance d share a
string that either yields by deleting at most d letters. Only the first letters of a word are used for deletions,
which keeps the table small. The table is two sorted arrays (hash of the string, number of the term); equal hashes of
unequal strings only cost a comparison, since every find is checked. Terms are numbered by falling frequency, so that
a bound on the finds per string drops the rarest.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rapidfuzz.distance import DamerauLevenshtein

from packsight.shared.catalog.arrays import open_array
from packsight.shared.catalog.words.normalise import is_number
from packsight.shared.parameters import WORDS, WordParameters

_CACHED_WORDS = 8192
"""Words whose matches are kept, some 2 MB: the words of a shop are read again and again."""


class Match(NamedTuple):
    """A term of the vocabulary that a word may be a reading of."""

    term: int
    similarity: float


def allowed_edits(key: str, parameters: WordParameters = WORDS) -> int:
    """Misread letters that still make it this word: none in a number, else by its length."""
    if is_number(key) or len(key) < parameters.one_edit_from:
        return 0
    return 1 if len(key) < parameters.two_edits_from else 2


@dataclass(frozen=True, slots=True)
class HashTable:
    """Terms by the hash of a string: two arrays sorted by hash, then term."""

    hashes: npt.NDArray[np.uint32]
    terms: npt.NDArray[np.int32]

    def find(self, strings: Sequence[str], most: int) -> list[tuple[int, int]]:
        """Pairs (number of the string, term that may have it), at most so many per string."""
        wanted = np.array([_hash(string) for string in strings], np.uint32)
        low = np.searchsorted(self.hashes, wanted, "left")
        high = np.minimum(np.searchsorted(self.hashes, wanted, "right"), low + most)
        hits = np.flatnonzero(high > low).tolist()
        return [(i, term) for i in hits for term in self.terms[low[i] : high[i]].tolist()]

    @classmethod
    def build(cls, pairs: Sequence[tuple[str, int]]) -> HashTable:
        """Sort (string, term) pairs."""
        table = np.array([(_hash(string), term) for string, term in pairs], np.int64).reshape(-1, 2)
        table = table[np.lexsort((table[:, 1], table[:, 0]))]
        return cls(table[:, 0].astype(np.uint32), table[:, 1].astype(np.int32))

    def save(self, folder: Path, name: str) -> None:
        """Write `<name>.hashes.npy` and `<name>.terms.npy`."""
        np.save(folder / f"{name}.hashes.npy", self.hashes)
        np.save(folder / f"{name}.terms.npy", self.terms)

    @classmethod
    def open(cls, folder: Path, name: str) -> HashTable:
        """Memory-map what `save` wrote."""
        return cls(open_array(folder / f"{name}.hashes.npy"), open_array(folder / f"{name}.terms.npy"))


class Vocabulary:
    """Terms by number. Keys and spellings are memory-mapped Arrow columns; safe for several threads.

    parameters: those by which its table of deletions was made, and by which words are looked up in it.
    """

    def __init__(self, table: pa.Table, exact: HashTable, deletions: HashTable, parameters: WordParameters) -> None:
        self.parameters = parameters
        self._keys = table["key"].combine_chunks()
        self._texts = table["text"].combine_chunks()
        self._named = table["named"].combine_chunks()
        # Not by to_numpy, which loads pandas into every child.
        data = self._named.buffers()[1] or b""
        self.named: npt.NDArray[np.bool_] = np.frombuffer(data, np.bool_, len(self._named), self._named.offset)
        """Per term, does it stand in any product's name in the feed? Others were only read on photos."""
        self._exact = exact
        self._deletions = deletions
        self._kept: dict[str, tuple[Match, ...]] = {}
        self._keeping = Lock()

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, term: int) -> str:
        """The form by which a term is compared."""
        return str(self._keys[term].as_py())

    def text(self, term: int) -> str:
        """The form in which a term is shown."""
        return str(self._texts[term].as_py())

    def exact(self, keys: Sequence[str]) -> list[int]:
        """Number of each key's term, -1 where there is none."""
        found = [-1] * len(keys)
        for index, term in self._exact.find(keys, self.parameters.max_finds):
            if self.key(term) == keys[index]:
                found[index] = term
        return found

    def matches(self, keys: Sequence[str]) -> list[tuple[Match, ...]]:
        """Terms that each key may be a reading of, most similar first; similarity is 1 - edits / longer length."""
        answers = {key: self._kept.get(key) for key in keys}
        new = [key for key, answer in answers.items() if answer is None]
        if new:
            fresh = dict(zip(new, self._look_up(new), strict=True))
            answers.update(fresh)
            self._keep(fresh)
        return [answer for key in keys if (answer := answers[key]) is not None]

    def _keep(self, fresh: dict[str, tuple[Match, ...]]) -> None:
        with self._keeping:  # photos are read and decided about in different threads
            if len(self._kept) + len(fresh) > _CACHED_WORDS:
                self._kept.clear()
            self._kept.update(fresh)

    def _look_up(self, keys: Sequence[str]) -> list[tuple[Match, ...]]:
        rules = self.parameters
        found: list[dict[int, float]] = [{} if term < 0 else {term: 1.0} for term in self.exact(keys)]
        strings = [(index, string) for index, key in enumerate(keys) for string in deletions(key, rules)]
        hits = self._deletions.find([string for _, string in strings], rules.max_finds)
        for index, term in {(strings[position][0], term) for position, term in hits}:
            key, other = keys[index], self.key(term)
            edits = min(allowed_edits(key, rules), allowed_edits(other, rules))
            if is_number(key) or is_number(other):
                edits = int(key.replace(".", "") == other.replace(".", ""))
            distance = DamerauLevenshtein.distance(key, other, score_cutoff=edits)
            if distance <= edits:
                found[index][term] = 1.0 - distance / max(len(key), len(other))
        return [
            tuple(sorted((Match(*item) for item in terms.items()), key=lambda match: (-match.similarity, match.term)))
            for terms in found
        ]

    @classmethod
    def build(
        cls, keys: Sequence[str], texts: Sequence[str], named: Set[str], parameters: WordParameters = WORDS
    ) -> Vocabulary:
        """Make the vocabulary of distinct keys; `named` are those of the feed's names."""
        columns = pa.table({
            "key": pa.array(keys, pa.string()), "text": pa.array(texts, pa.string()),
            "named": pa.array([int(key in named) for key in keys], pa.uint8()),
        })  # fmt: skip
        misread = [(string, term) for term, key in enumerate(keys) for string in deletions(key, parameters)]
        exact = HashTable.build(list(zip(keys, range(len(keys)), strict=True)))
        return cls(columns, exact, HashTable.build(misread), parameters)

    def save(self, folder: Path) -> None:
        """Write `terms.arrow`, `exact.*.npy` and `deletions.*.npy`."""
        table = pa.table({"key": self._keys, "text": self._texts, "named": self._named})
        with pa.OSFile(str(folder / "terms.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self._exact.save(folder, "exact")
        self._deletions.save(folder, "deletions")

    @classmethod
    def open(cls, folder: Path, parameters: WordParameters = WORDS) -> Vocabulary:
        """Memory-map what `save` wrote, having been built by the same parameters."""
        table = pa.ipc.open_file(pa.memory_map(str(folder / "terms.arrow"))).read_all()
        return cls(table, HashTable.open(folder, "exact"), HashTable.open(folder, "deletions"), parameters)


@lru_cache(maxsize=4096)
def deletions(key: str, parameters: WordParameters = WORDS) -> tuple[str, ...]:
    """Strings by which a word is found when misread: its first letters, also with up to `allowed_edits` left out.

    A number is found by its digits, since readers lose the point: 2.5% and 25%. Short words are not found at all.
    """
    if is_number(key):
        return (key.replace(".", ""),)
    edits = allowed_edits(key, parameters)
    if not edits:
        return ()
    prefix = key[: parameters.prefix]
    strings = {prefix: None}
    for count in range(1, edits + 1):
        for kept in combinations(prefix, len(prefix) - count):
            strings.setdefault("".join(kept))
    return tuple(strings)


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())
