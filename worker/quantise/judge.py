"""Whether a network in int8 may take the place of the one that it was made from: what is measured, what is allowed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.words.normalise import tokens
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.vision.features import FloatArray

MIN_SPEEDUP = 1.05
"""Less is within what a machine gives or takes by itself, and not worth describing the catalog again."""
MAX_LOST_PHOTOS = 0.01
"""Share of photos answered rightly before that may be lost on balance; one photo always may."""
MAX_LOST_WORDS = 0.02
"""What agreement with the words read in float32 may lose: as much as a photo's words change when it is saved again."""
_ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Measure:
    """A share that is the better the higher, before and after, over `count` things; `allowed` is what it may lose."""

    name: str
    before: float
    after: float
    count: int
    allowed: float

    @property
    def held(self) -> bool:
        """Whether it lost no more than is allowed; one thing of all is always allowed, since that may be chance."""
        return bool(self.before - self.after <= max(self.allowed, 1 / max(self.count, 1)) + 1e-9)


def verdict(speedup: float, measures: Sequence[Measure]) -> tuple[bool, str]:
    """Accept a network that is faster and as good; returns the reason too."""
    if lost := [measure for measure in measures if not measure.held]:
        worst = "; ".join(f"{measure.name} fell from {measure.before:.3f} to {measure.after:.3f}" for measure in lost)
        return False, worst
    if speedup < MIN_SPEEDUP:
        return False, f"not faster than before: {speedup:.2f} times, {MIN_SPEEDUP} is the least"
    return True, "faster, and as good within what is allowed"


def speedup(before: Callable[[], object], after: Callable[[], object]) -> float:
    """How many times as fast `after` is, run in turns; medians of processor time, which leaves other programs out."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS + 1):
        for run, times in zip((before, after), spent, strict=True):
            started = time.process_time()
            run()
            times.append(time.process_time() - started)
    # The first round builds what the later ones find.
    first, second = (float(np.median(times[1:])) for times in spent)
    return first / max(second, 1e-9)


def nearest_right(looks: FloatArray, products: npt.NDArray[np.int64], asked: npt.NDArray[np.int64]) -> float:
    """Share of the photos `asked` whose nearest other photo shows the same product.

    looks: raw embeddings [n, dimension]; products: [n]. By the cosine of centred embeddings, each photo left out.
    """
    centred = np.nan_to_num(looks - looks.mean(axis=0))
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    likeness = unit[asked] @ unit.T
    likeness[np.arange(len(asked)), asked] = -np.inf
    return float((products[likeness.argmax(axis=1)] == products[asked]).mean())


def word_agreement(reference: Sequence[Sequence[WordRead]], read: Sequence[Sequence[WordRead]]) -> tuple[float, int]:
    """F1 of the words read against those of the reference, photo by photo, and the number of the reference's words."""
    common = expected = found = 0
    for wanted, got in zip(reference, read, strict=True):
        left, right = (Counter(token.key for line in lines for token in tokens(line.text)) for lines in (wanted, got))
        common += (left & right).total()
        expected += left.total()
        found += right.total()
    return (2 * common / (expected + found) if expected + found else 1.0), expected
