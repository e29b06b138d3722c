"""Replies by which a Redis server says that it can do nothing now: it is full, cannot save, only reads, or is loading.

They are no error of the command, and pass: whoever meets one waits and asks again, as when the server is away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

_REPLY = re.compile(r"\b(?:OOM|MISCONF|READONLY|LOADING|NOREPLICAS|MASTERDOWN|TRYAGAIN)\b")
"""As Redis and Valkey begin such replies; those that redis-py does not know by a class of their own keep theirs."""
_OF_PIPELINE = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
"""What redis-py puts before the reply to one command of several; the command's own words are whatever was to be kept, and may
end like this too."""
_SPOILT = re.compile(r"WRONGTYPE\b|(?:ERR )?(?:hash )?value is not an integer|(?:ERR )?increment or decrement would overflow")
"""As replies begin that come of what is kept under the very key, whoever put it there."""
_NEAR = 80
"""Characters in which that stands: a script's error puts the name of the script before it."""


ROOM = "It runs: give it room on its disk and in its memory, or wait until it has loaded."
"""What a person is to do about such a server."""


class Refusing(RedisConnectionError):
    """A broker that can be reached and can do nothing now: to whoever connects it is one that is away."""


def is_refusal(error: BaseException) -> bool:
    """Whether an error is such a reply; within a script it stands inside of the script's own."""
    if isinstance(error, OutOfMemoryError | ReadOnlyError | BusyLoadingError):
        return True
    return isinstance(error, ResponseError) and _REPLY.search(_OF_PIPELINE.sub("", str(error))[:_NEAR]) is not None


def remedy(error: BaseException, otherwise: str) -> str:
    """What a person is to do about a broker that cannot be worked with, by what it or its library said; else `otherwise`."""
    said = is_refusal(error) or isinstance(error, Refusing) or _REPLY.search(str(error)[:_NEAR])
    return ROOM if said else otherwise


def fullness(info: Mapping[str, Any]) -> str:
    """Why a server keeps nothing new, by what INFO says of it; empty where it does. All questions it answers as ever."""
    if info.get("aof_last_write_status", "ok") != "ok":
        return "it cannot write its append-only file, as when its disk is full"
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return "its last save to disk failed, as when that is full (stop-writes-on-bgsave-error)"
    limit, taken = info.get("maxmemory", 0), info.get("used_memory", 0) - info.get("mem_not_counted_for_evict", 0)
    return "its memory is full" if limit and taken >= limit and info.get("maxmemory_policy") == "noeviction" else ""


def is_spoilt(error: BaseException) -> bool:
    """Whether a key holds what cannot be worked with: no outage, since it concerns who asks for that key alone, and stays so."""
    return isinstance(error, ResponseError) and _SPOILT.match(_OF_PIPELINE.sub("", str(error))) is not None


def refused(error: ResponseError) -> ResponseError | Refusing:
    """What to raise to whoever waits for a broker that is away: the same where it is no refusal."""
    return Refusing(f"it can do nothing now: {error}") if is_refusal(error) else error
