"""`packsight worker`: run a recognition worker in the foreground; `packsight models`: what its networks are computed in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from packsight.shared import launch
from packsight.shared.contract.messages import WORKER_QUEUES
from packsight.shared.settings import settings
from packsight.worker.process.cores import processes, usable_cores

app = typer.Typer()
models_app = typer.Typer(no_args_is_help=True, help="Make the networks faster.")
app.add_typer(models_app, name="models")


def arguments(node: str) -> list[str]:
    """What Celery is told of a recognition worker with this node name."""
    config = settings()
    children = processes(config.worker, usable_cores())
    line = ["worker", "--hostname", node, "--queues", ",".join(WORKER_QUEUES), "--concurrency", str(children)]
    line += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    if config.worker.max_memory_mb:
        line += ["--max-memory-per-child", str(config.worker.max_memory_mb * 1024)]
    return line


@app.command()
def worker(
    name: Annotated[str, typer.Option(help="Celery node name; %h is the host.")] = "recognizer@%h",
) -> None:
    """Run a recognition worker in the foreground until it gets a signal."""
    launch.become("packsight.worker", *arguments(name), environment=launch.ONE_THREAD)


@models_app.command()
def quantise(
    catalog: Annotated[str, typer.Option(help="Catalog whose photos are used.")] = "default",
    photos: Annotated[int, typer.Option(min=1, help="Photos to calibrate on, and as many others to judge by.")] = 100,
    labels: Annotated[Path | None, typer.Option(help="Labelled photos to judge by too: columns image and product_id.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the labelled photos; by default that of the labels.")] = None,
) -> None:
    """Try each network in 8-bit integers; keep for all workers those that are faster and as good."""
    from packsight.worker.quantise import run, table  # noqa: PLC0415 - the networks' libraries load only when needed

    out = Console()
    tried = run.run(settings(), catalog, photos, labels, root, lambda text: out.print(f"{text} …", highlight=False))
    out.print(table.trials(tried))
