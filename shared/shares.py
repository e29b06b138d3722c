"""A share with what its number of photos allows to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

Z95 = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Share:
    """k of n with the 95 % interval; value and interval are None when n is 0."""

    k: int
    n: int
    value: float | None = field(init=False)
    interval: tuple[float, float] | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self.k / self.n if self.n else None)
        object.__setattr__(self, "interval", wilson(self.k, self.n) if self.n else None)


def wilson(k: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Score interval of a binomial share (Wilson, Probable inference, JASA 22, 1927); n must be positive."""
    share = k / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
