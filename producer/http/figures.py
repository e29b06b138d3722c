"""What Prometheus is told of the door: how many requests ended how, by the endpoint that took them, and how long they took."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from packsight.shared.metrics.exporter import Figures
from packsight.shared.metrics.table import HTTP_REQUESTS, HTTP_SECONDS, WEBHOOKS_GIVEN_UP

NOTED = (HTTP_REQUESTS, HTTP_SECONDS, WEBHOOKS_GIVEN_UP)
_OTHER = "other"
"""What no endpoint takes: such addresses are made up by whoever asks, and would each be a label."""


class Counted:
    """Counts requests into figures; an endpoint goes by its pattern, such as `/v1/jobs/{job}`."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app, self._figures = app, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def count(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, count)
        finally:
            endpoint = getattr(scope.get("route"), "path", _OTHER)
            seconds = time.perf_counter() - began
            self._figures.take([HTTP_REQUESTS.of(endpoint, str(status)), HTTP_SECONDS.of(endpoint, value=seconds)])
