"""The tail of the binomial distribution, beside the sum that it is."""

from __future__ import annotations

from math import comb

import pytest

from packsight.indexer.binomial import tail


@pytest.mark.parametrize(("successes", "trials", "rate"), [(0, 5, 0.2), (1, 5, 0.2), (3, 9, 0.5), (9, 9, 0.5), (4, 200, 0.02)])
def test_it_is_the_sum_over_so_many_successes_and_more(successes: int, trials: int, rate: float) -> None:
    terms = [comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(successes, trials + 1)]
    assert tail(successes, trials, rate) == pytest.approx(sum(terms))


def test_between_whole_counts_it_falls_from_one_to_the_next() -> None:
    found = [tail(k / 4, 9, 0.3) for k in range(37)]
    assert found == sorted(found, reverse=True)
