"""A line of the log for everybody who is turned away: 401 and 403, wrong passwords among them.

There is no log of requests, whose addresses hold secrets; but who guesses keys has to be seen.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("packsight.http")

_STATUS = frozenset({401, 403})
_LONGEST = 200
"""Characters of a path."""


class Few:
    """Which lines are written, so that a flood fills no disk: a minute 10 of an address, 100 in all, some 30 MB a day."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, of_one: int = 10, in_all: int = 100) -> None:
        self._clock, self._of_one, self._in_all = clock, of_one, in_all
        self._minute, self._unwritten = -1, 0
        self._written: Counter[str] = Counter()

    def take(self, address: str) -> int | None:
        """How many were left out since the last line; None to leave this one out too."""
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._written = minute, Counter()
        if self._written.total() >= self._in_all or self._written[address] >= self._of_one:
            self._unwritten += 1
            return None
        self._written[address] += 1
        unwritten, self._unwritten = self._unwritten, 0
        return unwritten


def is_known(request: Request, called: str) -> None:
    """Let the line of this request, if there will be one, say whose it is."""
    request.state.called = called


class TurnedAway:
    """Writes the lines."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._few = app, Few()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def noticed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _STATUS:
                self._note(scope, int(message["status"]))
            await send(message)

        await self._app(scope, receive, noticed if scope["type"] == "http" else send)

    def _note(self, scope: Scope, status: int) -> None:
        address = scope["client"][0] if scope.get("client") else "somewhere"
        unwritten = self._few.take(address)
        if unwritten is None:
            return
        # Quoted, so that nobody makes up a field; without what follows the path, where secrets may be.
        path = quote(scope["path"])[:_LONGEST]
        said = {"who": scope.get("state", {}).get("called", ""), "unwritten": unwritten or ""}
        told = {name: value for name, value in said.items() if value}
        client = quote(address, safe=":")[:_LONGEST]
        log.warning(
            "turned away with %d", status,
            extra={"action": "turned_away", "status": status, "client": client, "method": scope["method"], "path": path, **told},
        )  # fmt: skip
