"""The servers that everything meets at, and what is shown of it: broker and results, object storage, Flower, figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from packsight.shared.settings.section import EXAMPLE, Secret, Section


def _one_redis_server(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    kind, mark, _ = text.partition("://")
    if not mark or kind not in {"redis", "rediss"} or ";" in text:
        raise PydanticCustomError(
            "redis_url",
            "{scheme} is not supported: name one Redis or Valkey server as redis://:password@host:port/database, "
            "or rediss://… for TLS",
            {"scheme": "a list of servers" if ";" in text else f"{kind}://" if mark else "an address without redis://"},
        )
    try:
        parts = urlsplit(text)
        is_named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port, or of brackets
        is_named = False
    if not is_named:
        raise PydanticCustomError(
            "redis_host",
            "no host is named, or no port: write redis://:password@host:port/database, IPv6 as [::1]:6379, "
            "and %2F for / in a password",
        )
    if parts.password == EXAMPLE:
        raise PydanticCustomError("example", "its password is the example's, which everybody knows: put a secret in its place")
    return url


RedisUrl = Annotated[SecretStr, AfterValidator(_one_redis_server)]
"""Address of a Redis database; the transport's scripts need one server that holds all keys."""


class Redis(Section):
    """How the servers of broker and results are entered; for addresses that say no user and password of their own."""

    user: str = ""
    """Empty: the one that the address names, or none."""
    password: Secret = SecretStr("")
    """As it is: nothing in it need be encoded."""
    ca: Path | None = None
    """Certificates by which a server is known over rediss://; None: those of the system."""
    cert: Path | None = None
    """Our own certificate, where the server asks for one, with `key`."""
    key: Path | None = None
    """The private key of `cert`."""

    def address(self, url: SecretStr) -> str:
        """An address with all that is needed to connect, encoded as addresses are: a secret."""
        parts = urlsplit(url.get_secret_value())
        place, password = parts.netloc, self.password.get_secret_value()
        if "@" not in place and (self.user or password):
            place = f"{quote(self.user, safe='')}:{quote(password, safe='')}@{place}"
        query = dict(parse_qsl(parts.query))
        if parts.scheme == "rediss":
            files = {"ssl_ca_certs": self.ca, "ssl_certfile": self.cert, "ssl_keyfile": self.key}
            # kombu would not look at the certificate unless it is told to.
            query = {"ssl_cert_reqs": "required", **{name: str(file) for name, file in files.items() if file}, **query}
        return urlunsplit((parts.scheme, place, parts.path, urlencode(query), ""))


def _bucket(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z0-9][\w.:-]{1,61}[A-Za-z0-9]", text, re.ASCII):
        raise PydanticCustomError("bucket", "a bucket's name has 3 to 63 letters, digits, dots and dashes, as in my-photos")
    if re.fullmatch(r"\d+(\.\d+){3}|.*([.-]\.|\.-).*|.*(-s3alias|--ol-s3)", text):  # which the client refuses to ask for
        raise PydanticCustomError("bucket", "no bucket can be called so: take letters, digits and single dashes, as in my-photos")
    return text


def is_host(text: str) -> bool:
    """Whether it is a host, or a host and a port of it: IPv6 addresses stand in brackets."""
    try:
        parts = urlsplit(f"//{text}")
        return parts.netloc == text and bool(parts.hostname) and parts.port != 0 and not re.search(r"[\s@]", text)
    except ValueError:
        return False


def _endpoint(text: str) -> str:
    if text and not is_host(text):
        raise PydanticCustomError("endpoint", "write it as host:port, without http:// or a path, and IPv6 as [::1]:9000")
    return text


class S3(Section):
    """Object storage; any S3-compatible endpoint."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = "127.0.0.1:9000"
    """Host and port, without http://."""
    access_key: str = ""
    """Name of the key."""
    secret_key: Secret = SecretStr("")
    """Its secret."""
    secure: bool = False
    """Whether it is asked over TLS."""
    ca: Path | None = None
    """Certificates by which a server is known when `secure`; None: those that urllib3 knows."""
    region: str = "us-east-1"
    """As the server names it, which checks signatures by it."""
    bucket: Annotated[str, AfterValidator(_bucket)] = "packsight"
    """Whoever keeps nothing there, as Flower, may have none."""
    connect_timeout: float = 2.0
    """Seconds for one try to connect."""
    read_timeout: float = 10.0
    """Seconds without a byte of an answer."""


class Flower(Section):
    """The page that watches the queues."""

    user: str = "packsight"
    """Who signs in at the page; ASCII alone."""
    password: Secret = SecretStr("")
    """Flower does not start without one; ASCII alone."""


class Metrics(Section):
    """Where the figures of a worker, the indexer or the HTTP door are scraped."""

    port: int = Field(default=0, ge=0, le=65535)
    """Each process of a machine needs its own; 0 = nowhere."""
    address: str = "127.0.0.1"
    """That of an interface. The page asks for no password: open it to no more than a network on which Prometheus alone is."""
