"""Values of settings that lie in files, as containers are given secrets: PACKSIGHT_…_FILE names the file of PACKSIGHT_…."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from packsight.shared.contract.errors import UserError

_SUFFIX = "_file"
_NO_VALUE = frozenset({"packsight_stack_file"})
"""Variables that end so and are no such thing."""


class Environment(EnvSettingsSource):
    """The environment's variables; of those that name files each stands for its file's content, without the line's end.

    Variables of sections that there are not are handed on, so that they are refused. Others that merely begin alike are not ours:
    Kubernetes makes PACKSIGHT_HTTP_PORT of a service's name.

    Raises UserError for a file that cannot be read or is empty, and for a value that is given in both ways.
    """

    def __call__(self) -> dict[str, Any]:
        """The values by field."""
        found = super().__call__()
        prefix = self.env_prefix.lower()
        for name, value in self.env_vars.items():
            section, nested, _ = name.removeprefix(prefix).partition(self.env_nested_delimiter or "__")
            if name.startswith(prefix) and nested and section not in self.settings_cls.model_fields:
                found[name.removeprefix(prefix)] = value
        return found

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Lists may be written with commas, as people do, beside JSON."""
        if isinstance(value, str) and get_origin(field.annotation) is tuple and not value.lstrip().startswith("["):
            return [one.strip() for one in value.split(",") if one.strip()]
        return super().decode_complex_value(field_name, field, value)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        variables = dict(super()._load_env_vars())
        for name, path in list(variables.items()):
            if not name.startswith(self.env_prefix.lower()) or not name.endswith(_SUFFIX) or name in _NO_VALUE:
                continue
            del variables[name]
            plain = name.removesuffix(_SUFFIX)
            if path and plain in variables:
                raise UserError(f"{plain.upper()} and {name.upper()} are both set. Leave one of them out.")
            if path:
                variables[plain] = _content(name.upper(), Path(path))
        return variables


def _content(variable: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"{variable}: {path} cannot be read ({reason}). `packsight secrets DIR` writes such files.") from None
    if not text:
        raise UserError(f"{variable}: {path} is empty. `packsight secrets DIR` writes such files.")
    return text
