"""One sync of a catalog at a time, whoever starts it: a lock in Redis that its holder renews."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from packsight.shared.contract.errors import UserError

log = logging.getLogger(__name__)

TTL = 60.0
"""Seconds after which the lock of a holder that died is free."""


_FENCE_TTL = 30 * 24 * 3600


class LockHeldError(UserError):
    """Another sync of this catalog is going on."""


class LockLostError(UserError):
    """The lock ran out while its holder could not renew it; someone else may hold it."""


class Lease:
    """A held lock.

    `fence` grows with every holder of this catalog's lock. What makes a late write of an earlier holder harmless is the
    compare-and-set of CURRENT against the pointer read under the lock; the number tells holders apart in the log.
    """

    def __init__(self, lock: Lock, fence: int) -> None:
        self._lock = lock
        self.fence = fence

    def check(self) -> None:
        """Raise LockLostError unless the lock is still ours; to be asked before every step with effects."""
        if not self._lock.owned():
            raise LockLostError(
                "The sync lost its lock, perhaps because Redis or this process stood still. Run it again."
            )


@contextmanager
def sync_lock(client: redis.Redis, catalog: str, *, ttl: float = TTL) -> Iterator[Lease]:
    """Hold the lock of a catalog's syncs; raises LockHeldError that names the holder when it is taken."""
    name = f"packsight:lock:sync:{catalog}"
    fence = int(client.incr(f"packsight:fence:sync:{catalog}"))
    client.expire(f"packsight:fence:sync:{catalog}", _FENCE_TTL)
    # thread_local=False: the renewing thread must know the token too.
    lock = Lock(client, name, timeout=ttl, blocking=False, thread_local=False)
    if not lock.acquire(token=f"{socket.gethostname()}:{os.getpid()}:{fence}"):
        holder = str(client.get(name) or "another process")
        raise LockHeldError(f"Catalog {catalog} is being synced already, by {holder}. Wait for its end.")
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(ttl / 3):
            try:
                lock.extend(ttl, replace_ttl=True)
            except LockError:
                return
            except (RedisError, OSError) as error:
                log.warning("sync lock of %s: %s", catalog, type(error).__name__)

    renewal = threading.Thread(target=renew, name="sync-lock", daemon=True)
    renewal.start()
    try:
        yield Lease(lock, fence)
    finally:
        ended.set()
        renewal.join()
        with suppress(LockError, RedisError):
            lock.release()
