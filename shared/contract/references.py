"""Image references as people write them: Cyrillic and spaces in addresses; and what may be shown of them."""

from __future__ import annotations

import contextlib
import re
import string
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from packsight.shared.contract.errors import ErrorCode, ImageError

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # halves of characters too: they cannot be sent
# Beside the control characters of ASCII those of Latin-1, which terminals obey too, what breaks a line, what turns the direction
# of writing, and halves of characters, which cannot be written out.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_HALF = re.compile(r"[\ud800-\udfff]")
_LINES = re.compile(r"[^\n]+")
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>\\]+")
_NAME = re.compile(r"(?=.{1,253}\.?$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_-]{1,63}\.?")
_DOTTED_QUAD = re.compile(r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}")
_NUMBER = re.compile(r"\d+|0[xX][0-9A-Fa-f]*")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUERY = re.compile(r"([^?#]*)([?#]?)(.*)", re.DOTALL)
_QUESTION = re.compile(r"([^?]*)([?]?)(.*)", re.DOTALL)
_RELATIVE = re.compile(r"\s*//")
_BUCKET = re.compile(r"[^@:]*")
_FOLDER = re.compile(r"[^@]*|[^:]*")
_AUTHORITY = re.compile(r"(\[[^@\]]*\]|[^@:\[\]]*)(:\d*)?")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Address:
    """A checked http(s) address, ready to be sent: only ASCII, no credentials, no fragment."""

    scheme: str
    host: str
    """Name or IP address, an IPv6 one without brackets."""
    port: int
    target: str
    """Path and query."""

    @property
    def url(self) -> str:
        """The address as one text."""
        port = None if self.port == {"http": 80, "https": 443}[self.scheme] else self.port
        return f"{self.scheme}://{place(self.host, port)}{self.target}"


def place(host: str, port: int | None) -> str:
    """Host and port as one text, an IPv6 address in brackets."""
    named = f"[{host}]" if ":" in host else host
    return named if port is None else f"{named}:{port}"


def scheme(reference: str) -> str:
    """Return `http`, `https`, `s3` … in lower case; empty for a plain path."""
    match = _SCHEME.match(reference)
    return match[1].lower() if match else ""


def shown(reference: str) -> str:
    """Return what may be shown of a reference, in a log or to a person: one line, at most 201 characters.

    No user, password, query or fragment, since these carry keys and signatures; no control character. Every other place that
    shows a reference calls this; results alone carry it as it was sent, since programs join on it.
    """
    begin = _SCHEME.match(reference) or _RELATIVE.match(reference)
    text = reference[begin.end() :] if begin else reference
    # A key may hold a number sign; a question mark is more likely the signature of a presigned address.
    web = begin is not None and begin[0].strip().lower() != "s3://"
    address, mark, _ = (_QUERY if web else _QUESTION).match(text).groups()  # type: ignore[union-attr]
    authority, slash, path = address.partition("/")
    if not (_AUTHORITY if web else _BUCKET if begin else _FOLDER).fullmatch(authority):
        # A user, or something that may be half of a password.
        authority, slash, path = f"…@{authority.rpartition('@')[2]}" if "@" in authority else "…", "", ""
    text = printable(f"{begin[0] if begin else ''}{authority}{slash}{path}{mark}{mark and '…'}")
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def printable(text: str) -> str:
    """Return text without what a terminal would obey or that would begin another line."""
    # What Python calls printable holds none of it, and is told much faster.
    return text if text.isprintable() else _UNPRINTABLE.sub("�", text)


def is_whole(text: str) -> bool:
    """Whether a text can be written as UTF-8: it holds no halves of characters, as names of files in other encodings do."""
    return not _HALF.search(text)


def whole(text: str) -> str:
    """Return a text with U+FFFD for halves of characters, as they are left where programs cut texts of JSON."""
    return _HALF.sub("\ufffd", text)


