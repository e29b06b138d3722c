"""Optional parts: imported when they are used, and missed in one sentence that names what to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from packsight.shared.contract.errors import UserError


class Later:
    """A module that is imported when something of it is first asked for, so that `--help` loads no library.

    extra: what has to be installed beside the core for this module (`packsight[extra]`); where a library of it is
    missing, asking for anything of the module raises UserError.
    """

    def __init__(self, module: str, extra: str | None = None) -> None:
        self._module = module
        self._extra = extra

    def __getattr__(self, name: str) -> Any:
        with needs(self._extra):
            return getattr(import_module(self._module), name)


@contextmanager
def needs(extra: str | None) -> Iterator[None]:
    """Where imports of optional libraries stand; raises UserError that names the extra when one is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if extra is None or library in {"", "packsight"}:
            raise
        raise _missing(library, extra) from None


def require(library: str, extra: str) -> None:
    """Raise UserError unless the library of an extra is installed, for processes that import it only later."""
    if find_spec(library) is None:
        raise _missing(library, extra)


def _missing(library: str, extra: str) -> UserError:
    return UserError(f"{library} is not installed. Install what this needs: pip install 'packsight[{extra}]'.")
