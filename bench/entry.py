"""How each program of the benchmark begins and ends: errors that name cause and remedy have no traceback, figures are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.storage.files import write_whole


def run(main: Callable[..., None]) -> None:
    """Call a command with the arguments of this process, which ends with 1 where it raises UserError or PacksightError."""
    try:
        typer.run(main)
    except (UserError, PacksightError) as error:
        Console(stderr=True).print(f"[red]{escape(str(error))}[/]", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None


def save(path: Path, document: Mapping[str, Any]) -> None:
    """Write figures as JSON, into a folder that is made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
