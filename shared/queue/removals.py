"""Who removes uploads at the moment: whoever submits the same photo meanwhile must not count on finding it.

A job that is being submitted takes an upload as sent that it finds there, and has no manifest yet by which others know that it
needs it. So whoever removes says so before looking which uploads other jobs need; whoever submits looks here once its manifest
is written, and looks after its uploads where something was removed meanwhile.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import redis

from packsight.shared.queue import keys

ALIVE = 30.0
"""Seconds without a new word after which a removal has died."""
_KEPT = 24 * 3600
"""Seconds for which removals are remembered: submitting a job takes less."""
_DONE = "done"
_DEAD = "0"
"""What is put in the place of the last word of a removal that died, so that not everybody waits for it. It is no end: nobody
knows what was removed."""


class Removals:
    """The removals of the last day. All methods raise redis.RedisError when the database cannot be reached."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @contextmanager
    def removing(self) -> Iterator[Callable[[], None]]:
        """Remove within the block, having looked there which uploads jobs name.

        Yields what says that it goes on, to be called before ALIVE has passed.
        """
        token = secrets.token_hex(8)

        def going_on() -> None:
            self._note(token, str(self._now()))

        going_on()
        try:
            yield going_on
        finally:
            self._note(token, _DONE)  # whoever submits waits for it

    def seen(self) -> frozenset[str]:
        """Return the removals that have ended."""
        return frozenset(token for token, state in self._all().items() if state == _DONE)

    def since(self, before: frozenset[str], pause: Callable[[float], None] = time.sleep) -> bool:
        """Wait for the removals that go on now, and tell whether there was one since `before` was returned."""
        found = last = self._all()
        heard = dict.fromkeys(found, time.monotonic())  # not by what the words say: the database's clock may be set meanwhile
        while going := {token: state for token, state in last.items() if token in found and state not in {_DONE, _DEAD}}:
            for token, at in heard.items():
                if token in going and time.monotonic() - at >= ALIVE:
                    self._note(token, _DEAD)
            pause(0.2)
            now = self._all()  # of later ones we need not know: they see our manifest
            heard.update({token: time.monotonic() for token in found if now.get(token) != last.get(token)})
            last = now
        return bool(found.keys() - before)

    def _all(self) -> dict[str, str]:
        return cast("dict[str, str]", self._client.hgetall(keys.REMOVALS))

    def _note(self, token: str, state: str) -> None:
        with self._client.pipeline() as pipe:
            pipe.hset(keys.REMOVALS, token, state)
            pipe.expire(keys.REMOVALS, _KEPT)
            pipe.execute()

    def _now(self) -> int:
        return self._client.time()[0]  # the database's, since earlier releases compare with it
