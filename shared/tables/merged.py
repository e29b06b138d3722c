"""Merged cells: what stands in one stands in each row that it spans, and in a header above each column."""

from __future__ import annotations

from collections.abc import Sequence


class _Covered(str):
    __slots__ = ()


COVERED = _Covered()
"""An empty cell that one to the left spans, told from others by being this very object."""


def spread(header: Sequence[str]) -> list[str]:
    """A header in which each column that a merged cell spans has its name."""
    names: list[str] = []
    for cell in header:
        names.append(names[-1] if cell is COVERED and names else cell)
    return names
