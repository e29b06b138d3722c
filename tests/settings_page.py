"""`python -m tests.settings_page`: write docs/settings.md, every setting with what `shared/settings/` says of it."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from packsight.shared.settings import Settings

PAGE = Path(__file__).parent.parent / "docs/settings.md"

INTRODUCTION = """# Settings

Each is an environment variable, or a line of the stack file (`.packsight/stack.env`); a variable `PACKSIGHT_…_FILE`, which is no
line of that, names a file with its value. Lists are written as `["a", "b"]`, in variables also as `a,b`.
`python -m tests.settings_page` writes this page from `shared/settings/`; [operations](operations.md#settings) tells which an
operator meets first.
"""


def page() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    fields = Settings.model_fields
    sections = {name: type(field.default) for name, field in fields.items() if isinstance(field.default, BaseModel)}
    yield from _table(Settings, "PACKSIGHT_", [name for name in fields if name not in sections])
    for name, section in sections.items():
        yield f"## {name.upper()}\n\n{inspect.cleandoc(section.__doc__ or '')}\n"
        yield from _table(section, f"PACKSIGHT_{name.upper()}__", list(section.model_fields))


def _table(model: type[BaseModel], prefix: str, names: list[str]) -> Iterator[str]:
    yield "| variable | default | meaning |\n| --- | --- | --- |"
    told = meanings(model)
    for name in names:
        meaning = told.get(name, "").replace("|", "\\|")
        yield f"| `{prefix}{name.upper()}` | {_default(model.model_fields[name])} | {meaning} |"
    yield ""


def _default(field: FieldInfo) -> str:
    default: Any = field.get_default(call_default_factory=True)
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if default in (None, "", (), {}):
        return "–"
    if isinstance(default, bool | tuple):
        default = json.dumps(default)
    elif isinstance(default, float) and default.is_integer():
        default = int(default)
    return f"`{default.value if isinstance(default, Enum) else default}`"


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """What stands below the fields of a section, by field."""
    (found,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(found, ast.ClassDef)
    told = {}
    for field, below in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            told[field.target.id] = " ".join(str(below.value.value).split())
    return told


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
