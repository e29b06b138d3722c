"""Many of anything, some at a time: `itertools.batched`, which Python 3.11 has not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def pieces(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut what comes into pieces of `size`, the last of which may be shorter."""
    rest = iter(values)
    while piece := list(islice(rest, size)):
        yield piece
