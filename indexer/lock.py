"""One sync or decision of a catalog at a time, one collection, and one reconciler: locks in Redis that their holders renew."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import redis
from redis.exceptions import LockError, RedisError
from redis.lock import Lock

from packsight.shared.contract.errors import UserError
from packsight.shared.queue import keys

log = logging.getLogger(__name__)

TTL = 60.0
"""Seconds after which the lock of a sync that died is free; a Redis or a process may stand still for nearly as long."""


class LockHeldError(UserError):
    """Someone else holds the lock."""


class LockLostError(UserError):
    """The lock ran out while its holder could not renew it; someone else may hold it."""


class Lease:
    """A held lock.

    What makes a late write of an earlier holder harmless is the compare-and-set of CURRENT against the pointer that was read
    under the lock.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def check(self) -> None:
        """Raise LockLostError unless the lock is still ours; to be asked before every step with effects."""
        if not self._lock.owned():
            raise LockLostError(
                "The lock was lost, perhaps because Redis or this process stood still. Run the command again."
            )


@contextmanager
def sync_lock(client: redis.Redis, catalog: str, what: str, *, ttl: float = TTL) -> Iterator[Lease]:
    """Hold a catalog's lock; what: for what, as others are told. Raises LockHeldError that says who has it, and for what."""
    with held(client, keys.sync_lock(catalog), ttl, f"Catalog {catalog} is in use", what) as lease:
        yield lease


@contextmanager
def collection_lock(client: redis.Redis) -> Iterator[Lease]:
    """Hold the lock of the collection; raises LockHeldError when there is another one."""
    with held(client, keys.COLLECTION_LOCK, TTL, "Object storage is in use", "a collection") as lease:
        yield lease


def locked(client: redis.Redis) -> set[str]:
    """Catalogs whose locks are held, those among them of which object storage has nothing yet."""
    prefix = keys.sync_lock("")
    return {str(key).removeprefix(prefix) for key in client.scan_iter(f"{prefix}*", count=1000)}


def require_known(client: redis.Redis, catalog: str, known: Callable[[], Iterable[str]]) -> None:
    """Raise LockHeldError beside a collection that cannot know of a catalog, and so not what that needs.

    known: catalogs of which object storage has something. The caller holds the catalog's lock: the collection looks for such
    locks once it has its own, so that one of the two sees the other.
    """
    holder = str(client.get(keys.COLLECTION_LOCK) or "")
    if holder and catalog not in known():
        raise LockHeldError(
            f"Object storage is in use by {holder}, which cannot know what the new catalog {catalog} needs. Wait for its end; "
            f"{TTL:.0f} seconds if that process was killed."
        )


@contextmanager
def held(client: redis.Redis, name: str, ttl: float, taken: str, what: str) -> Iterator[Lease]:
    """Hold a lock, which is free `ttl` seconds after its holder has died.

    Raises LockHeldError when it is taken: `taken`, and by whom, for `what`.
    """
    # thread_local=False: the renewing thread must know the token too.
    lock = Lock(client, name, timeout=ttl, blocking=False, thread_local=False)
    if not lock.acquire(token=f"{what}, {socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"):
        holder = str(client.get(name) or "another process")
        raise LockHeldError(f"{taken} by {holder}. Wait for its end; {ttl:.0f} seconds if that process was killed.")
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(ttl / 3):
            try:
                lock.extend(ttl, replace_ttl=True)
            except LockError:
                return
            except (RedisError, OSError) as error:
                log.warning("lock %s: %s", name, type(error).__name__)

    renewal = threading.Thread(target=renew, name="lock", daemon=True)
    renewal.start()
    try:
        yield Lease(lock)
    finally:
        ended.set()
        renewal.join()
        with suppress(LockError, RedisError):
            lock.release()
