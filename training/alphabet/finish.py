"""The end of a training: when the head is believed, how well it reads, and its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Models
from packsight.shared.storage.files import hash_file
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.spotters.ppocr import head as heads
from packsight.worker.networks.spotters.ppocr.choice import Weights, believed
from packsight.worker.networks.spotters.ppocr.recogniser import Recogniser
from training.alphabet.choosing import KINDS, OneKind, ask, edits, fit, judged
from training.alphabet.export import folded
from training.alphabet.faces import Face
from training.alphabet.judge import score
from training.alphabet.lines import Drawer, Finish, Texts
from training.alphabet.network import Head
from training.alphabet.texts import Words

_NEVER = Weights(bias=0.0, evidence=(0.0,) * 8, least=1.0)


@dataclass(frozen=True)
class Figure:
    """What one kind of lines was read like: shares of characters wrong."""

    kind: str
    lines: int
    bundled: float | None
    """By the bundled head alone."""
    together: float
    """By both, each line by the one that is believed."""
    whole: float | None = None
    """Share of lines without fault, case aside."""


def finish(
    head: Head, recogniser: Path, words: Words, kept: Sequence[Face], held: Sequence[Face], asked: int, lines: int, out: Path
) -> list[Figure]:
    """Write the head's file and return what `judge` finds."""
    alphabet, arrays = words.alphabet, folded(head.eval())

    def about(weights: Weights) -> heads.HeadFile:
        return heads.HeadFile(
            name=alphabet.name,
            recogniser=hash_file(recogniser),
            characters=alphabet.characters,
            letters=alphabet.letters,
            twins=alphabet.twins,
            blocks=len(head.blocks),
            weights=weights,
        )

    heads.save(out, about(_NEVER), arrays)
    loaded = heads.load(out, hash_file(recogniser))
    read = Recogniser(recogniser, Compiler(Models(), 1), head=loaded)
    heads.save(out, about(fit(ask(read, words, kept, asked, 5), loaded.script)), arrays)
    return judge(out, recogniser, words, kept, held, asked, lines)


def judge(
    file: Path, recogniser: Path, words: Words, kept: Sequence[Face], held: Sequence[Face], asked: int, lines: int
) -> list[Figure]:
    """Tell how a head's file reads lines in fonts that are held out.

    Raises as `heads.load`, and UserError for a head of other letters than those of the words.

    lines: drawn of each finish for the head alone; asked: of all scripts, read by both heads.
    """
    head = heads.load(file, hash_file(recogniser))
    if set(head.about.letters) != set(words.alphabet.letters):
        raise UserError(f"{file} reads {head.about.name}, not {words.alphabet.name}. Give its --list, or another --head.")
    read, script, alphabet = Recogniser(recogniser, Compiler(Models(), 1), head=head), head.script, words.alphabet
    weights = head.about.weights
    figures = []
    texts_of: dict[str, Texts] = {"all that labels print": words, "words": OneKind(words, "own")}
    for what, finish_ in product(texts_of, Finish):
        drawer = Drawer(texts_of[what], held, 78, finish_)
        drawn = [drawer.line() for _ in range(lines)]
        texts = []
        for _, other, _ in read.readings(np.ascontiguousarray(line.pixels[:, :, ::-1]) for line in drawn):
            texts.append(script.in_one_script(other.text if other is not None else ""))
        known = set(alphabet.characters)
        printed = ["".join(one if one in known else alphabet.characters[-1] for one in line.text) for line in drawn]
        found = score(texts, printed)
        wrong = found.characters_wrong_without_case
        figures.append(Figure(f"{what}, {finish_}, the head alone", found.lines, None, wrong, found.whole))
    # What the held-out fonts cannot write is judged in the others, on other lines.
    rest = [kind for kind in KINDS if kind in {"greek", "chinese", "japanese"}]
    lines_of = [one for one in ask(read, words, held, asked // 2, 6) if one.kind not in rest]
    lines_of += [one for one in ask(read, words, kept, asked // 2, 7) if one.kind in rest]
    for kind, count, bundled, together, _ in judged(lines_of, script, weights):
        some = [one for one in lines_of if one.kind == kind]
        whole = [not edits(believed(one.bundled, one.other, one.aspect, script, weights).text, one.text, script) for one in some]
        figures.append(Figure(f"{kind}, look-alikes aside", count, bundled, together, sum(whole) / count))
    return figures
