"""Bodies of requests that are one object of JSON, or a form."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData

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


async def read_form(request: Request, **limits: int) -> FormData:
    """Read a form, its texts as those of an object; limits: as the framework has them. Raises Refused for what is none."""
    try:
        form = await request.form(**limits)
    except UnicodeError:  # of an encoding that is told, and decodes nothing
        raise bad_request("The form cannot be read in the encoding that it is said to have") from None
    return FormData([(whole(name), whole(value) if isinstance(value, str) else value) for name, value in form.multi_items()])


def _whole(value: Any) -> Any:
    match value:
        case str():
            return whole(value)
        case list():
            return [_whole(one) for one in value]
        case dict():
            return {whole(key): _whole(one) for key, one in value.items()}
    return value
