"""Batches of freshly drawn lines, by as many processes as there are cores.

No line is seen twice, and no activations are kept: a new line teaches more than a second look at an old one, and of a line the
activations take 180 kB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from training.alphabet.alphabets import UNKNOWN, Alphabet
from training.alphabet.faces import Face
from training.alphabet.lines import HEIGHT, Drawer, Finish, Line
from training.alphabet.texts import Words

WIDTHS = (64, 96, 128, 160, 192, 256, 320, 400, 512, 640, 800)
"""To which strips are padded: the worker's own (`StripParameters.widths`)."""
GREY = 128
BATCH_PIXELS = 192 * 320
"""Width of a batch's strips together."""

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Pixels uint8 [n, 48, w, 3], labels one after the other, and how many each line has."""


class Symbols:
    """Numbers of the characters of an alphabet; 0 is CTC's blank."""

    def __init__(self, alphabet: Alphabet) -> None:
        self.characters = alphabet.characters
        self._numbers = {character: number for number, character in enumerate(self.characters, 1)}
        self._unknown = self._numbers[UNKNOWN]

    def __len__(self) -> int:
        return len(self.characters) + 1

    def encode(self, text: str) -> list[int]:
        """Numbers of a text; what the alphabet lacks counts as unknown."""
        return [self._numbers.get(character, self._unknown) for character in text]

    def decode(self, numbers: Sequence[int]) -> str:
        """Text of a path: repeats merged, blanks dropped."""
        kept = [number for number, before in zip(numbers, [0, *numbers[:-1]], strict=True) if number and number != before]
        return "".join(self.characters[number - 1] for number in kept)


class FreshLines(IterableDataset[Batch]):  # type: ignore[misc]
    """An endless stream of batches, each of strips of one width."""

    def __init__(
        self,
        words: Words,
        faces: Sequence[Face],
        symbols: Symbols,
        seed: int,
        *,
        clean_share: float = 0.1,
        batch_pixels: int = BATCH_PIXELS,
    ) -> None:
        self._words, self._faces, self._symbols, self._seed = words, faces, symbols, seed
        self._clean_share, self._batch_pixels = clean_share, batch_pixels

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        seed = self._seed * 1000 + (worker.id if worker else 0)
        degraded, clean = Drawer(self._words, self._faces, seed), Drawer(self._words, self._faces, seed + 500, Finish.CLEAN)
        choice = np.random.default_rng(seed)
        waiting: dict[int, list[Line]] = {width: [] for width in WIDTHS}
        while True:
            line = (clean if choice.random() < self._clean_share else degraded).line()
            width = next(width for width in WIDTHS if width >= line.pixels.shape[1])
            waiting[width].append(line)
            if len(waiting[width]) * width >= self._batch_pixels:
                yield collate(waiting[width], width, self._symbols)
                waiting[width] = []


def collate(lines: Sequence[Line], width: int, symbols: Symbols) -> Batch:
    """Put strips of at most `width` pixels into one array, padded with grey on the right."""
    pixels = np.full((len(lines), HEIGHT, width, 3), GREY, np.uint8)
    for row, line in zip(pixels, lines, strict=True):
        row[:, : line.pixels.shape[1]] = line.pixels
    encoded = [symbols.encode(line.text) for line in lines]
    return (
        torch.from_numpy(pixels),
        torch.tensor([number for numbers in encoded for number in numbers]),
        torch.tensor([len(numbers) for numbers in encoded]),
    )


def stream(lines: FreshLines, processes: int) -> Iterator[Batch]:
    """Batches in no fixed order of the processes that draw them."""
    if not processes:
        return iter(lines)
    return iter(DataLoader(lines, batch_size=None, num_workers=processes, prefetch_factor=8))
