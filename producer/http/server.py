"""The process: `packsight serve`."""

from __future__ import annotations

import logging

import uvicorn

from packsight.producer.http.app import create_app
from packsight.shared import logs
from packsight.shared.settings import Settings

log = logging.getLogger("packsight.http")

_GRACE = 20
"""Seconds that requests in work are given when the server is told to stop."""


def serve(settings: Settings) -> None:
    """Serve until told to stop; what was accepted is queued by then, or is queued when the server runs again."""
    logs.set_up(settings.log_format)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    http = settings.http
    app = create_app(settings)
    log.info("serving on http://%s:%d", http.host, http.port, extra={"action": "serving"})
    # A log of requests would hold whole addresses, with the signatures of those that are asked about.
    uvicorn.run(
        app, host=http.host, port=http.port, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )  # fmt: skip
    log.info("stopped", extra={"action": "stopped"})
