"""What a request may take: bytes, time to come in, requests a minute, places among those that wait. What is beyond is refused,
never half done.

Its body comes as it is: what is packed might be any size.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from packsight.producer.http.errors import answer, refused
from packsight.producer.http.refusal import Refused
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.references import printable

_SMALL = 100_000
"""Bytes of what needs few: a password, a list of codes."""
_SHARE = 0.75
"""Of the places for one client or person: a burst of one is hardly held up, and there is always room for another."""
_FORGET = 10_000
"""Names after which those that have their whole allowance again are forgotten."""


class Rates:
    """So many requests a minute by name, spread evenly or at once (token bucket); several threads may ask."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = float(per_minute), clock
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Count a request; raises Refused (429) that says when the next may come."""
        per_second = self._most / 60
        with self._lock:
            now = self._clock()
            left, at = self._left.get(name, (self._most, now))
            left = min(self._most, left + (now - at) * per_second)
            taken = left >= 1
            self._left[name] = (left - 1 if taken else left, now)
            if len(self._left) > _FORGET:
                recent = {one: had for one, had in self._left.items() if (now - had[1]) * per_second < self._most}
                self._left = recent
        if not taken:
            raise too_many(f"{name} asks more than {self._most:.0f} times a minute", (1 - left) / per_second)


class Places:
    """So many requests at a time, and of each client or person a share of them at most, so that none keeps the others out."""

    def __init__(self, most: int) -> None:
        self._most, self._share = most, max(1, int(most * _SHARE))
        self._of: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many are held."""
        return self._of.total()

    @contextmanager
    def one(self, name: str) -> Iterator[None]:
        """Hold a place for somebody while the block lasts; raises Refused (429) when there is none, or none for him."""
        with self._lock:
            if self.taken >= self._most:
                raise too_many(f"{self._most} requests of this kind are under way already", 1.0)
            if self._of[name] >= self._share:
                raise too_many(f"{self._share} requests of {name} of this kind are under way already, the most that one may", 1.0)
            self._of[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._of[name] -= 1
                self._of += Counter()  # whoever has none any more is forgotten


def too_many(message: str, seconds: float) -> Refused:
    """Refuse for now."""
    return Refused(429, ErrorCode.TOO_MANY_REQUESTS, message, retry_after=max(seconds, 1.0))


class BodyLimit:
    """Refuses requests with more bytes than `most` (413), by what they announce or as soon as more come in; whose body is not in
    after so many `seconds` (408); and whose body breaks off (400), which is no failure of ours.

    That much is for the addresses `large`, which ask who comes before they take a body in; for others it is _SMALL at most. The
    framework's own limit would answer in plain text.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float, large: Collection[str]) -> None:
        self._app, self._most, self._seconds, self._large = app, most, seconds, frozenset(large)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most if scope["path"] in self._large else min(self._most, _SMALL)
        text = f"The request has more than {most} bytes"
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > most:
            await answer(refused(HTTPException(413, text)))(scope, receive, send)
            return
        came, awaited = 0, announced != b"0" or b"transfer-encoding" in headers
        until = asyncio.get_running_loop().time() + self._seconds

        async def counted() -> Message:
            # Only HTTPException: the framework hands no other error on while it reads a body.
            nonlocal came, awaited
            message: Message | None = None
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until if awaited else None):
                    message = await receive()
            if message is None and awaited:
                raise HTTPException(408, f"The request did not come in within {self._seconds:g} s")
            message = message or await receive()
            if message["type"] == "http.disconnect" and awaited:
                raise HTTPException(400, "The request broke off")
            came += len(message.get("body", b""))
            if came > most:
                raise HTTPException(413, text)
            awaited = awaited and message.get("more_body", False)
            return message

        async def answered(message: Message) -> None:
            nonlocal awaited
            awaited = False  # who is answered may leave the rest out: what is waited for now is whether they go
            await send(message)

        await self._app(scope, counted, answered)


class Unpacked:
    """Refuses (415) requests whose body is packed: nobody here unpacks it, and it would be taken for photo or list as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        packed = ", ".join(Headers(scope=scope).getlist("Content-Encoding")) if scope["type"] == "http" else ""
        if packed.strip().lower() in {"", "identity"}:
            await self._app(scope, receive, send)
            return
        refusal = Refused(
            415, ErrorCode.FORMAT_UNSUPPORTED, f"The body is packed: Content-Encoding is {printable(packed)[:100]}",
            remedy="Send the body unpacked, without Content-Encoding.", headers={"Accept-Encoding": "identity"},
        )  # fmt: skip
        await answer(refusal)(scope, receive, send)


class _Enough(OSError):
    """Of an answer nothing more is sent; to whoever sends it as when nobody reads any more."""


class Heads:
    """Answers HEAD as GET, without the body, which the server leaves out.

    An answer of no known length is a stream, which may never end: it is ended before its first part.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start" and "Content-Length" not in Headers(raw=message["headers"]):
                raise _Enough

        try:
            # A copy: the server goes by what it was asked.
            await self._app({**scope, "method": "GET"}, receive, headed)
        except (_Enough, ClientDisconnect):
            await send({"type": "http.response.body"})


class SafeHeaders:
    """Tells browsers to load nothing from other hosts, to show nothing of ours in other pages, and to guess no types."""

    _HEADERS = (
        (b"content-security-policy",
         b"default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
         b"frame-ancestors 'none'"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )  # fmt: skip

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._HEADERS]
            await send(message)

        await self._app(scope, receive, marked if scope["type"] == "http" else send)
