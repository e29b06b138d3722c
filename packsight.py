"""The front door: one command line, mounted from the rooms."""

from __future__ import annotations

import sys

import typer

import deploy.cli
import indexer.cli
import producer.cli
import worker.cli
from shared.errors import PacksightError, UserError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Recognises packaged products in photos, at queue volume.",
)
for room in (producer.cli, indexer.cli, worker.cli, deploy.cli):
    app.add_typer(room.app)


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


if __name__ == "__main__":
    main()
