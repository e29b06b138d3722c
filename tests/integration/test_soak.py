"""Keys that never end are found in a real broker."""

from __future__ import annotations

import redis

from bench.soak import without_end
from packsight.shared.queue import keys
from packsight.shared.settings import Settings


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
