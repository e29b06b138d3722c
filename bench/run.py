"""The run: every configuration on the same photos and cores, one after the other, into one document."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import machine
from bench.accuracy import accuracy
from bench.ground import Ground, Running, ground, worker
from bench.limit import Limit, limit
from bench.photos import PhotoSet, changed_copies
from bench.plain_run import run_plain
from bench.queue_only_run import run_queue_only
from bench.stages import run_stages
from bench.usage import Usage
from bench.whole_queue import BATCH, Done, remembered, run_job, seen_before
from indexer.report import SyncRequest
from indexer.sync import run_sync
from producer.client import Client
from producer.evaluation.labels import Label, answers
from producer.evaluation.recognise import submit
from producer.rows import Row
from shared.outcomes import Outcome, Status
from worker.cores import divide, usable_cores


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    rounds: turns of whole queue and limit, so that a machine whose speed drifts does not favour either; base: photos that
    both look at; copies: of each base photo through the queue per round; passes: of the limit over the base photos per round.
    """

    rounds: int = 3
    base: int = 48
    copies: int = 4
    passes: int = 3
    plain: int = 1000
    stages: int = 32
    queue_only_batches: int = 1200


QUICK = Sizes(rounds=1, base=8, copies=4, passes=1, plain=6, stages=4, queue_only_batches=100)


