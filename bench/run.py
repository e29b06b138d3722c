"""The run: every configuration on the same photos and cores, one after the other, into one document."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from bench import machine
from bench.accuracy import accuracy
from bench.asked import Asker
from bench.baseline_run import run_baseline
from bench.bounds import Bounds, bounds
from bench.photos import PhotoSet, changed_copies, sample
from bench.queue_only_run import run_queue_only
from bench.roofline import run_roofline
from bench.set_run import listed
from bench.stages import run_stages
from bench.testbed import Running, Testbed, testbed, worker
from bench.usage import Usage
from bench.whole_queue import BATCH, Done, remembered, run_job, seen_before
from packsight.indexer.report import SyncRequest
from packsight.indexer.sync import run_sync
from packsight.producer.client import Client
from packsight.producer.evaluation import local
from packsight.producer.evaluation.labels import answers
from packsight.producer.evaluation.recognise import submit
from packsight.producer.rows import Row
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.contract.outcomes import Outcome, Status
from packsight.shared.pieces import pieces
from packsight.shared.tables.labels import Label

T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    rounds: turns of whole queue and its bounds, so that a machine whose speed drifts does not favour either; base: photos that
    both look at; copies: changed copies of them that a job of a round has at least, of each as many; bound: photos that
    each bound looks at per round; baseline: labelled photos.
    """

    rounds: int = 3
    base: int = 48
    copies: int = 640
    bound: int = 288
    baseline: int = 1000
    stages: int = 32
    queue_only_batches: int = 1200


QUICK = Sizes(rounds=1, base=4, copies=32, bound=4, baseline=6, stages=4, queue_only_batches=100)


