"""The tail of the binomial distribution."""

from __future__ import annotations


def tail(successes: float, trials: float, rate: float) -> float:
    """How likely so many successes or more are in so many trials at this rate, 0 to 1; both counts may be sums of weights.

    I_rate(successes, trials - successes + 1), the regularised incomplete beta function (Abramowitz & Stegun, 26.5.24).
    """
    if successes <= 0:
        return 1.0
    from scipy.special import betainc  # noqa: PLC0415 - takes half a second that commands have no use for which build nothing

    return float(betainc(successes, trials - successes + 1, rate))
