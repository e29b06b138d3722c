"""Word from the server that something came into queues that were empty, so that nobody need look again and again.

Redis blocks on several lists only for those who pop, and a pop outside of the script could lose a message. But it notes which
keys a connection has read and tells it, once, when one of them changes: server-assisted client-side caching (CLIENT TRACKING,
Redis 6, RESP 3; https://redis.io/docs/latest/develop/reference/client-side-caching/). Whoever fills the queue need know nothing
of it, and it costs nothing while nobody waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import redis

log = logging.getLogger(__name__)


class Watch:
    """A connection of its own over which an event loop is told.

    pool: how the server is reached. told, lost: called by the loop at word of a change, and when the connection is lost.

    Raises redis.RedisError when the server cannot be reached or does not do this: Redis before 6, or a user without the right.
    """

    def __init__(
        self, pool: redis.ConnectionPool, loop: Any, *, told: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        # Not kept alive by pings: each would hide that the connection was opened anew and is no longer told anything.
        options = {**pool.connection_kwargs, "protocol": 3, "health_check_interval": 0}
        self._connection: Any = pool.connection_class(**options)
        self._loop = loop
        self._told = told
        self._lost = lost
        self._file: int | None = None
        try:
            self._connection.connect()
            self._ask("CLIENT", "TRACKING", "ON")
        except BaseException:
            self.close()
            raise
        self._file = self._connection._sock.fileno()
        loop.add_reader(self._file, self._hear)

    @property
    def alive(self) -> bool:
        """Whether it can still be told."""
        return self._file is not None

    def empty(self, lists: Sequence[str]) -> bool:
        """Tell whether there is nothing in any of the lists; the next change of one of them will be told.

        Raises redis.RedisError when the connection is lost.
        """
        try:
            # What was told before the answer, the answer knows too; redis-py drops it on the way. What was told right after may
            # have been read together with it, so that the loop would never hear of it.
            return not self._ask("EXISTS", *lists) and not self._connection.can_read()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Be told no more."""
        if self._file is not None:
            self._loop.remove(self._file)
            self._file = None
        self._connection.disconnect()

    def _ask(self, *command: str) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response()

    def _hear(self) -> None:
        try:
            while self._connection.can_read():
                self._connection.read_response(push_request=True)
        except (redis.RedisError, OSError):
            log.warning("the connection is lost over which the broker tells of new messages", exc_info=True)
            self.close()
            self._lost()
        else:
            self._told()
