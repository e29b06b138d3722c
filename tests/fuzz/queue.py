"""Damaged photos through the whole queue: each has an outcome, none ends a process, and the worker serves on."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from bench.photos import few
from bench.testbed import testbed, worker
from packsight.indexer.report import SyncRequest
from packsight.indexer.sync import run_sync
from packsight.producer.client import Client
from packsight.producer.sources import Item
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Status
from tests.fuzz.mutations import spoiled
from tests.fuzz.pictures import pictures

OF_THE_PROCESS = {ErrorCode.WORKER_KILLED, ErrorCode.TIME_LIMIT, ErrorCode.INTERNAL}
"""Codes that say something about us, not about the photo."""


def through_the_queue(folder: Path, models: Path, seed: int, count: int) -> dict[str, Any]:
    """Submit `count` damaged photos, those of the drawn shop among the samples, and one good photo at the end."""
    folder.mkdir(parents=True)
    photos = few(folder / "shop")
    samples = [*pictures().values(), *(path.read_bytes() for path in photos.usable())]
    (folder / "spoiled").mkdir()
    items = []
    for number in range(count):
        chance = random.Random(f"queue {seed} {number}")
        path = folder / "spoiled" / f"{number:05}.jpg"
        path.write_bytes(spoiled(chance.choice(samples), samples, chance))
        items.append(Item(path.name, path))
    with ExitStack() as stack:
        on = stack.enter_context(testbed(folder, models))
        by = stack.enter_context(worker(on))
        run_sync(SyncRequest(str(photos.feed), photos.extra, "default", False), on.settings)
        client = stack.enter_context(Client(on.settings))
        good = client.recognize(str(photos.usable()[0]))
        before = set(by.children())
        rows = list(client.run(client.submit(items, batch_size=16)))
        again = client.recognize(str(photos.usable()[0]))
        children = by.children()
        memory = max(psutil.Process(pid).memory_info().rss for pid in children) / 1e6
    outcomes = Counter(row.outcome.failure.code.value if row.outcome.failure else row.outcome.status.value for row in rows)
    slowest = max(rows, key=lambda row: sum(row.outcome.timings.values()))
    faults = [row.name for row in rows if row.outcome.failure and row.outcome.failure.code in OF_THE_PROCESS]
    faults += [f"child {pid} was replaced" for pid in before - set(children)]
    faults += [] if len({row.index for row in rows}) == len(rows) == count else [f"{len(rows)} rows of {count} photos"]
    faults += [] if good.status == again.status != Status.FAILED else ["a good photo was answered otherwise afterwards"]
    return {
        "target": "images through the queue", "seed": seed, "cases": len(rows), "outcomes": dict(outcomes.most_common()),
        "slowest_s": round(sum(slowest.outcome.timings.values()), 2), "slowest": slowest.name, "memory_mb": round(memory),
        "faults": len(faults), "named": faults[:20],
    }  # fmt: skip
