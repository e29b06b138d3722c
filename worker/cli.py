"""`packsight worker` and `packsight models quantise` as they are typed."""

# Annotations are not postponed here: Typer would evaluate each of them, a fifth of the time of `--help`.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packsight.shared.extras import Later
from packsight.shared.launch import WORKER_NODE

if TYPE_CHECKING:
    from packsight.worker import commands
else:
    commands = Later("packsight.worker.commands", extra="worker")

app = typer.Typer()
models_app = typer.Typer(no_args_is_help=True, help="Make the networks faster.")
app.add_typer(models_app, name="models")


@app.command()
def worker(
    name: Annotated[str, typer.Option(help="Celery node name; %h is the host.")] = WORKER_NODE,
    describe_only: Annotated[
        bool, typer.Option("--describe-only", help="Take catalog photos alone: to have a version built before it is served.")
    ] = False,
) -> None:
    """Run a recognition worker in the foreground until it gets a signal."""
    commands.worker(name, describe_only=describe_only)


@models_app.command()
def quantise(
    catalog: Annotated[str, typer.Option(help="Catalog whose photos are used.")] = "default",
    photos: Annotated[int, typer.Option(min=1, help="Photos to calibrate on, and as many others to judge by.")] = 100,
    labels: Annotated[Path | None, typer.Option(help="Labelled photos to judge by too: columns image and product_id.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the labelled photos; by default that of the labels.")] = None,
) -> None:
    """Try each network in 8-bit integers; keep for all workers those that are faster and as good."""
    commands.quantise(catalog, photos, labels, root)
