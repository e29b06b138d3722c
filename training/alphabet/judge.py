"""Judging a head on lines that it was not trained on: characters wrong, lines read without fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

from training.alphabet.batches import GREY, WIDTHS, Symbols
from training.alphabet.lines import HEIGHT, Line


@dataclass(frozen=True)
class Score:
    """How a set of lines was read."""

    lines: int
    characters_wrong: float
    """Edits needed, over the characters that stand there."""
    characters_wrong_without_case: float
    whole: float
    """Share of lines without a fault, case aside."""


def readings(
    network: Callable[[torch.Tensor], torch.Tensor],
    lines: Sequence[Line],
    symbols: Symbols,
    device: torch.device,
    batch: int = 64,
) -> list[str]:
    """Read lines, in order; network: strips uint8 [n, 48, w, 3] in BGR to logits [n, steps, symbols]."""
    texts = [""] * len(lines)
    for width, places in _by_width(lines):
        for start in range(0, len(places), batch):
            some = places[start : start + batch]
            pixels = np.full((len(some), HEIGHT, width, 3), GREY, np.uint8)
            for row, place in zip(pixels, some, strict=True):
                row[:, : lines[place].pixels.shape[1]] = lines[place].pixels
            with torch.no_grad():
                best = network(torch.from_numpy(pixels).to(device)).argmax(2).cpu().tolist()
            for place, path in zip(some, best, strict=True):
                texts[place] = symbols.decode(path)
    return texts


def score(read: Iterable[str], printed: Iterable[str]) -> Score:
    """Compare what was read with what stands there."""
    pairs = list(zip(read, printed, strict=True))
    length = sum(len(text) for _, text in pairs)
    folded = [Levenshtein.distance(one.casefold(), text.casefold()) for one, text in pairs]
    exact = sum(Levenshtein.distance(one, text) for one, text in pairs)
    return Score(len(pairs), exact / length, sum(folded) / length, sum(not wrong for wrong in folded) / len(pairs))


def _by_width(lines: Sequence[Line]) -> Iterator[tuple[int, list[int]]]:
    for low, width in zip((0, *WIDTHS), WIDTHS, strict=False):
        places = [place for place, line in enumerate(lines) if low < line.pixels.shape[1] <= width]
        if places:
            yield width, places
