"""Which messages can become a task, and what is kept of one that cannot."""

from __future__ import annotations

import base64
from typing import Any, Required

from celery.exceptions import InvalidTaskError
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes the one of typing from Python 3.12 on

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.queue.dead_letters import DeadLetter

_TEXT_LIMIT = 65_536


class _Task(TypedDict, total=False):
    """What Celery relies on without looking; protocol 2 has it in headers and body, protocol 1 in the body alone."""

    id: Required[str]
    task: Required[str]
    args: list[Any]
    kwargs: dict[str, Any]
    embed: dict[str, Any]
    timelimit: tuple[float | None, float | None] | None
    eta: str | None
    expires: str | float | None
    retries: int | None
    stamps: dict[str, Any] | None
    stamped_headers: list[str] | None


_TASK = TypeAdapter(_Task)


def check(message: Any) -> None:
    """Raise InvalidTaskError when Celery could not make a task of a message.

    Celery itself assumes that whoever writes to the broker follows its protocol; a message without id, or with a body
    of another shape, would end the worker, and the next one after it.
    """
    try:
        _TASK.validate_python(_fields(message))
    except ValidationError as error:
        raise InvalidTaskError(f"not a task message: {wrong_fields(error)}") from None


def dead_letter(message: Any, error: Exception) -> DeadLetter:
    """Describe a refused message so that a person can judge it and, if it is readable, send it again."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    try:
        fields = _fields(message)
    except Exception:  # unreadable is what it may well be
        fields = dict(headers)
    payload: dict[str, Any] = {"body": _text(message.body), "content_type": str(message.content_type)}
    if isinstance(fields.get("args"), list) and isinstance(fields.get("kwargs"), dict):
        payload = {"args": fields["args"], "kwargs": fields["kwargs"]}
    return DeadLetter(
        code=ErrorCode.BAD_MESSAGE,
        message=f"{type(error).__name__}: {error}"[:1000],
        task=_name(fields.get("task")),
        task_id=_name(fields.get("id")),
        payload=payload,
        queue=_name((message.delivery_info or {}).get("routing_key")),
    )


def _fields(message: Any) -> dict[str, Any]:
    try:
        payload = message.payload
    except (LookupError, UnicodeError) as error:
        raise InvalidTaskError(f"unreadable body: {error}") from None
    headers = dict(message.headers) if isinstance(message.headers, dict) else {}
    if isinstance(payload, dict):
        return {**payload, **headers}
    if isinstance(payload, list | tuple) and len(payload) == 3:
        return {**headers, **dict(zip(("args", "kwargs", "embed"), payload, strict=True))}
    raise InvalidTaskError("the body is neither [args, kwargs, embed] nor an object with args and kwargs")


def _name(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _text(body: Any) -> str:
    if isinstance(body, bytes):
        try:
            return body.decode()[:_TEXT_LIMIT]
        except UnicodeDecodeError:
            return "base64:" + base64.b64encode(body[:_TEXT_LIMIT]).decode()
    return str(body)[:_TEXT_LIMIT]
