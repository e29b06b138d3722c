"""How long someone waits for a single photo, on an idle worker and beside a job that keeps it busy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.photos import PhotoSet, changed_copies, sample
from bench.run import publish_catalog
from bench.testbed import testbed, worker
from bench.whole_queue import BATCH, submitted
from packsight.producer.client import Client
from packsight.producer.sources import Item

COPIES = 480
"""Photos that the job's are: the worker remembers none, so they are new to it each time."""


@dataclass(frozen=True)
class Sizes:
    """How much is asked: single photos, and photos of the job beside which they are asked again."""

    singles: int = 30
    job: int = 10_000


QUICK = Sizes(5, 200)


def run(folder: Path, models: Path, photos: PhotoSet, sizes: Sizes, console: Console) -> dict[str, Any]:
    """Ask for single photos, then for the same while a job waits."""
    base = sample(photos.usable(), sizes.singles)
    with testbed(folder, models) as on, ExitStack() as stack:
        # The same photos are asked about twice, and are to be looked at each time.
        by = stack.enter_context(worker(on, PACKSIGHT_WORKER__REMEMBER="0"))
        client = stack.enter_context(Client(on.settings))
        document = machine.conditions() | {"photos": {"set": photos.name}}
        publish_catalog(on, photos, document, console)
        idle = _ask(client, base)
        copies = submitted(client, changed_copies(base, min(sizes.job, COPIES), folder / "copies"))
        stored = [Item(image.name, image.reference) for batch in copies.batches for image in batch.images]
        job = client.submit([stored[number % len(stored)] for number in range(sizes.job)], batch_size=BATCH)
        list(client.enqueue(job, max_in_flight=len(job.batches)))
        busy = _ask(client, base)
        left = len(job.batches) - client.ended([batch.task_id for batch in job.batches])
        document["worker_children"] = len(by.children())
        document["machine"] |= machine.divided(on.settings.worker)
    if not left:
        raise RuntimeError("the job ended before the last single photo was answered; nothing was measured beside it")
    document |= {
        "waiting": {"images": sizes.job, "batches_left": left},
        "idle": _figures(idle),
        "beside_a_job": _figures(busy),
    }
    table = Table("single photo", "median s", "95 % s", "most s", box=None)
    for name, figures in (("idle", document["idle"]), ("beside a job", document["beside_a_job"])):
        table.add_row(name, f"{figures['median']:.3f}", f"{figures['p95']:.3f}", f"{figures['most']:.3f}")
    console.print(table)
    return document


def _ask(client: Client, photos: Sequence[Path]) -> list[float]:
    seconds = []
    for photo in photos:
        begun = time.perf_counter()
        client.recognize(str(photo), timeout=120)
        seconds.append(time.perf_counter() - begun)
    return seconds


def _figures(seconds: Sequence[float]) -> dict[str, Any]:
    return {
        "median": float(np.median(seconds)),
        "p95": float(np.percentile(seconds, 95)),
        "most": max(seconds),
        "seconds": [round(value, 4) for value in seconds],
    }
