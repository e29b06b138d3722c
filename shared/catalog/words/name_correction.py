"""Words read on a product's own photos: misreadings of names are taken for the names.

Otherwise the way in which a spotter misreads a logo would be a rare word that only the products photographed so have, and
would speak against the other products of its brand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from unicodedata import is_normalized

from rapidfuzz.distance import DamerauLevenshtein

from packsight.shared.catalog.words.fuzzy_matches import GAP
from packsight.shared.catalog.words.normalise import Token, is_number, tokens
from packsight.shared.catalog.words.vocabulary import Vocabulary
from packsight.shared.parameters import WORDS, WordParameters

SplitNames = Mapping[tuple[str, str], Token]
"""Words of names by the two that they were read as."""


def corrected(
    line: Sequence[Token],
    names: Sequence[Token],
    listed: Mapping[str, str],
    split: SplitNames,
    parameters: WordParameters = WORDS,
) -> list[Token]:
    """Words of a line with misreadings of the product's name, also in two parts, and split names put right.

    Two words of the name that were read without the gap are those two. names: words of the product in the feed, in order;
    listed: spelling by key of all words in the feed, which are no misreadings.
    """
    run_together = {one.key + two.key: (one, two) for one, two in pairwise(names)}
    long = [name for name in names if len(name.key) >= parameters.correct_from and not is_number(name.key)]
    least = parameters.correct_similarity
    odd = [token.key not in listed and not is_number(token.key) for token in line]
    result = [_most_like(token.key, long, least) or token if strange else token for token, strange in zip(line, odd, strict=True)]
    for place, (one, two) in enumerate(pairwise(line)):
        if odd[place] and odd[place + 1]:
            name = _most_like(one.key + two.key, long, least) or split.get((one.key, two.key))
            if name is not None:
                result[place] = result[place + 1] = name
    return [
        name
        for token, word, strange in zip(line, result, odd, strict=True)
        for name in (run_together.get(token.key, (word,)) if strange else (word,))
    ]


def parted(text: str, listed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Keys of two unlisted words of a line with nothing but a mark between: SHL/EIDO."""
    for chunk in text.split():
        if chunk.isalpha() and is_normalized("NFKC", chunk):  # then it is one word
            continue
        for one, two in pairwise(tokens(chunk)):
            if not any(key in listed or is_number(key) for key in (one.key, two.key)):
                yield one.key, two.key


def split_names(
    pairs: Iterable[tuple[str, str]], listed: Mapping[str, str], parameters: WordParameters = WORDS
) -> SplitNames:
    """Listed words that were read, on photos of any product, as two unlisted ones with a mark between, by those two."""
    ordered = sorted(set(pairs))
    if not ordered:
        return {}
    vocabulary = Vocabulary.build(list(listed), list(listed.values()), listed.keys(), parameters)
    matches = vocabulary.matches([one + GAP + two for one, two in ordered])
    return {
        pair: Token(vocabulary.key(int(found.terms[0])), vocabulary.text(int(found.terms[0])))
        for pair, found in zip(ordered, matches, strict=True)
        if len(found.terms)
    }


def _most_like(key: str, names: Sequence[Token], least: float) -> Token | None:
    """The name that a key is most similar to, if any is so similar at least."""
    best, name = least, None
    for one in names:
        similarity = DamerauLevenshtein.normalized_similarity(key, one.key, score_cutoff=best)
        if similarity >= best:
            best, name = similarity, one
    return name
