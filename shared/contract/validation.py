"""What pydantic found wrong, as one line for a person."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from packsight.shared.contract.references import printable

Location = tuple[int | str, ...]
_NAME = 64
"""Characters that are shown of a field's name: whoever wrote the message chose it."""
_WRONG = 20
"""Wrong fields that are named: more tell nobody more."""


def _dotted(location: Location) -> str:
    return ".".join(printable(str(part))[:_NAME] for part in location) or "argument"


def wrong_fields(error: ValidationError, name: Callable[[Location], str] = _dotted) -> str:
    """Name each wrong field with what is wrong about it; `name` makes the name of its place."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    more = f"; and {len(found) - _WRONG} more" if len(found) > _WRONG else ""
    return "; ".join(f"{name(item['loc'])}: {printable(item['msg'])}" for item in found[:_WRONG]) + more
