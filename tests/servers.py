"""A small HTTP server on loopback whose every path shows one fault."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PHOTO = b"\xff\xd8 not really a photo " * 40


@dataclass
class FaultServer:
    """What the tests see of the running server."""

    port: int
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Request targets as they came over the wire, with the headers in lower case."""
    connections: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    location: str = ""
    """Where /elsewhere redirects to."""
    content: bytes = PHOTO
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


def packed(body: bytes, packing: str) -> bytes:
    """A body in one of the ways in which servers and tools pack it."""

    def deflated(bits: int) -> bytes:
        packer = zlib.compressobj(wbits=bits)
        return packer.compress(body) + packer.flush()

    def framed(data: bytes, signature: bytes = b"") -> bytes:
        """As an upload is streamed to object storage."""
        chunks = [*(data[at : at + 999] for at in range(0, len(data), 999)), b""]
        return b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), signature, chunk) for chunk in chunks)

    half = len(body) // 2
    return {
        "plain": lambda: body,
        "gzip": lambda: gzip.compress(body),
        "zlib": lambda: zlib.compress(body),
        "small-window": lambda: deflated(10),
        "raw": lambda: deflated(-zlib.MAX_WBITS),
        "twice": lambda: gzip.compress(gzip.compress(body)),
        "gzip-in-zlib": lambda: zlib.compress(gzip.compress(body)),
        "raw-in-gzip": lambda: gzip.compress(deflated(-zlib.MAX_WBITS)),
        "two-files": lambda: gzip.compress(body[:half]) + bytes(512) + gzip.compress(body[half:]),
        "something-behind": lambda: gzip.compress(body) + b"\r\nbye",
        "signed-chunks": lambda: framed(body, b";chunk-signature=" + b"0a" * 32),
        "chunks": lambda: framed(body) + b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        "gzip-in-chunks": lambda: framed(gzip.compress(body), b";chunk-signature=" + b"0a" * 32),
        "thrice": lambda: gzip.compress(gzip.compress(gzip.compress(body))),
    }[packing]()


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[FaultServer]:
    """Run the server; with a certificate (key and certificate in one PEM file) over TLS."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        state = FaultServer(listener.getsockname()[1])
        server = _Server(state, listener, certificate)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            state.closing.set()
            server.shutdown()
            thread.join()


def certificate_for(name: str, folder: Path) -> Path:
    """Make a self-signed certificate for a host name."""
    key, certificate, both = folder / f"{name}.key", folder / f"{name}.crt", folder / f"{name}.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    both.write_text(key.read_text() + certificate.read_text())
    return both


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, state: FaultServer, listener: socket.socket, certificate: Path | None) -> None:
        super().__init__(("127.0.0.1", state.port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.state = state
        self.tls: ssl.SSLContext | None = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        assert isinstance(request, socket.socket), "a pair is what UDP servers are handed"
        self.state.connections += 1
        if self.tls is None:
            super().finish_request(request, client_address)
        else:
            with self.tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients of these tests hang up in the middle; that is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    wbufsize = -1

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        state = self.server.state
        state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = urlsplit(self.path).path
        state.hits[path] += 1
        _, name, *rest = path.split("/")
        fault = getattr(self, f"fault_{name.replace('-', '_')}", None)
        if fault is None:
            self.reply(200, state.content)
        else:
            fault(*rest)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self, data: bytes) -> None:
        """A byte every 50 ms until the client leaves."""
        for byte in data:
            if self.server.state.closing.is_set():
                break
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.05)
        self.close_connection = True

    def fault_status(self, status: str, *_: str) -> None:
        self.reply(int(status), b"an error page")

    def fault_whole(self, status: str, *part: str) -> None:
        """The photo under another status, perhaps as a part of a file: /whole/206/FIRST/LAST/ALL."""
        ranged = {"Content_Range": "bytes {}-{}/{}".format(*part)} if part else {}
        self.reply(int(status), self.server.state.content, **ranged)

    def fault_hints(self, *statuses: str) -> None:
        """Interim answers before the photo."""
        for status in statuses:
            self.wfile.write(f"HTTP/1.1 {status} Wait\r\nLink: </a.css>; rel=preload\r\n\r\n".encode())
        self.reply(200, self.server.state.content)

    def fault_hints_without_end(self, *_: str) -> None:
        while not self.server.state.closing.is_set():
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            self.wfile.flush()
            time.sleep(0.01)

    def fault_flaky(self, status: str, times: str, *rest: str) -> None:
        """An error status for the first requests of this path, then the photo."""
        state = self.server.state
        failing = state.hits[urlsplit(self.path).path] <= int(times)
        self.reply(int(status) if failing else 200, b"" if failing else state.content, Retry_After="".join(rest[:1]) or "0")

    def fault_elsewhere(self, *_: str) -> None:
        self.reply(302, b"moved", Location=self.server.state.location)

    def fault_cookie(self, *_: str) -> None:
        """Asks for a cookie, which nobody brings back."""
        self.reply(302, Location="/cookie/set" if self.path == "/cookie" else "/cookie", Set_Cookie="seen=1")

    def fault_hops(self, left: str, *_: str) -> None:
        """So many redirects, then the photo."""
        target = "/photo.jpg" if int(left) <= 1 else f"/hops/{int(left) - 1}"
        self.reply(301, Location=target)

    def fault_drip_body(self, *_: str) -> None:
        self.wfile.write(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 100000\r\n\r\n')
        self.drip(b"x" * 100_000)

    def fault_drip_chunks(self, *_: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.drip(b"1\r\nx\r\n" * 20_000)

    def fault_drip_chunk_size(self, *_: str) -> None:
        self.wfile.write(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nTransfer-Encoding: chunked\r\n\r\n')
        self.drip(b"0" * 60_000)

    def fault_drip_headers(self, *_: str) -> None:
        self.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 60_000)

    def fault_silent(self, *_: str) -> None:
        self.server.state.closing.wait(30)
        self.close_connection = True

    def fault_hang_up(self, *_: str) -> None:
        self.close_connection = True

    def fault_cut(self, *_: str) -> None:
        """Half of the announced body."""
        self.reply(200, b"x" * 500, Content_Length="1000")
        self.close_connection = True

    def fault_cut_chunks(self, *_: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nxx")
        self.close_connection = True

    def fault_endless(self, *_: str) -> None:
        """A chunked body without an end."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self.server.state.closing.is_set():
            self.wfile.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")

    def fault_until_close(self, *_: str) -> None:
        """A body whose end is the end of the connection."""
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + self.server.state.content)
        self.close_connection = True

    def fault_announced(self, size: str, *_: str) -> None:
        self.reply(200, b"x", Content_Length=size)
        self.close_connection = True

    def fault_brotli(self, *_: str) -> None:
        self.reply(200, b"\x8b\x02\x80", Content_Encoding="br")

    def fault_coded(self, coding: str, packing: str) -> None:
        """The content with any Content-Encoding, packed as it says or not."""
        self.reply(200, packed(self.server.state.content, packing), Content_Encoding=coding)

    def fault_garbage(self, *_: str) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        self.close_connection = True

    def fault_etag(self, *_: str) -> None:
        tag = f'"{hash(self.server.state.content)}"'
        if self.headers.get("If-None-Match") == tag:
            self.reply(304, ETag=tag)
        else:
            self.reply(200, self.server.state.content, ETag=tag)

    def fault_dated(self, *_: str) -> None:
        date = "Sat, 21 Nov 2026 10:00:00 GMT"
        if self.headers.get("If-Modified-Since") == date:
            self.reply(304)
        else:
            self.reply(200, self.server.state.content, Last_Modified=date)

    def fault_stubborn(self, *_: str) -> None:
        """An ETag, but never a 304."""
        self.reply(200, self.server.state.content, ETag=f'W/"{hash(self.server.state.content)}"')
