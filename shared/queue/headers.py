"""What the headers of a message may ask for: whoever writes to the broker may write anything there.

Celery takes them at their word: it holds a message until its `eta`, lets it set the time limit, and ends the worker over a field
of another type. Here they are checked before Celery sees them, what is the worker's to say is left out, and what is unknown too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Required

from celery.exceptions import InvalidTaskError
from kombu.utils.json import dumps
from pydantic import BeforeValidator, Field, OnErrorOmit, StrictBool, StrictInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes the one of typing from Python 3.12 on

from packsight.shared.contract.arguments import called, shown_arguments
from packsight.shared.contract.messages import CALLED
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.queue.transport.message import MALFORMED, REASON

MAX_WAIT = timedelta(days=7)
"""A message that is to wait longer is refused: as long as results are kept, and few would remember who sent it."""
MAX_CALLBACKS = 2**20
"""Bytes of callbacks, as JSON: some thousand of them. A child publishes them within its time limit."""
_ARGUMENT_DEPTH = 32
_CALLBACK_DEPTH = 200
"""Levels of nesting: one chord in another takes four; Python gives up at a thousand."""
_RETRIES = 10_000
_TOO_DEEP = "is nested too deeply"

_Name = Annotated[str, Field(max_length=256)]
_Stamp = Annotated[str, Field(max_length=1024)] | int | float | bool | None


class _Embed(TypedDict, total=False):
    # What stands in them is looked at when they are published: one that cannot be is no reason not to do the work.
    # Others are left out: Celery would set them in the request.
    callbacks: Any
    errbacks: Any
    chain: Any
    chord: Any


class _Fields(TypedDict, total=False):
    """What is looked at; protocol 2 has it in headers and body, protocol 1 in the body alone."""

    id: Required[Annotated[str, Field(min_length=1, max_length=256)]]
    task: Required[Annotated[str, Field(min_length=1, max_length=256)]]
    args: list[Any]
    kwargs: dict[str, Any]
    embed: Annotated[_Embed, BeforeValidator(lambda embed: {} if embed is None else embed)]
    lang: _Name | None
    origin: _Name | None
    root_id: _Name | None
    parent_id: _Name | None
    group: _Name | None
    group_index: StrictInt | None
    eta: _Name | None
    expires: _Name | None
    retries: StrictInt | None
    ignore_result: StrictBool | None
    # Those that say too much are left out: they tell whoever watches, and no photo depends on them.
    stamps: Annotated[dict[_Name, OnErrorOmit[_Stamp | list[_Stamp]]], Field(max_length=64)] | None
    stamped_headers: Annotated[list[_Name], Field(max_length=64)] | None


_FIELDS = TypeAdapter(_Fields)
_ASIDE = frozenset({"args", "kwargs", "embed", "eta", "expires", "retries"})


def admit(message: Any) -> float | None:
    """Check a message and leave in it what a worker may be told; return when it is due, None for at once.

    The time is in seconds since 1970. Raises InvalidTaskError, with a sentence, for what cannot become a task.
    """
    fields = fields_of(message)
    for name, depth in (("args", _ARGUMENT_DEPTH), ("kwargs", _ARGUMENT_DEPTH), ("embed", _CALLBACK_DEPTH)):
        for reason in _odd(fields.get(name), depth, strict=name != "embed"):
            raise InvalidTaskError(f"not a task message: {name} {reason}")
    try:
        found = _FIELDS.validate_python(fields)
    except ValidationError as error:
        raise InvalidTaskError(f"not a task message: {wrong_fields(error)}") from None
    embed = found.get("embed")
    if embed and len(json.dumps(embed, default=str)) > MAX_CALLBACKS:
        raise InvalidTaskError(f"its callbacks have more than {MAX_CALLBACKS:,} bytes")
    if named := found.get("stamped_headers"):  # Celery looks for the stamp of each name when it sends the task again
        found["stamped_headers"] = sorted(set(named).intersection(found.get("stamps") or ()))
    eta, expires = _time("eta", found.get("eta")), _time("expires", found.get("expires"))
    if eta is not None and eta - datetime.now(UTC) > MAX_WAIT:
        raise InvalidTaskError(f"it is to wait until {eta.isoformat()}; messages wait for {MAX_WAIT.days} days at most")
    if isinstance(message.payload, dict):  # Celery looks there for them, and tells the protocols apart by that
        message.payload.setdefault("args", [])
        message.payload.setdefault("kwargs", {})
    elif embed != message.payload[2]:
        _rewrite(message, [*message.payload[:2], embed])
    message.headers = {
        **{name: value for name, value in found.items() if name not in _ASIDE},
        "expires": expires.isoformat() if expires else None,
        "retries": min(max(found.get("retries") or 0, 0), _RETRIES),
        # Not the sender's to say: a longer limit holds a child, a shorter one kills it with the neighbours of the photo at fault.
        "timelimit": [None, None],
        # Waited for outside the worker, which would hold the message meanwhile.
        "eta": None,
        # What Flower and the log call the task.
        "shadow": None,
        "argsrepr": shown_arguments(called(found.get("args", []), fields.get(CALLED))),
        "kwargsrepr": shown_arguments(found.get("kwargs", {})),
    }
    properties = message.properties if isinstance(message.properties, dict) else {}
    message.properties = {
        "correlation_id": found["id"],
        "reply_to": properties["reply_to"] if _is_name(properties.get("reply_to")) else "",
        "priority": properties["priority"] if type(properties.get("priority")) is int else 0,
    }
    return eta.timestamp() if eta else None


def _rewrite(message: Any, payload: list[Any]) -> None:
    """Give a message another body: children read it anew."""
    message.body, message.content_encoding = dumps(payload), "utf-8"
    message._decoded_cache = payload


def fields_of(message: Any) -> dict[str, Any]:
    """Return all fields of a message, whichever protocol it was written by; raises InvalidTaskError when it has none."""
    if message.content_type == MALFORMED:
        raise InvalidTaskError(f"not a message: {message.headers.get(REASON)}")
    try:
        payload = message.payload
    except Exception as error:  # of another encoding, of a kind that is not accepted, of too deep a nesting
        raise InvalidTaskError(f"unreadable body: {error}") from None
    headers = dict(message.headers) if isinstance(message.headers, dict) else {}
    if payload and isinstance(payload, dict):
        # Celery takes these from the body's own fields, whatever else calls itself so.
        embed = {name: payload[name] for name in ("callbacks", "errbacks", "chord") if name in payload}
        return {**payload, **headers, "args": payload.get("args", []), "kwargs": payload.get("kwargs", {}), "embed": embed}
    if isinstance(payload, list | tuple) and len(payload) == 3:
        return {**headers, **dict(zip(("args", "kwargs", "embed"), payload, strict=True))}
    raise InvalidTaskError("the body is neither [args, kwargs, embed] nor an object with args and kwargs")


def callbacks_of(fields: dict[str, Any]) -> dict[str, Any]:
    """Return what is to follow on a task, of the fields of its message; nothing where that is too deep or too much."""
    embed = fields.get("embed")
    if not isinstance(embed, dict) or _TOO_DEEP in _odd(embed, _CALLBACK_DEPTH, strict=False):
        return {}
    return embed if len(json.dumps(embed, default=str)) <= MAX_CALLBACKS else {}


def is_plain(value: Any, depth: int = _ARGUMENT_DEPTH) -> bool:
    """Tell whether a value is what JSON can hold, of characters that can be written, nested no deeper than `depth`."""
    return not any(_odd(value, depth, strict=True))


def _odd(value: Any, depth: int, *, strict: bool) -> Iterator[str]:
    """Say what of a value cannot be handled; without recursion, since its depth is what may be odd."""
    level = [value]
    while level:
        if depth < 0:
            yield _TOO_DEEP
            return
        below: list[Any] = []
        for one in level:
            if isinstance(one, str):  # most are
                if not one.isascii() and any("\ud800" <= letter <= "\udfff" for letter in one):
                    yield "holds half a character"
            elif isinstance(one, dict):
                below += one.keys()
                below += one.values()
            elif isinstance(one, (list, tuple)):
                below += one
            elif isinstance(one, float):
                if not math.isfinite(one):
                    yield "holds what is no number"
            elif strict and not isinstance(one, int | None):
                # Celery's JSON brings times and bytes along; no argument of a task here is one.
                yield f"holds a value of type {type(one).__name__}"
        level, depth = below, depth - 1


def _time(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return time.astimezone(UTC)
    except (OverflowError, ValueError):
        raise InvalidTaskError(f"not a task message: {name}: no time as ISO 8601 writes it") from None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 256
