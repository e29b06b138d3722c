"""`packsight health`: one question, one sentence, exit code 0 or 1. Loads no library, since probes ask it again and again."""

from __future__ import annotations

from pathlib import Path

import typer

from packsight.shared import health, launch


def check(home: Path, name: str, end_after: float | None, *, ready: bool = False) -> None:
    """Say how a process of this machine is; exit code 1 unless it is well, or with `ready` unless it has begun to work.

    end_after: seconds of sickness after which it is ended, for whatever starts again what ends; None: it is left alone.
    """
    node = launch.node(name)
    seen = health.ask(home, node)
    typer.echo(seen.text)
    if seen.ready if ready else seen.well:
        return
    if end_after is not None and seen.pid is not None and seen.sick_for >= end_after:
        typer.echo(f"process {seen.pid} is ended after {seen.sick_for:.0f} s, to be started again")
        health.end(seen.pid)
    raise typer.Exit(1)
