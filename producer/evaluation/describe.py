"""What the workers see on a set of photos, asked once over the queue and kept for any number of questions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from packsight.producer.backoff import Backoff, RetryPolicy
from packsight.producer.broker import answering
from packsight.producer.client import Client
from packsight.producer.evaluation.labels import items, unreadable
from packsight.producer.upload import Unreadable, upload
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.labels import Label
from packsight.shared.contract.messages import DESCRIBE, DESCRIBE_QUEUE, DescribeRequest
from packsight.shared.contract.outcomes import Described, DescribeResult, Failure
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.queue.results import TaskEnd
from packsight.shared.storage.feature_store import FeatureStore, decode_pack
from packsight.shared.storage.jobs import JobImage
from packsight.shared.vision.features import Features
from packsight.shared.vision.models import describe_key

IN_FLIGHT = 8
"""Batches that wait for workers at a time."""


def send(client: Client, labels: Sequence[Label], root: Path) -> list[JobImage]:
    """Upload the labelled photos, paths from `root` on; raises UserError when one cannot be read."""
    client.store.ensure_bucket()
    sent = []
    for one in upload(items(labels, root), client.store):
        if isinstance(one, Unreadable):
            raise unreadable(one.name, one.reason)
        sent.append(one)
    return sent


def describe(
    client: Client,
    images: Sequence[JobImage],
    snapshot: Snapshot,
    *,
    idle: Callable[[float], None] | None = None,
    done: Callable[[int], None] | None = None,
) -> list[Features | Failure]:
    """Features of each photo, or why there are none, in order; `done` hears how many photos have just ended.

    Raises CatalogError when the workers run other networks than the version was made with, UserError when the broker
    does not answer.
    """
    found: list[Features | Failure | None] = [None] * len(images)
    with answering(client.settings):
        for first, result in _results(client, images, idle):
            known = _features(client, snapshot, result) if result.models else {}
            for number, photo in enumerate(result.photos, first):
                found[number] = photo.failure or known.get(photo.sha256 or "") or _lost(photo)
            if done:
                done(len(result.photos))
    return [photo for photo in found if photo is not None]


def stored(client: Client, snapshot: Snapshot, wanted: Sequence[str]) -> dict[str, Features]:
    """Features of catalog photos by sha256: every version is built from them, so no network runs."""
    return _store(client, snapshot).load(wanted)


def _store(client: Client, snapshot: Snapshot) -> FeatureStore:
    models = describe_key(snapshot.manifest.embedder, snapshot.manifest.spotter)
    return FeatureStore(client.store, models, client.settings.home)


def _features(client: Client, snapshot: Snapshot, result: DescribeResult) -> dict[str, Features]:
    snapshot.manifest.require(recipe(result.models["embedder"], result.models["spotter"]))
    store = _store(client, snapshot)
    packs = sorted({photo.pack for photo in result.photos if photo.pack})
    return {
        photo.sha256: photo for pack in packs for photo in decode_pack(client.store.read(store.key(pack)).data)
    }


def _results(
    client: Client, images: Sequence[JobImage], idle: Callable[[float], None] | None
) -> Iterator[tuple[int, DescribeResult]]:
    """Send all photos in batches; yield each result with the place of its first photo."""
    retry = RetryPolicy(client.settings.queue.outage_seconds)
    size = min(client.settings.catalog.describe_batch, client.settings.worker.max_batch)
    run = secrets.token_hex(6)
    starts = iter(range(0, len(images), size))
    waiting: dict[str, int] = {}
    backoff = Backoff(idle)
    while True:
        while len(waiting) < IN_FLIGHT and (start := next(starts, None)) is not None:
            task_id = f"evaluate-{run}-{start:06d}"
            request = DescribeRequest(images=[image.reference for image in images[start : start + size]])
            retry(partial(_publish, client, task_id, request))
            waiting[task_id] = start
        if not waiting:
            return
        ended = retry(partial(client.ledger.results.read, list(waiting)))
        for task_id, end in ended.items():
            start = waiting.pop(task_id)
            yield start, _result(end, images[start : start + size])
        backoff.after(progress=bool(ended))


def _publish(client: Client, task_id: str, request: DescribeRequest) -> None:
    payload = request.model_dump(mode="json")
    client.app.send_task(DESCRIBE, args=[payload], task_id=task_id, queue=DESCRIBE_QUEUE, retry=False)


def _result(end: TaskEnd, images: Sequence[JobImage]) -> DescribeResult:
    if end.state != "SUCCESS":
        failure = _internal(f"The task of this photo ended as {end.state}: {end.error or 'no reason given'}")
        return DescribeResult(models={}, photos=[Described(image=i.reference, failure=failure) for i in images])
    try:
        result = DescribeResult.model_validate(end.result)
    except ValidationError:
        raise UserError(
            "The workers' result does not follow the contract. Run the same release of packsight here and there."
        ) from None
    if len(result.photos) != len(images):
        raise UserError(f"The workers described {len(result.photos)} of {len(images)} photos. Run the same release.")
    return result


def _lost(photo: Described) -> Failure:
    return _internal(f"The features of {photo.image} are not in the feature store")


def _internal(message: str) -> Failure:
    return Failure.of_code(ErrorCode.INTERNAL, message)
