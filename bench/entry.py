"""How each program of the benchmark is begun: an error that names its cause and its remedy is told without a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import typer
from rich.console import Console

from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.storage.files import must_be_files


def run(main: Callable[..., None]) -> None:
    """Call a command with the arguments of this process, which ends with 1 where it raises UserError or PacksightError."""
    try:
        typer.run(main)
    except (UserError, PacksightError) as error:
        Console(stderr=True).print(f"[red]{error}[/]", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None


def must_be_writable(*files: Path | None) -> None:
    """Raise UserError for a file that cannot be written, before anything is measured for it; None is none."""
    must_be_files(*files)
    for file in filter(None, files):
        if not (file.parent.is_dir() and os.access(file.parent, os.W_OK | os.X_OK)):
            raise UserError(f"{file.parent} is no folder that may be written to. Create it or write {file.name} elsewhere.")
