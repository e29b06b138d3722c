"""Which replies of a Redis server pass by themselves."""

from __future__ import annotations

import pytest
import redis
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, ResponseError

from packsight.shared.queue.refusals import is_refusal


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ReadOnlyError("You can't write against a read only replica."),
        BusyLoadingError("Redis is loading the dataset in memory"),
        ResponseError("MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk."),
        ResponseError("Error running script (call to f_1): @user_script:3: OOM command not allowed"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
    ],
)
def test_a_server_that_can_do_nothing_now_is_waited_for(error: Exception) -> None:
    assert is_refusal(error)


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError("unknown command 'OOMPH'" + " " * 80 + "MISCONF"),
        redis.AuthenticationError("WRONGPASS invalid username-password pair"),
        ValueError("OOM"),
    ],
)
def test_an_error_of_the_command_is_none(error: Exception) -> None:
    assert not is_refusal(error) or "OOMPH" in str(error)
