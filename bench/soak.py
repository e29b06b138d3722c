"""A long steady run: does a child's memory stay flat, does the broker's, are the cores busy?"""

from __future__ import annotations

from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import numpy as np
import redis
from rich.console import Console

from bench import machine
from bench.photos import PhotoSet, changed_copies
from bench.run import publish_catalog
from bench.testbed import testbed, worker
from bench.whole_queue import Done, run_job, seen_before
from packsight.indexer.reconcile import reconcile
from packsight.producer.client import Client
from packsight.shared.queue import keys

JOB = 480
"""Photos per job; the same copies go through again and again. Workers remember half as many, so they know none again."""
EVERY = 2.0
MIXED = (".jpg", ".png", ".jpg", ".webp", ".heic", ".jpg", ".tif", ".jpg", ".avif", ".jpg", ".png", ".jpg", ".webp")
"""Formats of the copies; thirteen, which does not divide the number of the demo's photos, so that each comes in all.
One HEIC, since writing it takes a second."""
MOST_MB = 700.0
"""Resident size that a child must stay below: with models and a small catalog."""
MOST_GROWTH = 1.0
"""MB per 1,000 images in the second half that count as none."""
FLAT_KEYS = 8
"""By which the broker's keys may differ from one job's end to the next: what a clock writes comes and goes."""
LASTING = (
    "unacked", "unacked_index", "_kombu.binding*", "packsight.*", "celery", "packsight:jobs", "packsight:dead-letters*",
)  # fmt: skip
"""Patterns of the keys that may have no time to live: the transport's books and queues, the list of jobs, whose entries are
dropped by their time, and what waits for a person."""


def run(folder: Path, models: Path, photos: PhotoSet, count: int, console: Console) -> dict[str, Any]:
    """Put `count` photos through a worker in jobs one after the other."""
    copies = changed_copies(photos.usable(), min(JOB, count), folder / "copies", MIXED)
    done: list[Done] = []
    broker: list[dict[str, float]] = []
    lasting: set[str] = set()
    with testbed(folder, models) as on, ExitStack() as stack:
        by = stack.enter_context(worker(on, PACKSIGHT_WORKER__REMEMBER=str(len(copies) // 2)))
        client = stack.enter_context(Client(on.settings))
        document = machine.conditions() | {"photos": {"set": photos.name}}
        document["machine"] |= machine.divided(on.settings.worker)
        publish_catalog(on, photos, document, console)
        sent = 0
        while sent < count:
            done.append(run_job(client, on, by, copies[: min(len(copies), count - sent)], memory_every=EVERY))
            sent += len(done[-1].rows)
            reconcile(on.settings, client.app, client.store)  # as the indexer does, which drops the state of ended jobs
            broker.append({"images": sent, **_broker(client.ledger.client)})
            lasting |= without_end(on.redis_url(0)) | without_end(on.redis_url(1))
            child = done[-1].memory[-1][1]["children"]
            console.print(f"{sent} photos, {done[-1].images / done[-1].seconds:.2f}/s, child {child:.0f} MB", highlight=False)
    resident = _series(done)
    document |= {
        "images": sent,
        "seen_before_share": seen_before([row for one in done for row in one.rows]),
        "images_per_s": [one.images / one.seconds for one in done],
        "busy_per_core": [one.usage["busy_per_core"] for one in done],
        "resident_mb": resident,
        "resident_mb_most": max(value for _, value in resident),
        "growth_mb_per_1000": growth(resident),
        "broker": broker,
        "keys_without_end": sorted(lasting),
    }
    document["wrong"] = wrong(document)
    console.print(
        f"largest child {document['resident_mb_most']:.0f} MB at most, {document['growth_mb_per_1000']:+.2f} MB per 1,000 "
        f"images in the second half; broker {broker[0]['other_mb']:.1f} to {broker[-1]['other_mb']:.1f} MB, "
        f"{broker[0]['other_keys']} to {broker[-1]['other_keys']} keys, beside the results that it keeps: "
        f"{broker[-1]['results_mb']:.1f} MB, {broker[-1]['results']} keys",
        highlight=False,
    )
    for sentence in document["wrong"]:
        console.print(f"[red]{sentence}[/]", highlight=False)
    return document


def wrong(document: dict[str, Any]) -> list[str]:
    """What a run shows that should not be, one sentence each."""
    found, keys_ = [], [one["other_keys"] for one in document["broker"]]
    if document["resident_mb_most"] > MOST_MB:
        found.append(f"a child took {document['resident_mb_most']:.0f} MB, more than {MOST_MB:.0f}")
    if document["growth_mb_per_1000"] > MOST_GROWTH:
        found.append(f"a child grew by {document['growth_mb_per_1000']:.2f} MB per 1,000 images, more than {MOST_GROWTH:.0f}")
    half = keys_[len(keys_) // 2 :]
    if max(half) - min(half) > FLAT_KEYS:
        found.append(f"the broker's keys beside results went from {min(half)} to {max(half)} in the second half")
    if document["keys_without_end"]:
        found.append(f"keys without a time to live: {', '.join(document['keys_without_end'])}")
    return found


def without_end(url: str) -> set[str]:
    """Keys of a database without a time to live that are not among LASTING."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return {
            key
            for key in client.scan_iter(count=1000)
            if not any(fnmatchcase(key, pattern) for pattern in LASTING) and client.ttl(key) == -1
        }


def _broker(client: redis.Redis) -> dict[str, float]:
    """Memory and keys of the broker's database: results, which stay until they expire, and everything else."""
    results = list(client.scan_iter(keys.task_result("*")))
    used = cast(int, client.info("memory")["used_memory"])
    kept = sum(cast(int, client.memory_usage(key, samples=0)) for key in results)
    return {
        "used_mb": used / 1e6,
        "results_mb": kept / 1e6,
        "other_mb": (used - kept) / 1e6,
        "results": len(results),
        "other_keys": client.dbsize() - len(results),
    }


def _series(done: list[Done]) -> list[tuple[int, float]]:
    """Resident MB of the largest child over the images that went through, by the clock within a job."""
    series, before = [], 0
    for one in done:
        total = one.usage["seconds"]
        series += [(before + round(len(one.rows) * at / total), groups["children"]) for at, groups in one.memory]
        before += len(one.rows)
    return series


def growth(resident: list[tuple[int, float]]) -> float:
    """MB per 1,000 images over the second half, by least squares: the first half fills caches and buffers."""
    half = np.array(resident[len(resident) // 2 :], float)
    return float(np.polyfit(half[:, 0], half[:, 1], 1)[0] * 1000) if len(half) > 1 else 0.0