def plain(text: str) -> str:
    """Return a line in which addresses that it holds are as `shown`, without control characters: for what others wrote."""
    return printable(_IN_TEXT.sub(lambda found: shown(found[0]), text) if "://" in text else text)


def plain_lines(text: str) -> str:
    """The same for several lines, which stay lines of their own."""
    return _LINES.sub(lambda line: plain(line[0]), text)


def is_picture_itself(reference: str) -> bool:
    """Whether a picture stands in the place of its reference, as a data URI (RFC 2397)."""
    return reference.lstrip()[:5].lower() == "data:"


def parse_object(reference: str) -> tuple[str, str]:
    """Split s3://bucket/key; the key is taken literally, with tabs and line breaks too."""
    bucket, _, key = reference.partition("://")[2].partition("/")
    if not bucket or not key:
        raise ImageError(ErrorCode.REFERENCE_INVALID, f"{shown(reference)} names no bucket and key")
    if not is_whole(reference):
        raise _invalid(reference, "it has halves of characters, which no key holds")
    return bucket, key


def parse_address(reference: str) -> Address:
    """Check an http(s) address and percent-encode what is not allowed in one.

    Raises ImageError REFERENCE_INVALID, or REFERENCE_REFUSED for credentials and for hosts written as one number.
    """
    reference = reference.strip()
    parts = _split(reference)
    if "@" in parts.netloc:
        raise ImageError(
            ErrorCode.REFERENCE_REFUSED,
            f"{shown(reference)} carries credentials",
            remedy="Use a presigned address or put the photo into object storage.",
        )
    host = _host(parts, reference)
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except ValueError:
        raise _invalid(reference, "its port is no number from 1 to 65535") from None
    target = _encoded(parts.path or "/", "/:@!$&'()*+,;=~%")
    if parts.query:
        target += "?" + _encoded(parts.query, "/:@!$&'()*+,;=~%?")
    return Address(parts.scheme, host, port, target)


def in_ascii(host: str) -> str:
    """Return a host, with or without a port, as it stands in DNS (RFC 3490); raises UnicodeError for one that cannot."""
    if host.isascii():
        return host
    name, colon, port = host.partition(":")
    return name.encode("idna").decode() + colon + port


def follow(current: Address, location: str) -> Address:
    """Address that a redirect leads to, checked like the first one."""
    # http.client reads headers as Latin-1; servers send UTF-8, and other bytes mean to be sent back as they are.
    with contextlib.suppress(UnicodeEncodeError):
        sent = location.encode("latin-1")
        try:
            location = sent.decode()
        except UnicodeDecodeError:
            location = quote(sent, safe=string.printable)
    return parse_address(urljoin(current.url, location.strip()))


def _split(reference: str) -> SplitResult:
    if _CONTROL.search(reference):
        raise _invalid(reference, "it has control characters, or halves of characters")
    try:
        parts = urlsplit(reference)
    except ValueError:
        raise _invalid(reference, "its host cannot be read") from None
    if parts.scheme not in {"http", "https"}:
        raise _invalid(reference, "only http, https and s3 are known")
    return parts


def _host(parts: SplitResult, reference: str) -> str:
    host = parts.hostname or ""
    if ":" in host:
        if re.fullmatch(r"[0-9a-f:.]+", host):
            return host
        raise _invalid(reference, "its host cannot be read")
    try:
        host = in_ascii(host)
    except UnicodeError:
        raise _invalid(reference, "its host cannot be read") from None
    if not _NAME.fullmatch(host):
        raise _invalid(reference, "its host cannot be read")
    # Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1; no shop writes its address so.
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) and not _DOTTED_QUAD.fullmatch(host):
        raise ImageError(ErrorCode.REFERENCE_REFUSED, f"{shown(reference)}: its host is a number")
    return host


def _encoded(text: str, safe: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=safe)


def _invalid(reference: str, reason: str) -> ImageError:
    return ImageError(ErrorCode.REFERENCE_INVALID, f"{shown(reference)}: {reason}")
