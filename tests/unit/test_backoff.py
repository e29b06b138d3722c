"""A producer in the middle of a job waits for a broker that comes back, and gives up on one that does not."""

from collections.abc import Callable
from contextvars import copy_context

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from packsight.producer.backoff import PATIENCE, Backoff, GivenUpError, Patience, RetryPolicy


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


def test_whoever_lost_patience_waits_no_more_and_nobody_else_is_disturbed() -> None:
    patience, context = Patience(), copy_context()
    context.run(PATIENCE.set, patience)
    patience.lose()
    calls, call = failing(1, RedisConnectionError("away"))
    with pytest.raises(GivenUpError):
        context.run(RetryPolicy(3600, pause=3600), call)
    assert len(calls) == 1
    with pytest.raises(GivenUpError):
        context.run(Backoff(shortest=3600, longest=3600).after, progress=True)
    Backoff(shortest=0).after(progress=True)


def test_what_a_call_waits_for_is_told_of_lost_patience_also_when_that_was_before() -> None:
    patience, told = Patience(), list[str]()
    with patience.told(lambda: told.append("outer")), patience.told(lambda: told.append("within")):
        patience.lose()
    with patience.told(lambda: told.append("before")):
        pass
    patience.lose()
    assert told == ["outer", "within", "before"]
