"""Replies by which a Redis server says that it can do nothing now: it is full, cannot save, only reads, or is loading.

They are no error of the command, and pass: whoever meets one waits and asks again, as when the server is away.
"""

from __future__ import annotations

import re

from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

_REPLY = re.compile(r"\b(?:OOM|MISCONF|READONLY|LOADING|NOREPLICAS|MASTERDOWN|TRYAGAIN)\b")
"""As Redis and Valkey begin such replies; those that redis-py does not know by a class of their own keep theirs."""
_NEAR = 80
"""Characters in which that stands: a script's error puts the name of the script before it."""


class Refusing(RedisConnectionError):
    """A broker that can be reached and can do nothing now: to whoever connects it is one that is away."""


def is_refusal(error: BaseException) -> bool:
    """Whether an error is such a reply; within a script it stands inside of the script's own."""
    if isinstance(error, OutOfMemoryError | ReadOnlyError | BusyLoadingError):
        return True
    return isinstance(error, ResponseError) and _REPLY.search(str(error)[:_NEAR]) is not None
