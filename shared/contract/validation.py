"""What pydantic found wrong, as one line for a person."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

Location = tuple[int | str, ...]


def _dotted(location: Location) -> str:
    return ".".join(map(str, location)) or "argument"


def wrong_fields(error: ValidationError, name: Callable[[Location], str] = _dotted) -> str:
    """Name each wrong field with what is wrong about it; `name` makes the name of its place."""
    return "; ".join(f"{name(item['loc'])}: {item['msg']}" for item in error.errors())
