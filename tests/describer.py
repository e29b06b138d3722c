"""A real Celery worker in a thread that answers from given features: for tests of what stands around the networks."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celery.contrib.testing.worker import start_worker

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import (
    DESCRIBE,
    MAKERS,
    RECOGNIZE,
    WORKER_QUEUES,
    DescribeRequest,
    RecognizeRequest,
)
from packsight.shared.contract.outcomes import (
    Described,
    DescribeResult,
    Failure,
    Outcome,
    Provenance,
    RecognizeResult,
    Status,
)
from packsight.shared.queue.app import make_app
from packsight.shared.settings import Settings
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import Features


@dataclass
class Describer:
    """Serves both tasks; `features` by the sha256 of the file's bytes, any other file being no picture."""

    settings: Settings
    snapshot: Snapshot
    features: Mapping[str, Features]
    described: Counter[str] = field(default_factory=Counter)
    recognised: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.store = ObjectStore(self.settings.s3)
        self.models = self.snapshot.manifest.recipe.model_dump(include=set(MAKERS.values()))
        self.app = make_app("describer", self.settings)
        self.app.task(name=RECOGNIZE, shared=False)(self.recognize)
        self.app.task(name=DESCRIBE, shared=False)(self.describe)

    def recognize(self, raw: dict[str, Any]) -> RecognizeResult:
        request = RecognizeRequest.model_validate(raw)
        self.recognised.update(request.images)
        return RecognizeResult.of([self._outcome(image, request.top_k) for image in request.images])

    def describe(self, raw: dict[str, Any]) -> DescribeResult:
        request = DescribeRequest.model_validate(raw)
        self.described.update(request.images)
        photos = {image: self._see(image) for image in request.images}
        pack = hashlib.sha256(str(request.images).encode()).hexdigest()[:32]
        made_by = {part: self.models[maker] for part, maker in MAKERS.items()}
        store = FeatureStore(self.store, made_by, self.settings.home / "worker")
        store.put(pack, [photo for photo in photos.values() if photo], request.parts)
        described = [
            Described(image=image, sha256=photo.sha256, pack=pack) if photo else Described(image=image, failure=_broken())
            for image, photo in photos.items()
        ]
        return DescribeResult(models=self.models, photos=described)

    def _see(self, image: str) -> Features | None:
        return self.features.get(image.rpartition("/")[2])

    def _outcome(self, image: str, top_k: int) -> Outcome:
        photo = self._see(image)
        if photo is None:
            return Outcome(image=image, status=Status.FAILED, failure=_broken())
        started = time.perf_counter()
        decision = match(photo, self.snapshot, top_k=top_k)
        manifest = self.snapshot.manifest
        return Outcome(
            image=image, status=decision.status, product=decision.product, confidence=decision.confidence,
            candidates=decision.candidates, reason=decision.reason, words=list(photo.words), size=(photo.width, photo.height),
            provenance=Provenance(
                catalog=manifest.catalog, catalog_version=manifest.version, embedder=manifest.embedder, spotter=manifest.spotter
            ),
            timings={"decode": 0.0, "match": time.perf_counter() - started},
        )  # fmt: skip


def _broken() -> Failure:
    return Failure.of_code(ErrorCode.IMAGE_BROKEN, "no picture")


@contextmanager
def describing(settings: Settings, snapshot: Snapshot, features: Mapping[str, Features]) -> Iterator[Describer]:
    """Serve all worker queues while the context lasts."""
    made = Describer(settings, snapshot, features)
    queues = list(WORKER_QUEUES)
    with start_worker(made.app, pool="solo", perform_ping_check=False, queues=queues, loglevel="WARNING"):
        yield made
    made.store.close()
