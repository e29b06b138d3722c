"""Connections: one on which no request comes is closed, for uvicorn waits for ever, and who opens thousands keeps others out."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

_SECONDS = 30.0
"""For the head of a request to come, or the rest of one that was answered before it had come whole; at most twice as long."""


class Connection(H11Protocol):
    """One of HTTP/1.1."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as there
        """Begin."""
        super().connection_made(transport)
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._looks.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        self._last = self.cycle
        self._looks = self.loop.call_later(_SECONDS, self._look)

    def _look(self) -> None:
        """Close it where nothing has been asked since the last look, and nothing is left to be answered."""
        if self.cycle is self._last and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self._look_later()

    def _should_upgrade(self) -> bool:
        """Pass over what else a client would speak, as Java's offers to with each request: uvicorn would log advice on that."""
        return False
