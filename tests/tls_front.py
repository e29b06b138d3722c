"""TLS before a server that speaks none: connections are decrypted and handed on."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator

from tests.certificates import Certificate


class _Front(socketserver.BaseRequestHandler):
    context: ssl.SSLContext
    behind: tuple[str, int]

    def handle(self) -> None:
        with (
            contextlib.suppress(OSError),
            self.context.wrap_socket(self.request, server_side=True) as outside,
            socket.create_connection(self.behind) as inside,
        ):
            answers = threading.Thread(target=_copy, args=(inside, outside))
            answers.start()
            _copy(outside, inside)
            answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def tls_front(files: Certificate, behind: tuple[str, int]) -> Iterator[int]:
    """Listen on a loopback port; a client must show a certificate of the same authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    handler = type("Front", (_Front,), {"context": context, "behind": behind})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
