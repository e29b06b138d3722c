"""(a) The whole queue: jobs of photos through broker, workers, object store and results."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from bench.testbed import Running, Testbed
from bench.usage import Usage
from packsight.producer.client import Client
from packsight.producer.rows import Row
from packsight.producer.sources import Item
from packsight.shared.contract.outcomes import Status
from packsight.shared.queue import keys
from packsight.shared.queue.ledger import Ledger
from packsight.shared.storage.jobs import Job

BATCH = 16


@dataclass(frozen=True)
class Done:
    """A job that has ended: its rows and the seconds from its first message to the end of its last batch."""

    rows: list[Row]
    seconds: float
    usage: dict[str, Any]
    memory: list[tuple[float, dict[str, float]]]
    result_bytes: int
    """Size of its results in the broker, as Celery stores them."""

    @property
    def images(self) -> int:
        """How many it had."""
        return len(self.rows)


def run_job(
    client: Client,
    on: Testbed,
    by: Running,
    photos: Sequence[Path],
    *,
    read_all: bool = False,
    memory_every: float = 0.0,
) -> Done:
    """Submit photos as a job and wait for its end, reading results as they come, as `packsight submit --wait` does."""
    job = client.submit([Item(path.name, path) for path in photos], batch_size=BATCH, read_all=read_all)
    with Usage(groups(on, by), memory_every) as usage:
        begun = time.time()  # the worker's clock: that of this machine
        rows = list(client.run(job))
    failed = [row for row in rows if row.outcome.status is Status.FAILED]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(rows)} photos failed, first {failed[0].outcome.reason}")
    ends, size = batch_ends(client.ledger, {batch.task_id: len(batch.images) for batch in job.batches})
    return Done(rows, ends[-1][0] - begun, usage.document(), usage.memory, size)


def seen_before(rows: Sequence[Row]) -> float:
    """Share of photos that were known from an earlier look, so that no network was asked."""
    return sum("decode" not in row.outcome.timings for row in rows) / len(rows)


def remembered(ledger: Ledger) -> tuple[int, int]:
    """Photos whose features the result database keeps, and the bytes that they take there."""
    caches = list(ledger.client.scan_iter(keys.seen("*")))
    photos = sum(ledger.client.hlen(key) for key in caches)
    return photos, sum(cast(int, ledger.client.memory_usage(key, samples=0)) for key in caches)


def groups(on: Testbed, by: Running) -> dict[str, list[int]]:
    """Processes by what they do."""
    children = by.children()
    return {"children": children, "worker parent": [by.pid], **{name: [pid] for name, pid in on.pids.items()}}


def batch_ends(ledger: Ledger, sizes: Mapping[str, int]) -> tuple[list[tuple[float, int]], int]:
    """When each batch ended by the worker's clock, with its images, and the bytes of all results."""
    names = list(sizes)
    raw = cast("list[str]", ledger.client.mget([keys.task_result(name) for name in names]))
    ends = [datetime.fromisoformat(json.loads(value)["date_done"]).timestamp() for value in raw]
    return sorted(zip(ends, sizes.values(), strict=True)), sum(len(value.encode()) for value in raw)


def between_ends(ends: Sequence[tuple[float, int]]) -> tuple[int, float]:
    """Images that ended after the first batch did, and the seconds that they took."""
    return sum(images for _, images in ends[1:]), ends[-1][0] - ends[0][0]


def submitted(client: Client, photos: Sequence[Path]) -> Job:
    """A job of these photos, not yet queued."""
    return client.submit([Item(path.name, path) for path in photos], batch_size=BATCH)
