"""Which replies of a Redis server pass by themselves."""

from __future__ import annotations

import logging

import pytest
import redis
from kombu.exceptions import OperationalError
from pydantic import SecretStr
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from packsight.shared.queue import result_backend
from packsight.shared.queue.app import make_app
from packsight.shared.queue.callbacks import Backend
from packsight.shared.queue.refusals import Refusing, fullness, is_refusal, is_spoilt, remedy
from packsight.shared.queue.result_backend import ResultBackend
from packsight.shared.queue.transport.channel import Channel
from packsight.shared.settings import Settings


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ReadOnlyError("You can't write against a read only replica."),
        BusyLoadingError("Redis is loading the dataset in memory"),
        ResponseError("MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk."),
        ResponseError("Error running script (call to f_1): @user_script:3: OOM command not allowed"),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError(
            'Command # 1 (SETEX celery-task-meta-5083fb46-837b-413d-a05d-9b7bdc17ae8b 604800 {"status": "FAILURE (x)",...) of '
            "pipeline caused error: MISCONF Errors writing to the AOF file: No space left on device"
        ),
        ResponseError("Command # 1 (HGET x) of pipeline caused error: WRONGTYPE y) of pipeline caused error: MISCONF Errors"),
    ],
)
def test_a_server_that_can_do_nothing_now_is_waited_for(error: Exception) -> None:
    assert is_refusal(error)
    assert not is_spoilt(error)


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError("unknown command 'OOMPH'" + " " * 80 + "MISCONF"),
        ResponseError("Command # 1 (SET a MISCONF) of pipeline caused error: WRONGTYPE Operation against a key"),
        ResponseError("Command # 1 (GET x) of pipeline caused error: OOM) of pipeline caused error: WRONGTYPE Operation"),
        redis.AuthenticationError("WRONGPASS invalid username-password pair"),
        ValueError("OOM"),
    ],
)
def test_an_error_of_the_command_is_none(error: Exception) -> None:
    assert not is_refusal(error)


@pytest.mark.parametrize(
    ("error", "spoilt"),
    [
        (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), True),
        (ResponseError("Command # 2 (HINCRBY x count 1) of pipeline caused error: hash value is not an integer"), True),
        (ResponseError("Command # 1 (HGET WRONGTYPE) of pipeline caused error: NOPERM No permissions"), False),
        (NoPermissionError("No permissions to access a key"), False),
        (ClusterDownError("The cluster is down"), False),
        (ResponseError("BUSY Valkey is busy running a script"), False),
        (redis.ConnectionError("WRONGTYPE"), False),
    ],
    ids=str,
)
def test_what_is_wrong_with_one_key_is_no_outage_and_all_else_is(error: Exception, spoilt: bool) -> None:
    assert is_spoilt(error) == spoilt


def test_the_one_backend_of_our_apps_waits_for_such_a_server_and_says_so_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_backend._now_and_then, "_said", float("-inf"))
    settings = Settings(_env_file=None, result_url=SecretStr("redis://127.0.0.1:1/1"))
    backend = make_app("test", settings).backend
    assert type(backend) is ResultBackend
    assert isinstance(backend, Backend), "what follows on a task harms no result"
    assert backend.exception_safe_to_retry(OutOfMemoryError("full"))
    assert not backend.exception_safe_to_retry(ResponseError("WRONGTYPE"))
    for _ in range(5):
        try:
            raise OutOfMemoryError("full")
        except OutOfMemoryError:
            logging.getLogger("celery.backends.base").warning("Failed operation %s.", "store", exc_info=True)
    assert [record.getMessage() for record in caplog.records] == ["A result cannot be stored and is tried again: full"]


class Broadcasts:
    """A subscription whose next word is an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def parse_response(self) -> None:
        raise self.error


def test_a_broker_that_refuses_to_say_that_it_is_there_ends_no_consumer() -> None:
    channel = Channel.__new__(Channel)
    channel.connection_errors = (ConnectionError,)
    assert channel._receive_one(Broadcasts(ResponseError("MISCONF Errors writing to the AOF file: No space left"))) is None
    with pytest.raises(ResponseError):
        channel._receive_one(Broadcasts(ResponseError("WRONGTYPE")))


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        Refusing("it can do nothing now: MISCONF Errors writing to the AOF file"),
        OperationalError("MISCONF Errors writing to the AOF file"),
    ],
)
def test_a_server_that_runs_is_not_said_to_be_started(error: Exception) -> None:
    assert "give it room" in remedy(error, "Start it.")
    assert remedy(redis.ConnectionError("Connection refused"), "Start it.") == "Start it."


@pytest.mark.parametrize(
    ("info", "why"),
    [
        ({}, ""),
        ({"aof_last_write_status": "ok", "maxmemory": 0, "used_memory": 9, "maxmemory_policy": "noeviction"}, ""),
        ({"maxmemory": 10, "used_memory": 12, "mem_not_counted_for_evict": 3, "maxmemory_policy": "noeviction"}, ""),
        ({"maxmemory": 10, "used_memory": 12, "maxmemory_policy": "allkeys-lru"}, ""),
        ({"maxmemory": 10, "used_memory": 12, "mem_not_counted_for_evict": 2, "maxmemory_policy": "noeviction"}, "is full"),
        ({"aof_last_write_status": "err"}, "its disk is full"),
        ({"aof_last_write_status": "ok", "rdb_last_bgsave_status": "ok"}, ""),
        ({"aof_enabled": 0, "aof_last_write_status": "ok", "rdb_last_bgsave_status": "err"}, "save to disk failed"),
    ],
)
def test_a_server_that_keeps_nothing_new_is_known_by_what_it_tells_of_itself(info: dict[str, object], why: str) -> None:
    assert why in fullness(info) and bool(why) == bool(fullness(info))
