"""What a long run says of itself: memory, the broker's keys, and which of them never end."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from bench.soak import without_end, wrong
from packsight.shared.queue import keys
from packsight.shared.settings import Settings

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


def test_keys_without_a_time_to_live_are_found_beside_those_that_may_last(live_settings: Settings) -> None:
    url = live_settings.result_url.get_secret_value()
    with redis.Redis.from_url(url) as client:
        client.zadd(keys.JOBS, {"job": 1})
        client.hset(keys.DEAD_LETTERS, "id", "letter")
        client.lpush("packsight.recognize", "message")
        client.set(keys.task_result("kept"), "result", ex=60)
        assert without_end(url) == set()
        client.set(keys.task_result("for-ever"), "result")
    assert without_end(url) == {keys.task_result("for-ever")}
