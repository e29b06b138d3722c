"""A drawn shop of any size: its feed, and a web server that has feed and pictures and answers as one that knows their ETags does.

Pictures have no pixels: nobody looks at them here. What the server sends for one is its address.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from packsight.shared.catalog.manifest import PhotoRow, ProductRow

FEED = "/feed.xml"
_WORDS = ("крем", "для", "рук", "сухой", "кожи", "ночной", "уход", "мыло", "шампунь", "мягкий", "soft", "cream", "hand", "роза")
_CATEGORIES = 300


def pictures_of(number: int) -> Iterator[str]:
    """Paths of an offer's pictures: three or four."""
    return (f"/img/{number:07d}/{place}.jpg" for place in range(3 + number % 2))


def tag_of(path: str) -> str:
    """What the server says that marks a picture."""
    return f'"{hashlib.md5(path.encode(), usedforsecurity=False).hexdigest()}"'


def write_feed(file: Path, offers: int, root: str, *, seed: int, hour: int, changed: float = 0.0) -> None:
    """Write a YML feed, which says of what hour it is, as they do, so that it never has the same bytes again.

    Of the share `changed` of the offers another price, of a tenth of these also another picture.
    """
    chance, change = random.Random(seed), random.Random(seed + 1)
    with file.open("w", encoding="utf-8") as out:
        out.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<yml_catalog date="2026-11-01 {hour:02}:00"><shop><categories>')
        out.writelines(f'<category id="{one}">Category {one}</category>' for one in range(_CATEGORIES))
        out.write("</categories><offers>\n")
        for number in range(offers):
            name, vendor, text = (" ".join(chance.choices(_WORDS, k=words)) for words in (6, 2, 25))
            differs = change.random() < changed
            paths = list(pictures_of(number))
            if differs and change.random() < 0.1:
                paths[-1] = paths[-1].replace(".jpg", ".new.jpg")
            pictures = "".join(f"<picture>{root}{path}</picture>" for path in paths)
            out.write(
                f'<offer id="{number}" available="true"><url>https://shop.example/p/{number}?utm_term=A{number}</url>'
                f"<price>{number % 900 + 100 + differs}</price><currencyId>RUB</currencyId>"
                f"<categoryId>{number % _CATEGORIES}</categoryId>{pictures}<name>{name} {number}</name><vendor>{vendor}</vendor>"
                f"<vendorCode>A{number}</vendorCode><barcode>{4_600_000_000_000 + number}</barcode>"
                f"<description><![CDATA[<p>{text}</p>]]></description>"
                f'<param name="Объём" unit="мл">{number % 500}</param></offer>\n'
            )
        out.write("</offers></shop></yml_catalog>\n")


def photos_of(product: ProductRow, number: int, root: str) -> list[PhotoRow]:
    """The rows that a published version has of an offer's pictures."""
    return [
        PhotoRow(product_id=product.id, sha256=_sha256(path), source=root + path, etag=f"etag:{tag_of(path)}")
        for path in pictures_of(number)
    ]


def _sha256(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server, in a process of its own, that has the pictures and whatever feed lies in the folder."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(folder, theirs), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


def _serve(folder: Path, pipe: Connection) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == FEED:
                # Without a tag: the feed is sent whole each time.
                self._send(200, (folder / "feed.xml").read_bytes(), "")
            elif self.headers.get("If-None-Match") == (tag := tag_of(self.path)):
                self._send(304, b"", tag)
            else:
                self._send(200, self.path.encode(), tag)

        def _send(self, status: int, data: bytes, tag: str) -> None:
            self.send_response(status)
            if status != 304:
                self.send_header("Content-Length", str(len(data)))
            if tag:
                self.send_header("ETag", tag)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    pipe.send(server.server_port)
    threading.Thread(target=server.serve_forever).start()
