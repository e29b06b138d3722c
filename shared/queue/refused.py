"""What is kept of a message that cannot become a task."""

from __future__ import annotations

import base64
from typing import Any

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.references import plain
from packsight.shared.queue.dead_letters import DeadLetter
from packsight.shared.queue.headers import fields_of, is_plain
from packsight.shared.queue.transport.message import KEPT_BYTES


def dead_letter(message: Any, error: Exception) -> DeadLetter:
    """Describe a refused message so that a person can judge it and, if it is readable, send it again."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    try:
        fields = fields_of(message)
    except Exception:  # unreadable is what it may well be
        fields = dict(headers)
    payload: dict[str, Any] = {"body": _text(message.body), "content_type": plain(str(message.content_type)[:256])}
    args, kwargs = fields.get("args"), fields.get("kwargs")
    if isinstance(args, list) and isinstance(kwargs, dict) and is_plain(args) and is_plain(kwargs):
        payload = {"args": args, "kwargs": kwargs}
    return DeadLetter(
        code=ErrorCode.BAD_MESSAGE,
        message=plain(f"{type(error).__name__}: {error}"[:1000]),
        task=_name(fields.get("task")),
        task_id=_name(fields.get("id")),
        payload=payload,
        queue=_name((message.delivery_info or {}).get("routing_key")),
    )


def _name(value: Any) -> str:
    """A name as it is; nothing where it is none, or longer than any name: nobody could wait for a task of this id."""
    return value if isinstance(value, str) and len(value) <= 256 and is_plain(value) else ""


def _text(body: Any) -> str:
    if isinstance(body, bytes):
        try:
            return body[:KEPT_BYTES].decode()
        except UnicodeDecodeError:
            return "base64:" + base64.b64encode(body[:KEPT_BYTES]).decode()
    return str(body)[:KEPT_BYTES].encode(errors="replace").decode()
