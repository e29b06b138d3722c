"""`python -m bench.cold_start`: from the death of a worker's only child to the first outcome of the one that takes its place.

The cache of compiled networks is warm: the worker itself has started before. The child is killed while it idles, and at the same
moment a photo is queued, which nothing remembers. What is measured holds whatever the worker does meanwhile: it notices the
death, starts a process, which loads its libraries, builds its networks, opens its catalog, takes the message and answers.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.table import Table

from bench import entry, machine
from bench.photos import few
from bench.run import publish_catalog
from bench.testbed import Running, testbed, worker
from bench.whole_queue import batch_ends, submitted
from packsight.producer.client import Client
from packsight.shared.contract.outcomes import Status

CALM = 2.0
"""Seconds between an outcome and the next death, in which what the batch left to do is done."""
READY = re.compile(r"ready after ([\d.]+) s")
"""What a child logs: how long it took to build what it holds, once its libraries were there."""

console = Console()


def measure(folder: Path, models: Path, rounds: int) -> dict[str, Any]:
    """Seconds of each round; models: cache of compiled networks."""
    document = machine.conditions()
    with testbed(folder / "servers", models) as on, ExitStack() as stack:
        alone = {"PACKSIGHT_WORKER__CHILDREN": "1", "PACKSIGHT_WORKER__SPARE": "0", "PACKSIGHT_WORKER__REMEMBER": "0"}
        by = stack.enter_context(worker(on, **alone))
        client = stack.enter_context(Client(on.settings))
        photos = few(folder / "shop")
        publish_catalog(on, photos, {"photos": {}}, console)
        found = [_round(client, by, photos.usable()[:1]) for _ in range(rounds)]
        built = [float(seconds) for seconds in READY.findall(by.log.read_text(encoding="utf-8"))]
    return document | {"to_first_outcome": figures(found), "of_it_built": figures(built[-rounds:])}


def _round(client: Client, by: Running, photo: Sequence[Path]) -> float:
    job = submitted(client, photo)
    time.sleep(CALM)
    (child,) = by.children()
    begun = time.time()  # the worker's clock: that of this machine
    psutil.Process(child).kill()
    rows = list(client.run(job))
    if child in by.children() or any(row.outcome.status is Status.FAILED for row in rows):
        raise RuntimeError(f"the photo was not answered by another child: {[row.outcome.reason for row in rows]}")
    ends, _ = batch_ends(client.ledger, {batch.task_id: len(batch.images) for batch in job.batches})
    return ends[-1][0] - begun


def figures(seconds: Sequence[float]) -> dict[str, Any]:
    """Median and worst of some rounds, and each."""
    each = [round(value, 2) for value in seconds]
    return {"median": round(statistics.median(seconds), 2), "worst": max(each), "seconds": each}


def show(document: dict[str, Any]) -> None:
    """Print the figures."""
    table = Table("cold start of a child", "median s", "worst s", box=None)
    for name, key in (("death to first outcome", "to_first_outcome"), ("of it networks and catalog", "of_it_built")):
        table.add_row(name, f"{document[key]['median']:.2f}", f"{document[key]['worst']:.2f}")
    console.print(table)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often the child is killed.")] = 10,
    out: Annotated[Path, typer.Option(help="Folder for the figures and the cache of compiled networks.")] = Path("bench-out"),
) -> None:
    """Measure and write cold-start.json."""
    with tempfile.TemporaryDirectory(prefix="packsight-cold-start-") as folder:
        document = measure(Path(folder), (out / "models").resolve(), rounds)
    entry.save(out / "cold-start.json", document)
    show(document)


if __name__ == "__main__":
    entry.run(main)
