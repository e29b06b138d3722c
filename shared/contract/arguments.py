"""A message's arguments as people may see them: in Flower, in a log, on the dead-letter list."""

from __future__ import annotations

import json
from typing import Any

from packsight.shared.contract.references import plain, printable, shown

_CHARACTERS = 1000
_NAME = 200
"""Characters of a job's name: as many as one may have."""
_ITEMS = 3
"""Entries of a list that are shown: of a batch's photos the first tell which it is."""
_FIELDS = 20
_DEPTH = 4
_DIGITS = 10**18
"""Python refuses to write out a number of more than 4,300 digits."""
_QUOTED = json.JSONEncoder(ensure_ascii=False).encode


def called(arguments: Any, names: Any) -> Any:
    """Return a batch's arguments with its job, and with its first photos under the names that their sender has for them.

    names: `job`, `photos` and perhaps the job's `name`, in whatever form somebody sent them; arguments stay as they are where
    these are not understood.
    """
    match arguments, names:
        case [{"images": [*images]} as argument], {"job": str(job), "photos": [*photos]}:
            known = [photo for photo in photos[: min(_ITEMS, len(images))] if isinstance(photo, str)]
            name = names.get("name")
            named = {"name": plain(name[:_NAME])} if name and isinstance(name, str) else {}
            return [{"job": job, **named, **argument, "images": [*known, *images[len(known) :]]}]
    return arguments


def shown_arguments(value: Any) -> str:
    """Return one line of at most 1,001 characters in which every text is as `references.shown` has it."""
    text = _written(value, _DEPTH)
    return text if len(text) <= _CHARACTERS else text[:_CHARACTERS] + "…"


def _written(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return _QUOTED(shown(value))
    if isinstance(value, list | tuple | dict):
        if not depth:
            return "…"
        if isinstance(value, dict):
            parts = [f"{_written(str(key), depth)}: {_written(value[key], depth - 1)}" for key in list(value)[:_FIELDS]]
            left = len(value) - len(parts)
        else:
            parts = [_written(one, depth - 1) for one in value[:_ITEMS]]
            left = len(value) - len(parts)
        text = ", ".join([*parts, f"… {left} more"] if left else parts)
        return f"{{{text}}}" if isinstance(value, dict) else f"[{text}]"
    if isinstance(value, int) and abs(value) >= _DIGITS:
        return "…"
    return printable(json.dumps(value, default=lambda odd: type(odd).__name__))
