"""What the workers see on a set of photos, asked once over the queue and kept for any number of questions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from packsight.producer.backoff import Backoff, RetryPolicy
from packsight.producer.broker import answering
from packsight.producer.client import Client
from packsight.producer.evaluation.labels import items, unreadable
from packsight.producer.upload import upload
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Failure
from packsight.shared.queue import describing
from packsight.shared.storage.feature_store import FeatureStore, FeatureView
from packsight.shared.storage.jobs import JobImage, Unopened
from packsight.shared.tables.labels import Label
from packsight.shared.vision.features import Features


def send(client: Client, labels: Sequence[Label], root: Path) -> list[JobImage]:
    """Upload the labelled photos, paths from `root` on; raises UserError when one cannot be read."""
    client.store.ensure_bucket()
    sent = []
    for one in upload(items(labels, root), client.store, most=client.settings.fetch.max_bytes):
        if isinstance(one, Unopened):
            raise unreadable(one)
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
    settings = client.settings
    store = _store(client, snapshot)
    backoff = Backoff(idle)

    def wait(*, progress: bool) -> bool:
        backoff.after(progress=progress)
        return False

    def foreign(models: Mapping[str, str]) -> None:
        snapshot.manifest.require(Recipe(**{**snapshot.manifest.recipe.model_dump(), "details": "", **models}))

    found: list[Features | Failure | None] = [None] * len(images)
    with answering(settings):
        batches = describing.describe(
            [image.reference for image in images],
            snapshot.manifest.recipe.parts,
            run=f"evaluate-{secrets.token_hex(6)}",
            size=min(settings.catalog.describe_batch, settings.worker.max_batch),
            app=client.app,
            ledger=client.ledger,
            wait=wait,
            foreign=foreign,
            call=RetryPolicy(settings.queue.outage_seconds),
        )
        for first, result in batches:
            known = store.read(sorted({photo.pack for photo in result.photos if photo.pack}))
            for number, photo in enumerate(result.photos, first):
                message = f"The features of {photo.image} are not in the feature store"
                lost = Failure.of_code(ErrorCode.INTERNAL, message)
                found[number] = photo.failure or known.get(photo.sha256 or "") or lost
            if done:
                done(len(result.photos))
    return [photo for photo in found if photo is not None]


def stored(client: Client, snapshot: Snapshot, wanted: Sequence[str]) -> Mapping[str, Features]:
    """Features of catalog photos by sha256: every version is built from them, so no network runs."""
    return FeatureView(_store(client, snapshot), wanted)


def _store(client: Client, snapshot: Snapshot) -> FeatureStore:
    return FeatureStore(client.store, snapshot.manifest.recipe.parts, client.settings.home)