def run(folder: Path, models: Path, photos: PhotoSet, sizes: Sizes, console: Console) -> dict[str, Any]:
    """Measure everything; returns the document of last.json."""
    cores = usable_cores()
    document: dict[str, Any] = {
        "version": 1,
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.machine(cores),
        "packages": machine.packages(),
        "photos": {"set": photos.name, "labelled": len(photos.labels)},
    }
    base = sample(photos.usable(), sizes.base)
    labels = sample(photos.labels, sizes.plain)
    with ground(folder, models) as on:
        settings = on.settings
        children, threads = divide(settings.worker, cores)
        document["machine"] |= {"children": children, "threads": threads}
        document["models"] = settings.models.model_dump(mode="json", exclude={"cache_dir"})
        with ExitStack() as stack:
            console.rule("Starting a worker")
            by = stack.enter_context(worker(on))
            client = stack.enter_context(Client(settings))
            publish_catalog(on, photos, document, console)
            console.rule("Labelled photos")
            rows, seen = labelled(client, photos, labels)
            document["accuracy"] = {"queue": seen}
            outcomes = [row.outcome for row in rows if row.outcome.status is not Status.FAILED]
            copies = changed_copies(base, sizes.rounds * sizes.copies * len(base), folder / "copies")
            together = stack.enter_context(limit(settings, base, children, threads))
            document |= _rounds(on, by, client, together, copies, sizes, console)
            with by.suspended():
                console.rule("Stage by stage")
                references = [row.outcome.image for row in rows if row.outcome.status is not Status.FAILED]
                document["stages"] = run_stages(settings, sample(references, sizes.stages), threads)
        console.rule("Queue without networks")
        document["queue_only"] = run_queue_only(on, outcomes, sizes.queue_only_batches)
        console.rule("A plain worker")
        document["plain"], plain_accuracy = run_plain(on, photos, [label for label in labels if _readable(label)], 600)
        document["accuracy"]["plain"] = plain_accuracy.document()
    queue = document["queue"]["images_per_s"]
    document |= {
        "queue_images_per_s": queue,
        "queue_seen_before_images_per_s": document["queue_seen_before"]["images_per_s"],
        "limit_images_per_s": document["limit"]["images_per_s"],
        "plain_images_per_s": document["plain"]["images_per_s"],
        "queue_only_images_per_s": document["queue_only"]["images_per_s"],
        "queue_to_limit_ratio": queue / document["limit"]["images_per_s"],
        "queue_to_plain_ratio": queue / document["plain"]["images_per_s"],
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return document


def publish_catalog(on: Ground, photos: PhotoSet, document: dict[str, Any], console: Console) -> None:
    """Publish the photo set's catalog with the running worker."""
    console.rule("Publishing the catalog")
    run_sync(SyncRequest(str(photos.feed), photos.extra, "default", False), on.settings)
    with Client(on.settings) as client:  # until the worker has the version, its photos wait
        client.recognize(str(photos.usable()[0]))
    document["photos"]["catalog_feed"] = photos.feed.name


def labelled(client: Client, photos: PhotoSet, labels: Sequence[Label]) -> tuple[list[Row], dict[str, Any]]:
    """Recognise labelled photos; this also warms the worker up."""
    known = [label for label in labels if _readable(label)]
    rows = sorted(client.run(submit(client, known, photos.root, catalog="default")), key=lambda row: row.index)
    return rows, accuracy(answers(known, [row.outcome for row in rows])).document()


def sample(items: Sequence[Any], count: int) -> list[Any]:
    """Return at most `count` items, the same at every call, in their order."""
    chosen = sorted(random.Random(7).sample(range(len(items)), min(count, len(items))))
    return [items[i] for i in chosen]


def _readable(label: Label) -> bool:
    """The demo's files that are no pictures tell nothing about recognition."""
    return "unreadable" not in label.kinds


def _rounds(
    on: Ground, by: Running, client: Client, together: Limit, copies: Sequence[Path], sizes: Sizes, console: Console
) -> dict[str, Any]:
    """Let whole queue and limit take turns."""
    done: list[Done] = []
    bare: list[tuple[int, float, dict[str, Any]]] = []
    each = len(copies) // sizes.rounds
    broker = client.ledger.client
    before = int(broker.info("memory")["used_memory"]) - remembered(client.ledger)[1]
    for number in range(sizes.rounds):
        console.rule(f"Whole queue and limit, round {number + 1} of {sizes.rounds}")
        done.append(run_job(client, on, by, copies[number * each : (number + 1) * each]))
        with by.suspended(), Usage({"children": together.pids}) as usage:
            count, took = together.run(sizes.passes)
        bare.append((count, took, usage.document()))
        console.print(f"queue {done[-1].images / done[-1].seconds:.2f}/s, limit {bare[-1][0] / bare[-1][1]:.2f}/s")
    images, seconds = sum(one.images for one in done), sum(one.seconds for one in done)
    jobs = sum(len(one.rows) for one in done)
    seen, seen_bytes = remembered(client.ledger)
    grown = int(broker.info("memory")["used_memory"]) - seen_bytes - before
    again = run_job(client, on, by, copies[-each:])
    console.print(f"the last round once more {again.images / again.seconds:.2f}/s")
    return {
        "queue": {
            "images": images,
            "seconds": seconds,
            "images_per_s": images / seconds,
            "batch": BATCH,
            "cpu_seconds_per_image": sum(sum(one.usage["cpu_seconds"].values()) for one in done) / jobs,
            "photo_bytes": sum(path.stat().st_size for path in copies) / len(copies),
            "result_bytes_per_image": sum(one.result_bytes for one in done) / jobs,
            "broker_bytes_per_image": grown / jobs,
            "remembered_bytes_per_photo": seen_bytes / max(seen, 1),
            "wait_seconds_per_stage": _mean_timings([row.outcome for one in done for row in one.rows]),
            "seen_before_share": seen_before([row for one in done for row in one.rows]),
            "rounds": [{"images_per_s": one.images / one.seconds, **one.usage} for one in done],
        },
        "queue_seen_before": {
            "images": again.images,
            "seconds": again.seconds,
            "images_per_s": again.images / again.seconds,
            "seen_before_share": seen_before(again.rows),
            "wait_seconds_per_stage": _mean_timings([row.outcome for row in again.rows]),
            "cpu_seconds": again.usage["cpu_seconds"],
        },
        "limit": {
            "images": sum(count for count, _, _ in bare),
            "seconds": sum(took for _, took, _ in bare),
            "images_per_s": sum(count for count, _, _ in bare) / sum(took for _, took, _ in bare),
            "cpu_seconds_per_image": sum(used["cpu_seconds"]["children"] for _, _, used in bare)
            / sum(count for count, _, _ in bare),
            "rounds": [{"images_per_s": count / took, **used} for count, took, used in bare],
        },
    }


def _mean_timings(outcomes: Sequence[Outcome]) -> dict[str, float]:
    stages = sorted({stage for outcome in outcomes for stage in outcome.timings})
    return {stage: sum(one.timings.get(stage, 0.0) for one in outcomes) / len(outcomes) for stage in stages}
