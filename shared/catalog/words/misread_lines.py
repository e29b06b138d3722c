"""Lines in which a name of the product may have been misread, found for a whole catalog in bulk.

Most lines are small print, in which nothing is put right: what name_correction.py looks at word by word is only asked of lines of
which one of its conditions holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import DamerauLevenshtein
from rapidfuzz.process import cpdist

from packsight.shared.catalog.arrays import IntArray, Ragged
from packsight.shared.catalog.words.normalise import is_number
from packsight.shared.parameters import WordParameters

_BLOCK = 32_768
"""Lines looked at together, which bounds the memory."""


class Lines(NamedTuple):
    """Lines of all photos. read: row per line, spellings of its words; photo: [lines]; product: [photos]; key: [spellings]."""

    read: Ragged
    photo: npt.NDArray[np.int32]
    product: npt.NDArray[np.int32]
    key: npt.NDArray[np.int32]


def misread_lines(
    lines: Lines,
    names: Ragged,
    keys: Sequence[str],
    listed: Collection[str],
    split: Collection[tuple[str, str]],
    parameters: WordParameters,
) -> Iterator[int]:
    """Numbers, rising, of all lines that `corrected` may change, and of few others.

    names: row per product, spellings of the words of its name; keys: of all words; listed: keys of the feed; split: as for
    `corrected`.
    """
    count = max(len(keys), 1)
    odd = np.array([key not in listed and not is_number(key) for key in keys], np.bool_)
    name_keys = Ragged(names.starts, lines.key[names.values])
    long = _long(name_keys, keys, parameters)
    number = {key: place for place, key in enumerate(keys)}
    together = np.array(list(_run_together(name_keys, keys, number, count)), np.int64)
    parts = np.array([number[one] * count + number[two] for one, two in split if one in number and two in number], np.int64)
    for start in range(0, len(lines.read), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(lines.read)))
        positions, row = lines.read.rows(rows)
        key = lines.key[lines.read.values[positions]].astype(np.int64)
        product = lines.product[lines.photo[rows]].astype(np.int64)[row]
        found = np.zeros(len(rows), np.bool_)

        one = np.flatnonzero(odd[key])
        words, which = np.unique(product[one] * count + key[one], return_inverse=True)
        like = _like_names([keys[place] for place in (words % count).tolist()], words // count, long, keys, parameters)
        found[row[one[(like | np.isin(words, together))[which]]]] = True

        two = np.flatnonzero(odd[key[:-1]] & odd[key[1:]] & (row[:-1] == row[1:]))
        pairs, pair = np.unique(key[two] * count + key[two + 1], return_inverse=True)
        words, which = np.unique(product[two] * max(len(pairs), 1) + pair, return_inverse=True)
        owner, pair_of = np.divmod(words, max(len(pairs), 1))
        joined = [keys[place // count] + keys[place % count] for place in pairs[pair_of].tolist()]
        like = _like_names(joined, owner, long, keys, parameters)
        found[row[two[(like | np.isin(pairs, parts)[pair_of])[which]]]] = True
        yield from rows[found].tolist()


def _long(names: Ragged, keys: Sequence[str], parameters: WordParameters) -> Ragged:
    """Of each product's name the words that are long enough to be recognised in a misreading."""
    is_long = np.array([len(key) >= parameters.correct_from and not is_number(key) for key in keys], np.bool_)
    kept = is_long[names.values]
    return Ragged(np.append(0, np.cumsum(kept))[names.starts], names.values[kept])


def _run_together(names: Ragged, keys: Sequence[str], number: dict[str, int], count: int) -> Iterator[int]:
    """product * count + key of two neighbouring words of a product's name read without the gap, where anything was read so."""
    for product in range(len(names)):
        for one, two in pairwise(names.row(product).tolist()):
            key = number.get(keys[one] + keys[two])
            if key is not None:
                yield product * count + key


def _like_names(
    words: Sequence[str], products: IntArray, long: Ragged, keys: Sequence[str], parameters: WordParameters
) -> npt.NDArray[np.bool_]:
    """Whether each word is similar to one of the long ones of the name of its product."""
    like = np.zeros(len(words), np.bool_)
    positions, owner = long.rows(products)
    if len(owner):
        mine, names = [words[place] for place in owner.tolist()], [keys[place] for place in long.values[positions].tolist()]
        least = parameters.correct_similarity
        alike = cpdist(mine, names, scorer=DamerauLevenshtein.normalized_similarity, score_cutoff=least, dtype=np.float64)
        like[owner[alike >= least]] = True
    return like
