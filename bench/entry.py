"""How each program of the benchmark is begun: an error that names its cause and its remedy is told without a traceback."""

from __future__ import annotations

from collections.abc import Callable

import typer
from rich.console import Console
from rich.markup import escape

from packsight.shared.contract.errors import PacksightError, UserError


def run(main: Callable[..., None]) -> None:
    """Call a command with the arguments of this process, which ends with 1 where it raises UserError or PacksightError."""
    try:
        typer.run(main)
    except (UserError, PacksightError) as error:
        Console(stderr=True).print(f"[red]{escape(str(error))}[/]", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None
