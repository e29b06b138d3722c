"""Bodies of requests that are one object of JSON."""

from __future__ import annotations

import json
from typing import Any

from packsight.producer.http.refusal import bad_request
from packsight.shared.contract.references import whole


def read_object(body: bytes) -> dict[str, Any]:
    """Read an object, its texts without halves of characters; raises Refused for what is none."""
    try:
        found = _whole(json.loads(body))
    except (ValueError, RecursionError):
        raise bad_request("The body is no JSON") from None
    if not isinstance(found, dict):
        raise bad_request("The body is no object")
    return found


def _whole(value: Any) -> Any:
    match value:
        case str():
            return whole(value)
        case list():
            return [_whole(one) for one in value]
        case dict():
            return {whole(key): _whole(one) for key, one in value.items()}
    return value
