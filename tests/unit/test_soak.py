"""What a long run says of itself: memory, the broker's keys, and which of them never end."""

from __future__ import annotations

from typing import Any

import pytest

from bench.soak import wrong

GOOD: dict[str, Any] = {
    "resident_mb_most": 560.0,
    "growth_mb_per_1000": 0.4,
    "broker": [{"other_keys": count} for count in (12, 40, 41, 43)],
    "keys_without_end": [],
}


def test_a_flat_run_is_good() -> None:
    assert wrong(GOOD) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resident_mb_most": 720.0}, "720 MB"),
        ({"growth_mb_per_1000": 1.2}, "grew by 1.20 MB"),
        ({"broker": [{"other_keys": count} for count in (12, 40, 60, 80)]}, "from 60 to 80"),
        ({"keys_without_end": ["packsight:deliveries:7"]}, "packsight:deliveries:7"),
    ],
)
def test_what_grows_is_said(change: dict[str, Any], said: str) -> None:
    (sentence,) = wrong({**GOOD, **change})
    assert said in sentence
