"""What every embedder is asked before photos depend on it: whether its numbers can tell photos apart at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from packsight.shared.contract.errors import UserError
from packsight.shared.vision.features import FloatArray
from packsight.worker.networks.base import Embedder, Image

E = TypeVar("E", bound=Embedder)


@dataclass(frozen=True)
class TrialParameters:
    """They refuse what is broken, not what is poor: a network with random weights passes."""

    rounding: float = 0.01
    """Most that half precision, in which features are kept, may change a vector, as a share of its length: that of numbers from
    6e-5 to 65,504 changes by 0.0005."""
    apart: float = 1e-3
    """Least distance of two pictures' vectors of length 1; what the same picture gives twice differs by less."""


TRIAL = TrialParameters()


def tried(embedder: E, parameters: TrialParameters = TRIAL) -> E:
    """Return the embedder, having looked with it at drawn pictures.

    Raises UserError when its vectors are no numbers, lost in half precision, the same for all pictures, or others each time.
    """
    name = embedder.description.name
    pictures = list(_pictures(embedder.description.input_size))
    first, *others, again = embedder.embed([*pictures, pictures[0]])
    remedy = "Check its file, and layer, pooling, mean and std in the side-car file."
    for vector in (first, *others):
        with np.errstate(over="ignore"):
            kept = vector.astype(np.float16).astype(np.float32)
        if not _distance(vector, kept) <= parameters.rounding:  # nor where it is no number
            least, most = float(np.abs(vector).min()), float(np.abs(vector).max())
            raise UserError(
                f"The embedder {name} gives numbers from {least:.2g} to {most:.2g} (without sign) that features, kept in "
                f"half precision, cannot hold, or none at all. {remedy}"
            )
    if _distance(first, again) >= parameters.apart:
        raise UserError(f"The embedder {name} gives other numbers each time for the same picture. Export it for inference.")
    directions = [vector / np.linalg.norm(vector) for vector in (first, *others)]
    if all(_distance(directions[0], other) < parameters.apart for other in directions[1:]):
        raise UserError(f"The embedder {name} gives vectors of the same direction for every picture. {remedy}")
    return embedder


def _distance(one: FloatArray, other: FloatArray) -> float:
    """Distance of two vectors as a share of the length of the first; not a number where that has none."""
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(one - other) / np.linalg.norm(one))


def _pictures(size: tuple[int, int]) -> Iterator[Image]:
    """Pictures of a network's size that nothing but their pixels makes alike: plain, shaded, and patches of colours."""
    height, width = size
    drawn = np.random.default_rng(0)
    for cells in (1, 4, 16):
        patches = drawn.integers(0, 256, (cells, cells, 3), np.uint8)
        rows, columns = (np.arange(side) * cells // side for side in (height, width))
        yield patches[rows][:, columns]
