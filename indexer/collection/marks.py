"""Sets of hashes that may be as large as all photos of all catalogs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class Marks:
    """Hashes in hex by their first 64 bits: eight bytes each.

    Of a million, two agree in these with a probability of 3e-8; then something stays that nobody needs.
    """

    def __init__(self, hashes: Iterable[str] = ()) -> None:
        self._first = np.unique(np.fromiter((_first(one) for one in hashes), np.uint64))

    def __len__(self) -> int:
        return len(self._first)

    def __contains__(self, sha256: str) -> bool:
        first = np.uint64(_first(sha256))
        place = int(np.searchsorted(self._first, first))
        return place < len(self._first) and bool(self._first[place] == first)

    def __or__(self, other: Marks) -> Marks:
        both = Marks()
        both._first = np.union1d(self._first, other._first)
        return both


def _first(sha256: str) -> int:
    return int(sha256[:16], 16)
