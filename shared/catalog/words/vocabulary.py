"""All words of a catalog, found by their exact key, by a misread one or by another case of theirs, without a scan.

Misreadings are found by symmetric deletion (W. Garbe, SymSpell, 2012): two words within edit distance d share a
string that either yields by deleting at most d letters. Only the first letters of a word are used for deletions,
which keeps the table small. The table is two sorted arrays (hash of the string, number of the term); equal hashes of
unequal strings only cost a comparison, since every find is checked. Terms are numbered by falling frequency, so that
a bound on the finds per string drops the rarest. Words in another case are found by their stems, which most of them share
with too many letters between them to be misreadings: docs/decisions/36-endings.md.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise
from pathlib import Path
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rapidfuzz.distance import DamerauLevenshtein
from rapidfuzz.process import cpdist

from packsight.shared.catalog.arrays import IntArray, begins, open_array, spans
from packsight.shared.catalog.arrow_files import mapped
from packsight.shared.catalog.words.normalise import is_number
from packsight.shared.catalog.words.stems import stem
from packsight.shared.parameters import WORDS, WordParameters

_CACHED_WORDS = 8192
"""Words whose matches are kept, some 2 MB: the words of a shop are read again and again."""
_CACHED_KEYS = 32_768
"""Keys of which it is kept whether they are terms, some 4 MB: parts of words are asked for with each line that is read."""


class Matches(NamedTuple):
    """Terms of the vocabulary that a word may be a reading of, most similar first, and how similar each is, 0 to 1."""

    terms: IntArray
    similarity: npt.NDArray[np.float64]


class Likely(NamedTuple):
    """Numbers of keys, beside each a term that it may mean, and how similar they are."""

    key: IntArray
    term: IntArray
    similarity: npt.NDArray[np.float64]


_Value = TypeVar("_Value")


class _Answers(Generic[_Value]):
    """Answers by key, at most so many; safe for several threads, since photos are read and decided about in different ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, _Value] = {}
        self._keeping = Lock()

    def of(self, keys: Sequence[str], find: Callable[[Sequence[str]], Sequence[_Value]]) -> list[_Value]:
        """The answer for each key; `find` is asked for those that are not known, each once."""
        known = self._kept  # stays as it is when another thread begins anew
        answers = {key: known[key] for key in keys if key in known}
        new = [key for key in dict.fromkeys(keys) if key not in answers]
        if new:
            fresh = dict(zip(new, find(new), strict=True))
            answers |= fresh
            with self._keeping:
                if len(self._kept) + len(fresh) > self._most:
                    self._kept = {}
                self._kept.update(fresh)
        return [answers[key] for key in keys]

    def forget(self) -> None:
        """Begin anew."""
        self._kept = {}


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

    def find(self, strings: Sequence[str], most: int) -> tuple[IntArray, IntArray]:
        """Numbers of strings and, beside them, terms that may have them: at most so many per string, in its order."""
        wanted = np.array([_hash(string) for string in strings], np.uint32)
        order = np.argsort(wanted)  # each search begins where the last one ended, in memory that is at hand
        low, high = np.empty(len(wanted), np.int64), np.empty(len(wanted), np.int64)
        low[order] = np.searchsorted(self.hashes, wanted[order], "left")
        high[order] = np.searchsorted(self.hashes, wanted[order], "right")
        high = np.minimum(high, low + most)
        positions, string = spans(low, high)
        return string, np.asarray(self.terms[positions], np.int64)

    @classmethod
    def build(cls, strings: Iterable[Sequence[str]]) -> HashTable:
        """Hash the strings of each term."""
        hashes, counts = array("I"), array("i")
        for some in strings:
            hashes.extend(map(_hash, some))
            counts.append(len(some))
        terms = np.repeat(np.arange(len(counts), dtype=np.uint64), np.asarray(counts, np.int64))
        table = np.asarray(hashes, np.uint64) << np.uint64(32) | terms
        table.sort()
        return cls((table >> np.uint64(32)).astype(np.uint32), table.astype(np.uint32).astype(np.int32))

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

    def __init__(
        self, table: pa.Table, exact: HashTable, deletions: HashTable, stems: HashTable, parameters: WordParameters
    ) -> None:
        self.parameters = parameters
        self._keys, self._texts, self._named = (_mapped(table[name]) for name in ("key", "text", "named"))
        # Not by to_numpy, which loads pandas into every child.
        data = self._named.buffers()[1] or b""
        self.named: npt.NDArray[np.bool_] = np.frombuffer(data, np.bool_, len(self._named), self._named.offset)
        """Per term, does it stand in any product's name in the feed? Others were only read on photos."""
        self._exact = exact
        self._deletions = deletions
        self._stems = stems
        self._matches = _Answers[Matches](_CACHED_WORDS)
        self._terms = _Answers[int](_CACHED_KEYS)

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
        return self._terms.of(keys, self._find)

    def matches(self, keys: Sequence[str]) -> list[Matches]:
        """Terms that each key may be a reading of, or another case of, most similar first.

        Similarity is 1 - edits / longer length.
        """
        return self._matches.of(keys, self._look_up)

    def forget(self) -> None:
        """Drop what is kept of words that were looked up, as if none had been."""
        self._matches.forget()
        self._terms.forget()

    def _find(self, keys: Sequence[str]) -> list[int]:
        found = [-1] * len(keys)
        indices, terms = self._exact.find(keys, self.parameters.max_finds)
        for index, term, key in zip(indices.tolist(), terms.tolist(), self._keys_of(terms), strict=True):
            if key == keys[index]:
                found[index] = term
        return found

    def _keys_of(self, terms: IntArray) -> list[str]:
        terms = np.ascontiguousarray(terms, np.int64)
        # Not by pa.array, which loads pandas, where it is installed, to look whether this is of it.
        numbers = pa.Array.from_buffers(pa.int64(), len(terms), [None, pa.py_buffer(terms)])
        keys: list[str] = self._keys.take(numbers).to_pylist()
        return keys

    def _look_up(self, keys: Sequence[str]) -> list[Matches]:
        roots = [stem(key) for key in keys]
        known = np.array(self.exact([*keys, *roots]), np.int64)
        exact, whole = known[: len(keys)], known[len(keys) :]
        key, term, similarity = _once(self._misread(keys), self._inflected(keys, roots, np.where(whole == exact, -1, whole)))
        other, same = np.flatnonzero(term != exact[key]), np.flatnonzero(exact >= 0)
        key, term = np.append(key[other], same), np.append(term[other], exact[same])
        similarity = np.append(similarity[other], np.ones(len(same)))
        order = np.lexsort((term, -similarity, key))
        key, term, similarity = key[order], term[order], similarity[order]
        bounds = np.searchsorted(key, np.arange(len(keys) + 1)).tolist()
        return [Matches(term[start:end], similarity[start:end]) for start, end in pairwise(bounds)]

    def _misread(self, keys: Sequence[str]) -> Likely:
        """What each key may be a misreading of."""
        rules = self.parameters
        strings = [(index, string) for index, key in enumerate(keys) for string in deletions(key, rules)]
        position, term = self._deletions.find([string for _, string in strings], rules.max_finds)
        owner = np.array([index for index, _ in strings], np.int64)
        pairs = np.sort(owner[position] * max(len(self), 1) + term)
        index, term = np.divmod(pairs[begins(pairs)], max(len(self), 1))
        if not len(index):
            return Likely(index, term, np.zeros(0))
        mine, others = [keys[one] for one in index.tolist()], self._keys_of(term)
        mine_long = np.fromiter(map(len, keys), np.int64, len(keys))[index]
        other_long = np.fromiter(map(len, others), np.int64, len(others))
        # In the bulk by length alone; the few that pass may be numbers.
        shorter = np.minimum(mine_long, other_long)
        edits = np.where(shorter < rules.one_edit_from, 0, np.where(shorter < rules.two_edits_from, 1, 2))
        number = np.array([is_number(key) for key in keys])[index]
        edits[number] = 1
        distance = cpdist(mine, others, scorer=DamerauLevenshtein.distance, score_cutoff=2)
        kept = np.array([
            at for at in np.flatnonzero(distance <= edits).tolist()
            if not (number[at] or is_number(others[at])) or int(distance[at]) <= _lost_points(mine[at], others[at])
        ], np.int64)  # fmt: skip
        longer = np.maximum(mine_long[kept], other_long[kept])
        return Likely(index[kept], term[kept], 1.0 - distance[kept] / longer)

    def _inflected(self, keys: Sequence[str], stems: Sequence[str], whole: IntArray) -> Likely:
        """The same of words with the same stem; whole: the term that is a stem itself, -1 where none is but the key."""
        index, term = self._stems.find(stems, self.parameters.max_finds)
        bare = np.flatnonzero(whole >= 0)
        index, term = np.append(index, bare), np.append(term, whole[bare])
        if not len(index):
            return Likely(index, term, np.zeros(0))
        others = self._keys_of(term)
        kept = [at for at, one in enumerate(index.tolist()) if stem(others[at]) == stems[one]]
        mine, others = [keys[one] for one in index[kept].tolist()], [others[at] for at in kept]
        similarity = cpdist(mine, others, scorer=DamerauLevenshtein.normalized_similarity) if kept else np.zeros(0)
        return Likely(index[kept], term[kept], np.asarray(similarity, np.float64))

    @classmethod
    def build(
        cls, keys: Sequence[str], texts: Sequence[str], named: Set[str], parameters: WordParameters = WORDS
    ) -> Vocabulary:
        """Make the vocabulary of distinct keys; `named` are those of the feed's names."""
        columns = pa.table({
            "key": pa.array(keys, pa.string()), "text": pa.array(texts, pa.string()),
            "named": pa.array([int(key in named) for key in keys], pa.uint8()),
        })  # fmt: skip
        exact = HashTable.build((key,) for key in keys)
        misread = HashTable.build(deletions(key, parameters) for key in keys)
        stems = ((key, stem(key)) for key in keys)
        return cls(columns, exact, misread, HashTable.build((root,) if root != key else () for key, root in stems), parameters)

    def save(self, folder: Path) -> None:
        """Write `terms.arrow`, `exact.*.npy`, `deletions.*.npy` and `stems.*.npy`."""
        table = pa.table({"key": self._keys, "text": self._texts, "named": self._named})
        with pa.OSFile(str(folder / "terms.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self._exact.save(folder, "exact")
        self._deletions.save(folder, "deletions")
        self._stems.save(folder, "stems")

    @classmethod
    def open(cls, folder: Path, parameters: WordParameters = WORDS) -> Vocabulary:
        """Memory-map what `save` wrote, having been built by the same parameters."""
        table = mapped(folder / "terms.arrow")
        # Versions of earlier releases have no stems; nobody answers from them, but people look at them.
        stems = HashTable.open(folder, "stems") if (folder / "stems.hashes.npy").exists() else HashTable.build(())
        return cls(table, HashTable.open(folder, "exact"), HashTable.open(folder, "deletions"), stems, parameters)


def _mapped(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array, where it lies: to combine one chunk would copy it into each process."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


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


def _once(misread: Likely, inflected: Likely) -> Likely:
    """Both together, each pair of key and term once; a pair is as similar in one as in the other."""
    if not len(inflected.key):
        return misread
    key, term, similarity = (np.concatenate(columns) for columns in zip(misread, inflected, strict=True))
    order = np.lexsort((term, key))
    first = order[begins(key[order]) | begins(term[order])]
    return Likely(key[first], term[first], similarity[first])


def _lost_points(key: str, other: str) -> int:
    """Misread characters that still make one number the other: the point, which readers lose."""
    return int(key.replace(".", "") == other.replace(".", ""))


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())
