"""`packsight worker`: run a recognition worker in the foreground."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from shared.messages import WORKER_QUEUES
from shared.settings import settings
from worker.cores import divide, usable_cores

app = typer.Typer()


def command(node: str) -> list[str]:
    """Command line of a recognition worker with this Celery node name."""
    config = settings()
    children, _ = divide(config.worker, usable_cores())
    line = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "--hostname", node]
    line += ["--queues", ",".join(WORKER_QUEUES), "--concurrency", str(children)]
    line += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    if config.worker.max_memory_mb:
        line += ["--max-memory-per-child", str(config.worker.max_memory_mb * 1024)]
    return line


@app.command()
def worker(
    name: Annotated[str, typer.Option(help="Celery node name; %h is the host.")] = "recognizer@%h",
) -> None:
    """Run a recognition worker in the foreground until it gets a signal."""
    # One thread pool per library and process: the networks count their threads themselves.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    line = command(name)
    os.execv(line[0], line)  # noqa: S606 - replaces this process, so that signals reach the worker itself
