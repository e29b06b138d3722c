"""The front door: one command line, mounted from the rooms, which import what they work with when they are asked to."""

# Annotations are not postponed here: Typer would evaluate each of them, a fifth of the time of `--help`.

import io
import os
import sys
from typing import Annotated, Any

import typer
from typer import _completion_classes
from typer.core import TyperGroup

from packsight import __version__
from packsight.deploy.cli import app as deploy
from packsight.indexer.cli import app as indexer
from packsight.producer.cli import app as producer
from packsight.shared import launch
from packsight.shared.contract.errors import NO_ROOM, PacksightError, UserError
from packsight.worker.cli import app as worker

SECTIONS = {
    "Photos and jobs": (
        "submit", "watch", "recognize", "explain", "results", "jobs", "dead-letters", "review", "evaluate",
    ),
    "The catalog": ("catalog", "storage"),
    "People and keys": ("people", "keys"),
    "Running it": (
        "demo", "up", "down", "status", "doctor", "health", "worker", "indexer", "serve", "models", "secrets", "backup",
        "restore",
    ),
}  # fmt: skip
"""Commands by what they are for."""


class Sections(TyperGroup):
    """Shows commands in these sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write them, each with the beginning of its help."""
        width = max(map(len, self.commands))
        for heading, names in SECTIONS.items():
            with formatter.section(heading):
                room = formatter.width - width - 6
                formatter.write_dl([(name.ljust(width), self.commands[name].get_short_help_str(room)) for name in names])


def _as_it_is(text: str) -> str:
    return text


# Typer loads Rich to take Rich's marks out of what zsh and fish are offered; our help has none.
_completion_classes._sanitize_help_text = _as_it_is
app = typer.Typer(
    cls=Sections,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Rich takes as long to load as all the rest of `--help`.
    rich_markup_mode=None,
    context_settings={"max_content_width": 120, "help_option_names": ["-h", "--help"]},
    help="Recognises packaged products in photos, at queue volume.",
)
for room in (producer, indexer, worker, deploy):
    app.add_typer(room)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"packsight {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of the command line itself."""


def main() -> None:
    """Run the command line; an expected error is one line on standard error and exit code 2 or 1."""
    launch.shield()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that has no letter for something ends no command
    try:
        app()
    except UserError as error:
        print(f"packsight: {error}", file=sys.stderr)
        sys.exit(2)
    except PacksightError as error:
        print(f"packsight: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"packsight: {error.strerror}{where}. Make room, or write elsewhere.", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to be written would fail once more
        sys.exit(1)
