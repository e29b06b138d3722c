"""Where settings are read from: PACKSIGHT_… variables, `__` between levels, files that they name, or this folder's stack file."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.settings.section import Section
from packsight.shared.settings.tree import Settings

STACK_FILE = Path(".packsight/stack.env")


def nearest_stack() -> Path | None:
    """The file of a stack in this folder, else in the nearest one above it; None without one.

    Above, only a file of our own counts: where others may write, one of theirs would have photos sent to them.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        file = folder / STACK_FILE
        if _is_there(file) if folder == here else os.path.isfile(file) and file.stat().st_uid == os.getuid():  # noqa: PTH113
            return file
    return None


def _is_there(file: Path) -> bool:
    """Raises UserError where the folder of the file may not be looked into."""
    try:
        return file.exists()
    except PermissionError:
        raise UserError(
            f"{file} is another user's, who lets nobody else look. Work in a folder of yours, or name a file of settings "
            "by PACKSIGHT_STACK_FILE."
        ) from None


def named_stack() -> Path | None:
    """The file that PACKSIGHT_STACK_FILE names; None where it names none."""
    named = os.environ.get("PACKSIGHT_STACK_FILE")
    return Path(named) if named else None


def check_named_stack() -> None:
    """Raise UserError where PACKSIGHT_STACK_FILE names a file that is not there."""
    file = named_stack()
    if file is not None and not _is_there(file):
        raise UserError(
            f"PACKSIGHT_STACK_FILE names {file}, which does not exist. Correct the variable, or unset it: then the file "
            "of the nearest stack is read."
        )


def settings_file() -> Path:
    """The file that settings are read from beside the environment: PACKSIGHT_STACK_FILE, or a stack's.

    That is the stack in PACKSIGHT_HOME, of which `status` and `down` speak then, else the nearest.
    """
    return named_stack() or _stack_at_home() or nearest_stack() or STACK_FILE


def _stack_at_home() -> Path | None:
    home = os.environ.get("PACKSIGHT_HOME")
    # Not Path.is_file, which raises where somebody else's folder may not be looked into.
    return Path(home) / STACK_FILE.name if home and os.path.isfile(Path(home) / STACK_FILE.name) else None  # noqa: PTH113


def load_settings(stack_file: Path | None = None) -> Settings:
    """Read the settings.

    `stack_file` defaults to what `settings_file` says.

    Raises UserError that names the variable when a value is wrong, or PACKSIGHT_STACK_FILE names a file that is not there.
    """
    file = stack_file or settings_file()
    if stack_file is None:
        check_named_stack()
    try:
        return Settings(_env_file=file if _is_there(file) else None)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}. Give read access, or name another file.") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is no text in UTF-8. Save it as that; `packsight up` writes a stack's anew.") from None
    except SettingsError as error:
        section = str(error).partition('"')[2].partition('"')[0].upper()
        raise UserError(
            f"Wrong settings: a value of PACKSIGHT_{section}__… is no JSON ({error.__cause__}). Correct the variable or {file}: "
            'lists are written as ["a", "b"], in variables also as a,b, and tables as {"name": "value"}.'
        ) from None
    except ValidationError as error:
        meant = "".join(f" Is {name} meant?" for name in _meant(error))
        raise UserError(f"Wrong settings: {wrong_fields(error, _variable)}.{meant} Correct the variable or {file}.") from None


def _variable(location: tuple[int | str, ...]) -> str:
    return f"PACKSIGHT_{'__'.join(map(str, location)).upper()}"


def _meant(error: ValidationError) -> list[str]:
    """Variables whose names are like those of settings that there are not."""
    there = [
        _variable((name, key))
        for name, field in Settings.model_fields.items()
        for key in (type(field.default).model_fields if isinstance(field.default, Section) else ())
    ]
    strange = [_variable(item["loc"]) for item in error.errors() if item["type"] == "extra_forbidden"]
    return list(dict.fromkeys(name for one in strange for name in get_close_matches(one, there, n=1, cutoff=0.8)))


def act_as(role: str) -> None:
    """From here on read the file that the stack's folder has for a role, if it has one: its keys are others than a person's."""
    file = settings_file().with_name(f"{role}.env")
    if _is_there(file):
        os.environ["PACKSIGHT_STACK_FILE"] = str(file)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return load_settings()
