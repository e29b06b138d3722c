"""`packsight up|down|status|doctor|demo`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer()
_WIDE = 132
"""Columns where no terminal says how wide it is: in a log, folded tables are hard to read."""
out = Console(width=None if sys.stdout.isatty() else _WIDE)
err = Console(stderr=True)

Home = Annotated[Path, typer.Option("--home", help="Folder of the stack: data, logs, credentials.", envvar="PACKSIGHT_HOME")]
HOME = Path(".packsight")
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 = any free port, the same as last time if possible.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


@app.command()
def up(
    *,
    home: Home = HOME,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Recognition workers.")] = 1,
    flower: Annotated[bool, typer.Option(help="Watch the queues in a browser.")] = True,
    port_valkey: Port = 0,
    port_s3: Port = 0,
    port_flower: Port = 0,
) -> None:
    """Start broker, object storage, workers, indexer and Flower on this machine, and wait until they are ready."""
    from packsight.deploy import display  # noqa: PLC0415 - Celery and the S3 client load only when needed
    from packsight.deploy.stack import stack  # noqa: PLC0415 - Celery and the S3 client load only when needed
    from packsight.deploy.stack.state import StackFolder  # noqa: PLC0415

    folder = StackFolder(home)
    wishes = stack.Wishes(workers, flower, port_valkey, port_s3, port_flower)
    with err.status("Starting", spinner="dots") as spinner:
        state = stack.up(folder, wishes, lambda text: _tell(spinner, text))
    display.started(out, folder, state)


def _tell(spinner: object, text: str) -> None:
    if err.is_terminal:
        spinner.update(text)  # type: ignore[attr-defined]
    else:
        err.print(text, highlight=False, soft_wrap=True)


@app.command()
def down(home: Home = HOME) -> None:
    """Stop what `packsight up` started in this folder, and nothing else; the data stays."""
    from packsight.deploy.stack import stack  # noqa: PLC0415
    from packsight.deploy.stack.state import StackFolder  # noqa: PLC0415

    stopped = stack.down(StackFolder(home), lambda text: err.print(text, highlight=False, soft_wrap=True))
    out.print(f"Stopped {', '.join(stopped)}." if stopped else f"No stack is running in {home}.", highlight=False)


@app.command()
def status(home: Home = HOME, as_json: AsJson = False) -> None:
    """Show what runs, what waits in the queues, which catalogs are served and by whom."""
    from packsight.deploy import display  # noqa: PLC0415
    from packsight.deploy import status as observation  # noqa: PLC0415
    from packsight.deploy.stack.state import StackFolder  # noqa: PLC0415
    from packsight.shared.settings import load_settings  # noqa: PLC0415

    folder = StackFolder(home)
    seen = observation.observe(folder, load_settings(folder.env_file if folder.env_file.exists() else None))
    if as_json:
        typer.echo(seen.model_dump_json(indent=1))
    else:
        display.status(out, seen)


@app.command()
def doctor(home: Home = HOME, as_json: AsJson = False) -> None:
    """Check endpoints, models, catalogs and package versions; exit code 1 if something is wrong."""
    from packsight.deploy import display  # noqa: PLC0415
    from packsight.deploy import doctor as examination  # noqa: PLC0415
    from packsight.deploy.stack.state import StackFolder  # noqa: PLC0415

    findings = examination.examine(StackFolder(home))
    if as_json:
        typer.echo(json.dumps([finding.model_dump() for finding in findings], indent=1))
    else:
        display.findings(out, findings)
    if any(finding.level is examination.Level.WRONG for finding in findings):
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="Folder of the demo's photos and results.")] = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Seed of the drawn photos.")] = 7,
) -> None:
    """Draw a shop, start a stack of its own, publish the catalog, recognise its customers' photos, and stop again."""
    from packsight.deploy.demo.run import run  # noqa: PLC0415

    if not run(folder, seed, out):
        raise typer.Exit(1)
