"""The front door: one command line, mounted from the rooms."""

from __future__ import annotations

import sys

import typer

from packsight.deploy.cli import app as deploy
from packsight.indexer.cli import app as indexer
from packsight.producer.cli import app as producer
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.worker.cli import app as worker

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Recognises packaged products in photos, at queue volume.",
)
for room in (producer, indexer, worker, deploy):
    app.add_typer(room)


def main() -> None:
    """Run the command line; an expected error is one line on standard error and exit code 2 or 1."""
    try:
        app()
    except UserError as error:
        print(f"packsight: {error}", file=sys.stderr)
        sys.exit(2)
    except PacksightError as error:
        print(f"packsight: {error}", file=sys.stderr)
        sys.exit(1)

