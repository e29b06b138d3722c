"""One download over HTTP: guarded addresses, few redirects, counted bytes."""

from __future__ import annotations

import hashlib
import io
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, BinaryIO

import urllib3
from urllib3.exceptions import HTTPError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as TransferTimeout
from urllib3.util import Timeout

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.references import Address, follow, shown
from packsight.shared.settings import Fetch
from packsight.shared.storage import deadline, web_advice
from packsight.shared.storage.addresses import AddressRule
from packsight.shared.storage.coding import Received

_REDIRECTS = 3
_CHUNK = 64 * 1024
_MOVED = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429}
"""Client errors that another attempt may not meet."""
_WHOLE = {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NON_AUTHORITATIVE_INFORMATION, HTTPStatus.IM_USED}
"""Statuses of a whole file. Proxies that change files say 203."""
_ALL = re.compile(r"bytes 0-([0-9]{1,15})/([0-9]{1,15})")
"""Content-Range of a part that may be all (RFC 9110, 14.4)."""


@dataclass(frozen=True)
class Fetched:
    """A file's bytes and the mark by which a later request can ask whether it has changed."""

    data: bytes
    validator: str
    coding: str = ""
    """Its Content-Encoding, where it is as it was stored or sent."""


class Web:
    """HTTP(S) client of one process; several threads may use it at once."""

    def __init__(self, limits: Fetch) -> None:
        self._limits = limits
        self._rule = AddressRule(limits.allowed_hosts, resolvers=limits.threads)
        plain, tls = _guarded(self._rule)
        self._pools = deadline.pool_manager(plain, tls, num_pools=32, maxsize=limits.threads)
        self._timeout = Timeout(connect=limits.connect_timeout, read=limits.read_timeout)

    def get(self, address: Address, validator: str = "") -> Fetched | None:
        """Download once, without retries; None when the server says that it still has what `validator` marks.

        Raises ImageError: REFERENCE_REFUSED, HTTP_STATUS, HOST_UNREACHABLE, FETCH_TIMEOUT, FETCH_FAILED or
        FILE_TOO_LARGE.
        """
        body = io.BytesIO()
        came = self.copy(address, validator, body)
        return None if came is None else Fetched(body.getvalue(), came.mark, came.coding)

    def copy(self, address: Address, validator: str, into: BinaryIO) -> Received | None:
        """The same into a file, from its beginning; says what came."""
        asked: list[str] = []
        for _ in range(_REDIRECTS + 1):
            asked.append(address.url)
            response = self._open(address, _headers(validator))
            try:
                if response.status not in _MOVED:
                    return self._read(response, shown(address.url), into)
                location = response.headers.get("Location", "")
            finally:
                # A body read to its end has given its connection back; of any other the rest is not wanted.
                response.close()
                response.release_conn()
            if not location:
                message = f"{shown(address.url)} redirects, and does not say where"
                remedy = "The server is at fault: give the address of the picture itself."
                raise ImageError(ErrorCode.FETCH_FAILED, message, remedy=remedy, retryable=False)
            address = follow(address, location)
        how, remedy = f"more than {_REDIRECTS} times", "Use the address that the redirects lead to."
        if address.url in asked:
            how, remedy = "in a circle", "The server wants cookies or a login: use an address that needs neither."
        raise ImageError(ErrorCode.FETCH_FAILED, f"{shown(asked[0])} redirects {how}", remedy=remedy, retryable=False)

    def check(self, address: Address) -> None:
        """Raise ImageError for an address that is refused, or whose host has none now."""
        self._rule.resolve(address.host, address.port)

    def post(self, address: Address, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a body once and return the status that it is answered with; a redirect is not followed, no answer is read.

        Raises ImageError as `get` does.
        """
        response = self._open(address, {"User-Agent": "packsight", **headers}, "POST", body)
        response.close()
        response.release_conn()
        return int(response.status)

    def _open(
        self, address: Address, headers: Mapping[str, str], method: str = "GET", body: bytes | None = None
    ) -> urllib3.BaseHTTPResponse:
        if deadline.remaining() <= 0:
            raise ImageError(ErrorCode.FETCH_TIMEOUT, f"{shown(address.url)} was not read in time")
        pool = self._pools.connection_from_host(address.host, address.port, address.scheme)
        try:
            return pool.urlopen(
                method,
                address.target,
                body=body,
                headers=headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise _typed(error, shown(address.url)) from error

    def _read(self, response: urllib3.BaseHTTPResponse, name: str, into: BinaryIO) -> Received | None:
        if response.status == HTTPStatus.NOT_MODIFIED:
            return None
        whole = _size_of_all(response)
        if response.status not in _WHOLE and whole is None:
            raise _status_error(response, name)
        limit = self._limits.max_bytes
        digest, size = hashlib.sha256(), 0
        into.seek(0)
        into.truncate()
        mark = _validator(response)
        try:
            announced = response.length_remaining or 0
            if announced > limit:
                raise ImageError(ErrorCode.FILE_TOO_LARGE, f"{name} has {announced} bytes, more than {limit}")
            for chunk in response.stream(_CHUNK):
                into.write(chunk)
                size += len(chunk)
                if not mark:
                    digest.update(chunk)
                if size > limit:
                    raise ImageError(ErrorCode.FILE_TOO_LARGE, f"{name} has more than {limit} bytes")
        except HTTPError as error:
            raise _typed(error, name) from error
        if whole is not None and size != whole:
            raise ImageError(ErrorCode.FETCH_FAILED, f"{name} broke off: {size} bytes came, Content-Range says {whole}")
        return Received(mark or f"sha256:{digest.hexdigest()}", response.headers.get("Content-Encoding", ""))

    def close(self) -> None:
        """Close the connections."""
        self._pools.clear()
        self._rule.close()


def content_mark(data: bytes) -> str:
    """Validator of a file whose server keeps none."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _guarded(rule: AddressRule) -> tuple[type[deadline.PlainConnection], type[deadline.TlsConnection]]:
    """Connections that go to an address which the rule has judged; Host, SNI and certificate stay those of the name."""

    class Guarded:
        host: str
        port: int
        timeout: Any

        def _new_conn(self) -> Any:
            return rule.connect(self.host, self.port, self.timeout)

    class GuardedPlain(Guarded, deadline.PlainConnection):
        pass

    class GuardedTls(Guarded, deadline.TlsConnection):
        pass

    return GuardedPlain, GuardedTls


def _headers(validator: str) -> dict[str, str]:
    headers = {"User-Agent": "packsight", "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"}
    kind, _, value = validator.partition(":")
    if kind == "etag":
        headers["If-None-Match"] = value
    elif kind == "modified":
        headers["If-Modified-Since"] = value
    return headers


def _validator(response: urllib3.BaseHTTPResponse) -> str:
    """ETag, else date, else nothing: then a hash is, with which an unchanged file is downloaded again but not taken for new."""
    for kind, header in (("etag", "ETag"), ("modified", "Last-Modified")):
        if value := response.headers.get(header):
            return f"{kind}:{value}"
    return ""


def _size_of_all(response: urllib3.BaseHTTPResponse) -> int | None:
    """Bytes of the file where a part that nobody asked for is said to be all of it; None for other parts and other statuses."""
    found = _ALL.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != HTTPStatus.PARTIAL_CONTENT or found is None or int(found[1]) + 1 != int(found[2]):
        return None
    return int(found[2])


def _status_error(response: urllib3.BaseHTTPResponse, name: str) -> ImageError:
    status = response.status
    error = ImageError(
        ErrorCode.HTTP_STATUS,
        f"{name} answered with status {status}",
        remedy=web_advice.of_status(status),
        retryable=status in _PASSING or 500 <= status < 600,
    )
    error.pause = seconds_to_wait(response.headers.get("Retry-After", ""))
    return error


def seconds_to_wait(wait: str) -> float:
    """Read a Retry-After: seconds, or a date (RFC 9110, 10.2.3); 0 for what is neither."""
    if wait.isascii() and wait.isdigit():
        return float(wait[:9])
    try:
        then = parsedate_to_datetime(wait)
    except ValueError:
        return 0.0
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def _typed(error: HTTPError, name: str) -> ImageError:
    if isinstance(error, TransferTimeout):
        return ImageError(ErrorCode.FETCH_TIMEOUT, f"{name} was not read in time")
    if isinstance(error, SSLError) and isinstance(error.args[0], ssl.SSLCertVerificationError):
        return ImageError(
            ErrorCode.FETCH_FAILED,
            f"{name}: the server's certificate does not hold: {error.args[0].verify_message}",
            remedy=web_advice.of_certificate(error.args[0].verify_code),
            retryable=False,
        )
    cause = error.args[-1] if isinstance(error, ProtocolError) and isinstance(error.args[-1], Exception) else error
    return ImageError(ErrorCode.FETCH_FAILED, f"{name} broke off: {type(cause).__name__}")
