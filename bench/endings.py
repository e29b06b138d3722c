"""`python -m bench.endings`: a word of a feed in another case on the pack: which rule finds it, and what else it takes for it.

Names are nouns and adjectives of Debian's hunspell-ru in their first form, each asked about in one of its other forms; forms of
words that are not among them are asked about as well. Compared are misreadings alone, stems alone, and both as the vocabulary
has them.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rapidfuzz.distance import DamerauLevenshtein
from rich.console import Console
from rich.table import Table

from bench import entry
from packsight.shared.catalog.words.normalise import tokens
from packsight.shared.catalog.words.stems import stem
from packsight.shared.catalog.words.vocabulary import Vocabulary, allowed_edits
from training.alphabet.dictionaries import FOLDER, read

ABSENT = 3000
"""Words that are asked about though they are no names."""
_LETTERS = frozenset("абвгдеёжзийклмнопрстуфхцчшщъыьэюя")
_NO_NAME = re.compile("(ть|ся|ти|чь|щий|вший|мый|нный)$")
"""Verbs and participles."""


def main(
    dictionary: Annotated[Path, typer.Option(help="A hunspell dictionary with its .aff beside it.")] = FOLDER / "ru_RU.dic",
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 1,
) -> None:
    """Print a table for catalogs of three sizes."""
    forms = dict(inflected(dictionary))
    table = Table("names", "rule", "found", "other names taken for it, per word", "words that are no name, taken for one")
    for size in (500, 5000, 20_000):
        for rule, found, others, taken in trial(forms, size, random.Random(seed)):
            table.add_row(f"{size:,}", rule, f"{found:.3f}", f"{others:.3f}", f"{taken:.3f}")
    Console().print(table)


def inflected(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Words and all their forms, by the rules of suffixes in a dictionary."""
    dictionary = read(file, _LETTERS, longest=14)
    for word, flags in dictionary.words:
        if len(word) < 4 or _NO_NAME.search(word):
            continue
        endings = [ending for flag in flags for ending in dictionary.endings.get(flag, ())]
        found = {word} | {
            word.removesuffix(ending.strip) + ending.add for ending in endings
            if word.endswith(ending.strip) and ending.fits.search(word)
        }  # fmt: skip
        if 5 <= len(found) <= 30:
            yield word, sorted(found)


def trial(forms: dict[str, list[str]], size: int, random_: random.Random) -> Iterator[tuple[str, float, float, float]]:
    """For each rule: share of names found, other names found per word, share of other words taken for a name."""
    words = sorted(forms)
    random_.shuffle(words)
    named = {key_of(word): word for word in words[:size]}
    keys = list(named)
    vocabulary = Vocabulary.build(keys, keys, set(keys))
    meant = defaultdict(set)  # words that a form may be of, which are no mistake
    for word in words[:size]:
        for form in forms[word]:
            meant[key_of(form)].add(word)
    asked = [(key, random_.choice(other)) for key in keys if (other := [f for f in forms[named[key]] if key_of(f) != key])]
    strange = [key_of(random_.choice(forms[word])) for word in words[size : size + ABSENT]]
    strange = [key for key in strange if key not in meant]
    found, others, taken = Counter[str](), Counter[str](), Counter[str]()
    forms_asked = [key_of(form) for _, form in asked]
    for (key, _), form, terms in zip(asked, forms_asked, _terms(vocabulary, forms_asked), strict=True):
        for rule, some in by_rule(form, terms).items():
            found[rule] += key in some
            others[rule] += len([one for one in some if one != key and named[one] not in meant[form]])
    for form, terms in zip(strange, _terms(vocabulary, strange), strict=True):
        for rule, some in by_rule(form, terms).items():
            taken[rule] += bool(some)
    for rule in found:
        yield rule, found[rule] / len(asked), others[rule] / len(asked), taken[rule] / len(strange)


def by_rule(form: str, terms: list[str]) -> dict[str, list[str]]:
    """Terms that a form was taken for, by the rule that takes it so."""
    misread = [
        term for term in terms
        if DamerauLevenshtein.distance(form, term) <= allowed_edits(min(form, term, key=len))
    ]  # fmt: skip
    return {"misread": misread, "stem": [term for term in terms if stem(term) == stem(form)], "both": terms}


def key_of(word: str) -> str:
    """The key by which a word is compared."""
    return tokens(word)[0].key


def _terms(vocabulary: Vocabulary, keys: list[str]) -> list[list[str]]:
    return [[vocabulary.key(term) for term in found.terms.tolist()] for found in vocabulary.matches(keys)]


if __name__ == "__main__":
    entry.run(main)
