"""Messages, whatever a foreign program wrote into the list."""

from __future__ import annotations

import base64
import json
from typing import Any

from kombu.transport import virtual

MALFORMED = "application/x-malformed"
"""Content type of what is no message; nobody accepts it, so it goes the way of every message that nobody understands."""
_RAW = "malformed"
"""Where the fetch puts the text of what has no delivery tag of its own."""


class Message(virtual.Message):  # type: ignore[misc]
    """A message that can always be made: one that breaks the rules becomes a malformed one, with its text as body."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        try:
            super().__init__(_envelope(payload) if _RAW in payload else payload, channel=channel, **kwargs)
        except Exception:  # such as a body of another encoding than it names
            super().__init__(_envelope(payload), channel=channel, **kwargs)


def _envelope(payload: dict[str, Any]) -> dict[str, Any]:
    text = payload.get(_RAW) or json.dumps(payload)
    origin = payload["properties"].get("delivery_info")
    return {
        "body": base64.b64encode(text.encode()).decode(),
        "headers": {},
        "content-type": MALFORMED,
        "content-encoding": "utf-8",
        "properties": {
            "delivery_tag": payload["properties"]["delivery_tag"],
            "delivery_info": origin if isinstance(origin, dict) else {"exchange": "", "routing_key": ""},
            "body_encoding": "base64",
        },
    }
