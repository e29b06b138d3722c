"""What the worker's commands do: become a recognition worker; try its networks in 8-bit integers."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from packsight.shared import launch
from packsight.shared.contract.messages import DESCRIBE_QUEUE, WORKER_QUEUES
from packsight.shared.extras import Later, require
from packsight.shared.settings import act_as, settings
from packsight.worker.process.cores import processes, usable_cores

networks = Later("packsight.worker.networks.load", "worker")


def arguments(node: str, *, describe_only: bool) -> list[str]:
    """What Celery is told of a recognition worker with this node name."""
    config = settings()
    children = processes(config.worker, usable_cores())
    queues = [DESCRIBE_QUEUE] if describe_only else WORKER_QUEUES
    line = ["worker", "--hostname", node, "--queues", ",".join(queues), "--concurrency", str(children)]
    line += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    if config.worker.max_memory_mb:
        line += ["--max-memory-per-child", str(config.worker.max_memory_mb * 1024)]
    return line


def worker(name: str, *, describe_only: bool) -> None:
    """Become a recognition worker with this node name; raises UserError when its libraries are missing, or a network that
    the settings name cannot be used.
    """
    require("openvino", extra="worker")
    act_as("worker")
    networks.refuse_unusable(settings().models)
    launch.become("packsight.worker", *arguments(name, describe_only=describe_only), environment=launch.FRUGAL)


def quantise(catalog: str, photos: int, labels: Path | None, root: Path | None) -> None:
    """Try each network in 8-bit integers and say what came of it."""
    attempt, table = Later("packsight.worker.quantise.run", "worker"), Later("packsight.worker.quantise.table")
    out = Console()
    tried = attempt.run(settings(), catalog, photos, labels, root, lambda text: out.print(f"{text} …", highlight=False))
    out.print(table.trials(tried))
