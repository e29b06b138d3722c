"""What is kept of a message that cannot become a task, and who is told of it."""

from __future__ import annotations

import base64
from typing import Any

from celery.app.task import Context

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.references import plain
from packsight.shared.queue.dead_letters import DeadLetter
from packsight.shared.queue.headers import callbacks_of, fields_of, is_plain
from packsight.shared.queue.transport.message import KEPT_BYTES

FOLLOWED = 100
"""Callbacks of one kind that are told of a refusal: a worker's parent does so, and nothing else meanwhile."""


def dead_letter(message: Any, error: Exception) -> DeadLetter:
    """Describe a refused message so that a person can judge it and, if it is readable, send it again."""
    fields = _fields(message)
    payload: dict[str, Any] = {"body": _text(message.body), "content_type": plain(str(message.content_type)[:256])}
    args, kwargs = fields.get("args"), fields.get("kwargs")
    if isinstance(args, list) and isinstance(kwargs, dict) and is_plain(args) and is_plain(kwargs):
        payload = {"args": args, "kwargs": kwargs}
    return DeadLetter(
        code=ErrorCode.BAD_MESSAGE,
        message=plain(f"{type(error).__name__}: {error}"[:1000]),
        task=_name(fields.get("task")),
        task_id=_id(fields.get("id")),
        payload=payload,
        queue=_name((message.delivery_info or {}).get("routing_key")),
    )


def context(message: Any, task_id: str) -> Context:
    """Return who waits for a refused task, as far as that can be read: the rest of its chain, its chord, its error callbacks."""
    fields = _fields(message)
    followers, place = callbacks_of(fields), fields.get("group_index")
    return Context(
        id=task_id,
        root_id=_name(fields.get("root_id")) or None,
        parent_id=_name(fields.get("parent_id")) or None,
        group=_name(fields.get("group")) or None,
        group_index=place if type(place) is int else None,
        chord=followers.get("chord"),
        chain=_few(followers.get("chain")),
        errbacks=_few(followers.get("errbacks")),
    )


def _fields(message: Any) -> dict[str, Any]:
    try:
        return fields_of(message)
    except Exception:  # unreadable is what it may well be
        return dict(message.headers) if isinstance(message.headers, dict) else {}


def _few(followers: Any) -> Any:
    """Of a chain, whose last task comes first, those that are waited for."""
    return followers[:FOLLOWED] if isinstance(followers, list) else followers


def _id(value: Any) -> str:
    """The id of a task, also one that is a number: its sender looks for the result under its digits."""
    return str(value) if type(value) is int and abs(value) < 2**64 else _name(value)


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