def run(folder: Path, models: Path, photos: PhotoSet, sizes: Sizes, console: Console) -> dict[str, Any]:
    """Measure everything; returns the document of last.json."""
    document = {"version": 1, **machine.conditions(), "photos": {"set": photos.name, "labelled": len(photos.labels)}}
    base = sample(photos.usable(), sizes.base)
    with testbed(folder, models) as on:
        settings = on.settings
        document["machine"] |= (division := machine.divided(settings.worker))
        threads = division["threads"]
        document["models"] = settings.models.model_dump(mode="json", exclude={"cache_dir"})
        with ExitStack() as stack:
            console.rule("Starting a worker")
            by = stack.enter_context(worker(on))
            client = stack.enter_context(Client(settings))
            publish_catalog(on, photos, document, console)
            console.rule("Labelled photos")
            known, lacking = listed(photos, set(local.Catalog.current(client, "default").ids))
            if lacking:
                console.print(f"The feed lists no {', '.join(lacking)}: photos left out: {len(photos.labels) - len(known)}")
            labels = sample(known, sizes.baseline)
            rows, seen = labelled(client, photos, labels)
            document["accuracy"] = {"queue": seen, "queue_read_all": labelled(client, photos, labels, read_all=True)[1]}
            outcomes = [row.outcome for row in rows if row.outcome.status is not Status.FAILED]
            per_job = len(base) * math.ceil(sizes.copies / len(base))
            copies = changed_copies(base, 2 * sizes.rounds * per_job, folder / "copies")
            bound = stack.enter_context(bounds(settings, base, **division))
            parts = list(pieces(copies, per_job))
            document |= _rounds(on, by, client, bound, parts, sizes, console)
            with by.suspended():
                console.rule("Stage by stage")
                references = [row.outcome.image for row in rows if row.outcome.status is not Status.FAILED]
                document["stages"] = run_stages(settings, sample(references, sizes.stages), threads)
                document["roofline"] = run_roofline(settings, base, threads)
        console.rule("Which stages answer")
        with worker(on, PACKSIGHT_WORKER__REMEMBER="0") as forgetful, Client(settings) as client:
            asked = [label for label in labels if _readable(label)]
            document["ways"] = Asker(on, forgetful, client, photos, "default").ways(asked)
        console.rule("Queue without networks")
        document["queue_only"] = run_queue_only(on, outcomes, sizes.queue_only_batches)
        console.rule("The baseline")
        document["plain"], baseline_accuracy = run_baseline(on, photos, asked, 600)
        document["accuracy"]["plain"] = baseline_accuracy.document()
    queue = document["queue"]["images_per_s"]
    document |= {
        "queue_images_per_s": queue,
        "queue_read_all_images_per_s": document["queue_read_all"]["images_per_s"],
        "queue_seen_before_images_per_s": document["queue_seen_before"]["images_per_s"],
        "limit_images_per_s": document["limit"]["images_per_s"],
        "direct_images_per_s": document["direct"]["images_per_s"],
        "plain_images_per_s": document["plain"]["images_per_s"],
        "queue_only_images_per_s": document["queue_only"]["images_per_s"],
        "queue_to_limit_ratio": queue / document["limit"]["images_per_s"],
        "read_all_to_limit_ratio": document["queue_read_all"]["images_per_s"] / document["limit"]["images_per_s"],
        "read_all_to_direct_ratio": document["queue_read_all"]["images_per_s"] / document["direct"]["images_per_s"],
        "queue_to_read_all_ratio": queue / document["queue_read_all"]["images_per_s"],
        "queue_to_plain_ratio": queue / document["plain"]["images_per_s"],
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return document


def publish_catalog(on: Testbed, photos: PhotoSet, document: dict[str, Any], console: Console) -> None:
    """Publish the photo set's catalog with the running worker."""
    console.rule("Publishing the catalog")
    run_sync(SyncRequest(str(photos.feed), photos.extra, "default", False), on.settings)
    with Client(on.settings) as client:  # until the worker has the version, its photos wait
        client.recognize(str(photos.usable()[0]))
    document["photos"]["catalog_feed"] = photos.feed.name


def labelled(
    client: Client, photos: PhotoSet, labels: Sequence[Label], *, read_all: bool = False
) -> tuple[list[Row], dict[str, Any]]:
    """Recognise labelled photos; this also warms the worker up."""
    known = [label for label in labels if _readable(label)]
    job = submit(client, known, photos.root, RecognizeOptions(read_all=read_all))
    rows = sorted(client.run(job), key=lambda row: row.index)
    return rows, accuracy(answers(known, [row.outcome for row in rows])).document()


def _readable(label: Label) -> bool:
    """The demo's files that are no pictures tell nothing about recognition."""
    return "unreadable" not in label.kinds


def _rounds(
    on: Testbed, by: Running, client: Client, bound: Bounds, parts: Sequence[Sequence[Path]], sizes: Sizes, console: Console
) -> dict[str, Any]:
    """Let the whole queue, the whole queue that reads all, and the two bounds take turns."""
    served: list[Done] = []
    read_all: list[Done] = []
    bare: list[Bare] = []
    direct: list[Bare] = []
    broker = client.ledger.client
    before = int(broker.info("memory")["used_memory"]) - remembered(client.ledger)[1]
    for number in range(sizes.rounds):
        console.rule(f"Whole queue and upper bound, round {number + 1} of {sizes.rounds}")
        served.append(run_job(client, on, by, parts[2 * number]))
        read_all.append(run_job(client, on, by, parts[2 * number + 1], read_all=True))
        references = [row.outcome.image for row in read_all[-1].rows[: sizes.bound]]
        with by.suspended():
            bare.append(_bare(bound, bound.networks, max(1, sizes.bound // min(sizes.base, bound.photos))))
            direct.append(_bare(bound, bound.pipeline, references))
        rates = [one[-1].images / one[-1].seconds for one in (served, read_all, bare, direct)]
        console.print("queue {:.2f}/s, reading all {:.2f}/s, networks {:.2f}/s, pipeline {:.2f}/s".format(*rates))
    seen, seen_bytes = remembered(client.ledger)
    grown = int(broker.info("memory")["used_memory"]) - seen_bytes - before
    again = run_job(client, on, by, parts[-2])
    console.print(f"the last round once more {again.images / again.seconds:.2f}/s")
    rows = [row for one in served for row in one.rows]
    return {
        "queue": {
            **_rate(served),
            "batch": BATCH,
            "photo_bytes": sum(path.stat().st_size for part in parts for path in part) / sum(map(len, parts)),
            "result_bytes_per_image": sum(one.result_bytes for one in served) / len(rows),
            "broker_bytes_per_image": grown / (2 * len(rows)),
            "remembered_bytes_per_photo": seen_bytes / max(seen, 1),
            "reading_stopped_share": sum(not row.outcome.words_complete for row in rows) / len(rows),
        },
        "queue_read_all": _rate(read_all),
        "queue_seen_before": _rate([again]),
        "limit": _rate_of(bare),
        "direct": _rate_of(direct),
    }


@dataclass(frozen=True)
class Bare:
    """What a bound did: photos, seconds, and what its processes used."""

    images: int
    seconds: float
    usage: dict[str, Any]


def _bare(bound: Bounds, run: Callable[[T], tuple[int, float]], work: T) -> Bare:
    with Usage({"children": bound.pids}) as usage:
        images, seconds = run(work)
    return Bare(images, seconds, usage.document())


def _rate_of(rounds: Sequence[Bare]) -> dict[str, Any]:
    images, seconds = sum(one.images for one in rounds), sum(one.seconds for one in rounds)
    return {
        "images": images,
        "seconds": seconds,
        "images_per_s": images / seconds,
        "cpu_seconds_per_image": sum(one.usage["cpu_seconds"]["children"] for one in rounds) / images,
        "rounds": [{"images_per_s": one.images / one.seconds, **one.usage} for one in rounds],
    }


def _rate(jobs: Sequence[Done]) -> dict[str, Any]:
    rows = [row for one in jobs for row in one.rows]
    seconds = sum(one.seconds for one in jobs)
    return {
        "images": len(rows),
        "seconds": seconds,
        "images_per_s": len(rows) / seconds,
        "cpu_seconds_per_image": sum(sum(one.usage["cpu_seconds"].values()) for one in jobs) / len(rows),
        "wait_seconds_per_stage": _mean_timings([row.outcome for row in rows]),
        "seen_before_share": seen_before(rows),
        "rounds": [{"images_per_s": one.images / one.seconds, **one.usage} for one in jobs],
    }


def _mean_timings(outcomes: Sequence[Outcome]) -> dict[str, float]:
    stages = sorted({stage for outcome in outcomes for stage in outcome.timings})
    return {stage: sum(one.timings.get(stage, 0.0) for one in outcomes) / len(outcomes) for stage in stages}
