"""Run the baseline on labelled photos: its speed and how often its first candidate is right."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import redis
from celery import Celery
from celery.result import AsyncResult

from bench.accuracy import Accuracy, accuracy
from bench.photos import PhotoSet
from bench.testbed import Testbed, celery_worker
from bench.whole_queue import between_ends
from packsight.deploy.stack.services import Spec
from packsight.producer.evaluation.metrics import Answer
from packsight.shared import launch
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.outcomes import Status
from packsight.shared.queue import keys
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.tables.labels import Label

BROKER, BACKEND = 2, 3
"""Databases of the baseline."""
QUIET = ("CUDA_VISIBLE_DEVICES", *launch.FRUGAL)


def run_baseline(on: Testbed, photos: PhotoSet, labels: Sequence[Label], seconds: float) -> tuple[dict[str, Any], Accuracy]:
    """Recognise labelled photos with the baseline; everything must be ready within `seconds`."""
    saved = on.folder / "baseline-catalog.npz"
    variables = {
        **on.environment,
        "BENCH_BASELINE_BROKER": on.redis_url(BROKER),
        "BENCH_BASELINE_BACKEND": on.redis_url(BACKEND),
        "BENCH_BASELINE_CATALOG": str(saved),
        "RAPIDOCR_LOG_LEVEL": "ERROR",
    }
    for name in QUIET:  # its libraries take the threads that they take by default
        variables.pop(name, None)
    app = Celery("baseline", broker=on.redis_url(BROKER), backend=on.redis_url(BACKEND))
    command = [sys.executable, "-m", "celery", "-A", "bench.baseline", "worker", "--loglevel", "WARNING"]
    spec = Spec("baseline", command, lambda: bool(app.control.inspect(timeout=2).ping()), variables)
    with closing(ObjectStore(on.settings.s3)) as store, celery_worker(spec, on.folder, 120):
        _describe_catalog(app, on, store, saved, seconds)
        keys = [_put(store, photos.path(label)) for label in labels]
        first = [app.send_task("baseline.recognize", args=[store.bucket, key]) for key in keys[:2]]
        _wait(first, seconds)
        tasks = [app.send_task("baseline.recognize", args=[store.bucket, key]) for key in keys]
        results = _wait(tasks, seconds)
        images, took = between_ends(sorted((end, 1) for end, _ in results))
    app.close()
    answers = [_answer(label, found) for label, (_, found) in zip(labels, results, strict=True)]
    figures = {"images": images, "seconds": took, "images_per_s": images / took, "weights": results[0][1]["weights"]}
    return figures, accuracy(answers)


def _describe_catalog(app: Celery, on: Testbed, store: ObjectStore, saved: Path, seconds: float) -> None:
    catalogs = CatalogStore(store, "default", Trust.of_reader(on.settings))
    current = catalogs.current()
    assert current is not None
    snapshot = Snapshot.open(catalogs.download(current.version, on.folder / "baseline"))
    shas = [snapshot.photo_table[i].sha256 for i in range(len(snapshot.photo_table))]
    bucket = on.settings.s3.bucket
    tasks = [app.send_task("baseline.describe", args=[bucket, f"photos/{sha}"]) for sha in shas]
    vectors = np.array([found for _, found in _wait(tasks, seconds)], np.float32)
    products = [snapshot.products[i] for i in range(len(snapshot.products))]
    owners = [products[int(number)].id for number in snapshot.photo_product]
    np.savez(saved, vectors=vectors, owners=owners, ids=[p.id for p in products], names=[p.name for p in products])


def _put(store: ObjectStore, path: Path) -> str:
    data = path.read_bytes()
    key = f"baseline/{hashlib.sha256(data).hexdigest()}"
    store.write(key, data)
    return key


def _wait(tasks: Sequence[AsyncResult], seconds: float) -> list[tuple[float, Any]]:
    """When each task ended by the worker's clock, and its result; raises RuntimeError when one failed."""
    client: redis.Redis = tasks[0].backend.client
    names = [keys.task_result(task.id) for task in tasks]
    deadline = time.monotonic() + seconds
    while not all(raw := cast("list[bytes]", client.mget(names))):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the baseline has not ended {len(tasks)} tasks within {seconds:.0f} s")
        time.sleep(0.2)
    metas = [json.loads(value) for value in raw]
    failed = [meta for meta in metas if meta["status"] != "SUCCESS"]
    if failed:
        raise RuntimeError(f"{len(failed)} tasks of the baseline failed, first {failed[0]['result']}")
    return [(datetime.fromisoformat(meta["date_done"]).timestamp(), meta["result"]) for meta in metas]


def _answer(label: Label, found: dict[str, Any]) -> Answer:
    """It has no threshold, so it names its first candidate whatever the photo shows."""
    candidates = tuple(candidate["product"] for candidate in found["candidates"])
    return Answer(label.image, label.product_id, label.nearest_id, label.kinds, Status.MATCHED, candidates, 1.0)
