"""Words read on a product's own photos: misreadings of names are taken for the names.

Otherwise the way in which a spotter misreads a logo would be a rare word that only the products photographed so have, and
would speak against the other products of its brand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from rapidfuzz.distance import DamerauLevenshtein

from packsight.shared.catalog.words.fuzzy_matches import GAP
from packsight.shared.catalog.words.normalise import Token, is_number, tokens
from packsight.shared.catalog.words.vocabulary import Vocabulary

OWN_LETTERS, OWN_SIMILARITY = 6, 0.7
"""Letters from which a word of a product's name is recognised in a misreading on the product's own photo, and how
alike they must be: more is forgiven here than on a query, since the product is known."""

Parted = Mapping[tuple[str, str], Token]


def own_words(line: Sequence[Token], names: Sequence[Token], listed: Mapping[str, str], parted: Parted) -> list[Token]:
    """Words of a line with misreadings of the product's name, also in two parts, and parted names put right.

    Two words of the name that were read without the gap are those two. names: words of the product in the feed, in order;
    listed: spelling by key of all words in the feed, which are no misreadings.
    """
    run_together = {one.key + two.key: (one, two) for one, two in pairwise(names)}
    long = [name for name in names if len(name.key) >= OWN_LETTERS and not is_number(name.key)]
    odd = [token.key not in listed and not is_number(token.key) for token in line]
    result = [_own(token.key, long) or token if strange else token for token, strange in zip(line, odd, strict=True)]
    for place, (one, two) in enumerate(pairwise(line)):
        if odd[place] and odd[place + 1]:
            name = _own(one.key + two.key, long) or parted.get((one.key, two.key))
            if name is not None:
                result[place] = result[place + 1] = name
    return [
        name
        for token, word, strange in zip(line, result, odd, strict=True)
        for name in (run_together.get(token.key, (word,)) if strange else (word,))
    ]


def parted_names(lines: Iterable[str], listed: Mapping[str, str]) -> Parted:
    """Listed words that were read as two unlisted ones with a mark between, by those two: SHL/EIDO, of any product."""
    pairs = {
        (one.key, two.key)
        for line in lines
        for chunk in line.split()
        for one, two in pairwise(tokens(chunk))
        if not any(key in listed or is_number(key) for key in (one.key, two.key))
    }
    if not pairs:
        return {}
    ordered = sorted(pairs)
    vocabulary = Vocabulary.build(list(listed), list(listed.values()), listed.keys())
    near = vocabulary.near([one + GAP + two for one, two in ordered])
    return {
        pair: Token(vocabulary.key(found[0].term), vocabulary.text(found[0].term))
        for pair, found in zip(ordered, near, strict=True)
        if found
    }


def _own(key: str, names: Sequence[Token]) -> Token | None:
    """The name that a key is most like, if any is like enough."""
    best, name = OWN_SIMILARITY, None
    for one in names:
        similarity = DamerauLevenshtein.normalized_similarity(key, one.key, score_cutoff=best)
        if similarity >= best:
            best, name = similarity, one
    return name
