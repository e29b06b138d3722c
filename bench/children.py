"""Throughput by number of children, a thread each: does it grow with the cores?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import machine
from bench.photos import PhotoSet, changed_copies
from bench.run import publish_catalog
from bench.testbed import testbed, worker
from bench.whole_queue import run_job
from packsight.producer.client import Client
from packsight.worker.process.cores import usable_cores


def run(folder: Path, models: Path, photos: PhotoSet, per_child: int, console: Console) -> dict[str, Any]:
    """Give workers of one child, two, … up to one per core a job of `per_child` photos each; every photo is new to them."""
    counts = range(1, usable_cores() + 1)
    copies = iter(changed_copies(photos.usable(), per_child * sum(counts), folder / "copies"))
    steps: list[dict[str, Any]] = []
    document = machine.conditions() | {"photos": {"set": photos.name}}
    with testbed(folder, models) as on:
        for children in counts:
            divided = {"CHILDREN": str(children), "THREADS": "1", "SPARE": "0"}
            with ExitStack() as stack:
                by = stack.enter_context(worker(on, **{f"PACKSIGHT_WORKER__{key}": value for key, value in divided.items()}))
                client = stack.enter_context(Client(on.settings))
                if not steps:
                    publish_catalog(on, photos, document, console)
                client.recognize(str(photos.usable()[0]))
                done = run_job(client, on, by, [next(copies) for _ in range(per_child * children)])
            rate = done.images / done.seconds
            first = steps[0]["images_per_s"] if steps else rate
            steps.append(
                {"children": children, "images": done.images, "images_per_s": rate, "times_one_child": rate / first, **done.usage}
            )
    table = Table("children", "images/s", "times one child", "cores busy", box=None)
    for step in steps:
        table.add_row(
            f"{step['children']}", f"{step['images_per_s']:.2f}", f"{step['times_one_child']:.2f}", f"{step['busy']:.0%}"
        )
    console.print(table)
    return document | {"steps": steps}
