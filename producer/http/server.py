"""The process: `packsight serve`."""

from __future__ import annotations

import logging
import signal
import socket
import sys

import uvicorn

from packsight.producer.http.app import create_app
from packsight.producer.http.connections import Connection
from packsight.producer.http.figures import NOTED
from packsight.shared import logs
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import place
from packsight.shared.metrics import noting
from packsight.shared.metrics.exporter import Figures
from packsight.shared.settings import Settings

log = logging.getLogger("packsight.http")

_GRACE = 20
"""Seconds that requests in work are given when the server is told to stop."""


class _Server(uvicorn.Server):
    """Says where it is when it can be reached."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                log.info("serving on http://%s", place(host, port), extra={"action": "serving"})


def serve(settings: Settings) -> None:
    """Serve until told to stop; what was accepted is queued by then, or is queued when the server runs again.

    Raises UserError where the address is taken, or none of this machine's.
    """
    logs.set_up(settings.log_format)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    http = settings.http
    if not _is_free(http.host, http.port):
        where = place(http.host, http.port)
        raise UserError(f"{where} cannot be listened on. End what is there, or choose with --port and --host.")
    figures = Figures(NOTED)
    noting.keep(figures.take)
    if settings.metrics.port:
        figures.serve(settings.metrics)
    # A log of requests would hold whole addresses, with the signatures of those that are asked about.
    config = uvicorn.Config(
        create_app(settings, figures), host=http.host, port=http.port, log_config=None, access_log=False, server_header=False,
        proxy_headers=bool(http.proxies), forwarded_allow_ips=http.proxies or "",
        timeout_graceful_shutdown=_GRACE, http=Connection,
    )  # fmt: skip
    # Once it has stopped, uvicorn raises the signal anew, by which the process would end as if it had been killed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        _Server(config).run()
    finally:
        log.info("stopped", extra={"action": "stopped"})


def _is_free(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        return False
    return True
