"""`python -m bench.startup`: processor time of commands that only speak, against that of importing typer and rich."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

ROUNDS = 15
"""Runs of each command, in turn with the others; the least counts, since all that disturbs only adds."""
YARDSTICK = (sys.executable, "-c", "import typer, rich")
PACKSIGHT = (sys.executable, "-c", "import sys; sys.argv[0] = 'packsight'; from packsight.cli import main; main()")
"""As the script does that pip installs."""
COMMANDS: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
    "--version": ((*PACKSIGHT, "--version"), {}),
    "--help": ((*PACKSIGHT, "--help"), {}),
    "submit --help": ((*PACKSIGHT, "submit", "--help"), {}),
    "catalog sync --help": ((*PACKSIGHT, "catalog", "sync", "--help"), {}),
    "completion in bash": (
        PACKSIGHT,
        {"_PACKSIGHT_COMPLETE": "complete_bash", "COMP_WORDS": "packsight submit --ca", "COMP_CWORD": "2"},
    ),
    "completion in zsh": (
        PACKSIGHT,
        {"_PACKSIGHT_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "packsight submit --ca"},
    ),
}


def seconds(command: Sequence[str], variables: Mapping[str, str]) -> float:
    """Processor time of a process and its children, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print a table."""
    least = {name: float("inf") for name in ["", *COMMANDS]}
    for _ in range(ROUNDS):
        for name, (command, variables) in {"": (YARDSTICK, {}), **COMMANDS}.items():
            least[name] = min(least[name], seconds(command, variables))
    table = Table("Command", "Processor time", "× import typer, rich", box=None)
    for name, time in least.items():
        table.add_row(f"packsight {name}" if name else "import typer, rich", f"{time * 1000:.0f} ms", f"{time / least['']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
