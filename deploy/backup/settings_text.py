"""The settings that differ from their defaults, as lines of an env file, without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, SecretStr

from packsight.deploy.stack.state import StackState
from packsight.shared.settings import Settings

_NOT_IN_IT = (
    "# Not in it: passwords, keys of object storage, the key that signs catalogs (catalog-key.pem, or catalog/key.pem of",
    "# `packsight secrets`), keys, people and webhook secrets of the HTTP door (http/accounts.json of its home), addresses of",
    "# broker and results, and settings of services that this command was not given.",
)
_CREDENTIALS = frozenset({"PACKSIGHT_S3__ACCESS_KEY"})


def text_of(settings: Settings, state: StackState | None) -> str:
    """What a person needs to set up the same again; state: of the local stack, if there is one."""
    lines = ["# The settings of whoever took this backup, as far as they differ from their defaults.", *_NOT_IN_IT]
    if state is not None:
        flower = "--flower" if state.flower else "--no-flower"
        lines.append(f"# The stack was started by: packsight up --workers {state.workers} {flower}")
    return "\n".join([*lines, *_changed("PACKSIGHT", settings, Settings.model_construct()), ""])


def _changed(name: str, value: Any, default: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for field in type(value).model_fields:
            level = "_" if isinstance(value, Settings) else "__"
            yield from _changed(f"{name}{level}{field.upper()}", getattr(value, field), getattr(default, field))
    elif value != default and not isinstance(value, SecretStr) and name not in _CREDENTIALS:
        yield f"{name}={_written(value)}"


def _written(value: Any) -> str:
    if isinstance(value, tuple | dict | bool):
        return f"'{json.dumps(value)}'"
    return f"'{value}'"
