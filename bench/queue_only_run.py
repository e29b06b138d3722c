"""Run the worker without networks: what broker, transport, deliveries and results allow."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from typing import Any

from pydantic import SecretStr

from bench.testbed import Testbed, celery_worker
from bench.usage import Usage
from bench.whole_queue import BATCH, batch_ends, between_ends, groups
from packsight.deploy.stack.services import Spec
from packsight.producer.broker import producer_app, send
from packsight.producer.collect import AT_ONCE
from packsight.shared.contract.messages import BULK_QUEUE, WORKER_QUEUES, RecognizeRequest
from packsight.shared.contract.outcomes import Outcome, RecognizeResult
from packsight.shared.pieces import pieces
from packsight.shared.queue.ledger import Ledger
from packsight.worker.process.cores import usable_cores

BROKER, RESULTS = 4, 5
"""Databases of its own."""
WARM = 20
"""Batches before the measured ones."""
CHILDREN_PER_CORE = 2
"""A child without networks waits for the broker half of its time."""


def run_queue_only(on: Testbed, outcomes: Sequence[Outcome], batches: int) -> dict[str, Any]:
    """Queue batches, then let a worker answer them; each step's images a second."""
    file = on.folder / "outcomes.jsonl"
    file.write_text("\n".join(outcome.model_dump_json() for outcome in outcomes), encoding="utf-8")
    urls = {"broker_url": on.redis_url(BROKER), "result_url": on.redis_url(RESULTS)}
    settings = on.settings.model_copy(update={name: SecretStr(url) for name, url in urls.items()})
    variables = {
        **on.environment,
        "PACKSIGHT_BROKER_URL": urls["broker_url"],
        "PACKSIGHT_RESULT_URL": urls["result_url"],
        "BENCH_OUTCOMES": str(file),
    }
    node = "queue-only@bench"
    command = [sys.executable, "-m", "celery", "-A", "bench.queue_only", "worker", "--hostname", node]
    command += ["--queues", ",".join(WORKER_QUEUES), "--concurrency", str(CHILDREN_PER_CORE * usable_cores())]
    command += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    app = producer_app(settings)
    spec = Spec("queue-only", command, lambda: bool(app.control.inspect([node], timeout=2).ping()), variables)
    with closing(Ledger(settings)) as ledger, celery_worker(spec, on.folder, 60) as running:
        names = [f"queue-only-{number:06d}" for number in range(batches + WARM)]
        _send(app, names[:WARM])
        _await(ledger, names[:WARM])
        with running.suspended():
            begun = time.monotonic()
            _send(app, names[WARM:])
            sent = time.monotonic() - begun
        with Usage(groups(on, running)) as usage:
            _await(ledger, names[WARM:])
        ends, size = batch_ends(ledger, dict.fromkeys(names[WARM:], BATCH))
        images, seconds = between_ends(ends)
        begun = time.monotonic()
        read = sum(_read(ledger, part) for part in pieces(names[WARM:], AT_ONCE))
        took = time.monotonic() - begun
        ledger.client.flushdb()
    app.close()
    return {
        **usage.document(),
        "images": images,
        "seconds": seconds,  # between the ends, not the whole watch
        "images_per_s": images / seconds,
        "queued_per_s": batches * BATCH / sent,
        "results_read_per_s": read / took,
        "result_bytes_per_image": size / (batches * BATCH),
    }


def _send(app: Any, names: Sequence[str]) -> None:
    for name in names:
        references = [f"s3://bench/uploads/{hashlib.sha256(f'{name} {i}'.encode()).hexdigest()}" for i in range(BATCH)]
        send(app, RecognizeRequest(images=references), task_id=name, queue=BULK_QUEUE)


def _await(ledger: Ledger, names: Sequence[str], seconds: float = 120.0) -> None:
    """Wait with little asking: it runs on the cores that are measured."""
    waiting = list(names)
    deadline = time.monotonic() + seconds
    while waiting:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(waiting)} of {len(names)} batches have not ended within {seconds:.0f} s")
        time.sleep(0.2)
        if ledger.results.ended(list(islice(reversed(waiting), BATCH))):
            ended = ledger.results.ended(waiting)
            waiting = [name for name in waiting if name not in ended]


def _read(ledger: Ledger, names: Sequence[str]) -> int:
    return sum(len(RecognizeResult.model_validate(end.result).outcomes) for end in ledger.results.read(names).values())
