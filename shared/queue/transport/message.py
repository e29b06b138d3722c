"""Messages, whatever a foreign program wrote into the list."""

from __future__ import annotations

import base64
import bz2
import json
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from kombu.transport import virtual

MAX_BYTES = 16 * 2**20
"""Bytes of a message, and of its body when unpacked: 1,024 references of 4,096 characters each are 6 MB. Reading one of 300 MB
would hold up the broker and a worker's parent for seconds."""
KEPT_BYTES = 65_536
"""How much is kept of what cannot be read, for a person to look at."""

MALFORMED = "application/x-malformed"
"""Content type of what is no message; nobody accepts it, so it goes the way of every message that nobody understands."""
REASON = "malformed"
"""Header of a malformed message: what is wrong with it."""
_RAW = "malformed"
"""Where the fetch puts the text of what has no delivery tag of its own."""

_UNPACKERS: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("application/x-gzip", "gzip", "zlib"), zlib.decompressobj),
    **dict.fromkeys(("application/x-bz2", "bzip2", "bzip"), bz2.BZ2Decompressor),
    **dict.fromkeys(("application/x-lzma", "lzma", "xz"), lambda: lzma.LZMADecompressor(memlimit=4 * MAX_BYTES)),
}
"""By kombu's names. These stop at a length; a few kilobytes can unpack to gigabytes."""


class Message(virtual.Message):  # type: ignore[misc]
    """A message that can always be made: one that breaks the rules becomes a malformed one, with its text as body."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        try:
            if _RAW in payload:
                raise ValueError(_unreadable(payload.get("size")))
            headers = payload.get("headers") or {}
            packed = headers.get("compression")
            plain = {name: value for name, value in headers.items() if name != "compression"}
            super().__init__({**payload, "headers": plain}, channel=channel, **kwargs)
            if packed:
                self.body: Any = _unpacked(self.body, packed)
        except Exception as error:  # such as a body of another encoding than it names
            super().__init__(_envelope(payload, str(error)), channel=channel, **kwargs)


def read(text: str, queue: str, tag: str) -> dict[str, Any]:
    """Make of what was taken from a queue and recorded under a tag what `Message` takes.

    Where it came from is what is known, not what it says: it is counted by its queue, and acknowledged by its tag.
    """
    try:
        payload = json.loads(text)
        properties = dict(payload["properties"])
        told = properties.get("delivery_info")
    except (LookupError, RecursionError, TypeError, ValueError):  # the server's reader is not as strict as ours
        payload, properties, told = {_RAW: text}, {}, None
    origin: dict[str, Any] = {"exchange": "", "routing_key": queue}
    if isinstance(told, dict) and told.get("redelivered") is True:
        origin["redelivered"] = True
    return {**payload, "properties": {**properties, "delivery_tag": tag, "delivery_info": origin}}


def _unreadable(size: Any) -> str:
    if isinstance(size, int) and size > MAX_BYTES:
        return f"it has {size:,} bytes, and no more than {MAX_BYTES:,} are read"
    return "it is not written as kombu writes messages"


def _unpacked(body: bytes, packed: Any) -> bytes:
    if not isinstance(packed, str) or packed not in _UNPACKERS:
        raise ValueError(f"its body is packed by something other than {', '.join(_UNPACKERS)}")
    unpacker = _UNPACKERS[packed]()
    unpacked: bytes = unpacker.decompress(body, MAX_BYTES + 1)
    if len(unpacked) > MAX_BYTES:
        raise ValueError(f"its body has more than {MAX_BYTES:,} bytes when unpacked")
    if not unpacker.eof:
        raise ValueError("its packed body ends too early")
    return unpacked


def _envelope(payload: dict[str, Any], reason: str) -> dict[str, Any]:
    text = payload[_RAW] if isinstance(payload.get(_RAW), str) else json.dumps(payload, default=repr)
    kept = text[:KEPT_BYTES].encode(errors="replace")
    return {
        "body": base64.b64encode(kept).decode(),
        "headers": {REASON: reason, **_called(payload)},
        "content-type": MALFORMED,
        "content-encoding": "utf-8",
        "properties": {
            "delivery_tag": payload["properties"]["delivery_tag"],
            "delivery_info": payload["properties"].get("delivery_info") or {"exchange": "", "routing_key": ""},
            "body_encoding": "base64",
        },
    }


def _called(payload: dict[str, Any]) -> dict[str, str]:
    """Id and task of what is no message, where it says them: whoever waits for that id is to hear of it."""
    try:
        told = (json.loads(payload[_RAW]) if _RAW in payload else payload)["headers"]
        return {name: told[name] for name in ("id", "task") if isinstance(told.get(name), str)}
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return {}
