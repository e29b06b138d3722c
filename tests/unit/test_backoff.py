"""A producer in the middle of a job waits for a broker that comes back, and gives up on one that does not."""

from collections.abc import Callable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from packsight.producer.backoff import RetryPolicy


def failing(times: int, error: Exception) -> tuple[list[int], Callable[[], str]]:
    calls: list[int] = []

    def call() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "answer"

    return calls, call


def test_an_outage_shorter_than_the_policy_goes_unnoticed() -> None:
    calls, call = failing(3, RedisConnectionError("away"))
    assert RetryPolicy(60, pause=0)(call) == "answer"
    assert len(calls) == 4


def test_a_longer_outage_raises_its_own_error() -> None:
    calls, call = failing(3, RedisConnectionError("away"))
    with pytest.raises(RedisConnectionError):
        RetryPolicy(0)(call)
    assert len(calls) == 1


def test_other_errors_are_not_waited_out() -> None:
    calls, call = failing(1, ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        RetryPolicy(60)(call)
    assert len(calls) == 1
