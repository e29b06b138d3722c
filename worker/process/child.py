"""What a child holds: networks built once in the child itself, its catalogs, its place in the registry."""

from __future__ import annotations

import logging
import os
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from packsight.shared.contract.messages import MAKERS
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.pulse import Pulse, pulse
from packsight.shared.queue.registry import ChildEntry
from packsight.shared.settings import Precision, Settings, settings
from packsight.shared.storage.feature_store import FeatureStore
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.models import describe_key
from packsight.worker.catalogs.snapshots import Catalogs
from packsight.worker.networks import quantised
from packsight.worker.networks.load import load_embedder, load_spotter
from packsight.worker.pipeline.feature_cache import FeatureCache
from packsight.worker.pipeline.pipeline import Pipeline
from packsight.worker.process.cores import divide, usable_cores
from packsight.worker.process.registration import Registration

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Child:
    """Everything that a task of this process works with."""

    settings: Settings
    pipeline: Pipeline
    catalogs: Catalogs
    store: ObjectStore
    features: FeatureStore
    models: dict[str, str]
    """Fingerprints of what makes the features."""
    ledger: Ledger
    dead_letters: DeadLetters
    registration: Registration
    pulse: Pulse


@lru_cache(maxsize=1)
def child() -> Child:
    """Return this process's child, built at the first call: a tasks' process builds it before it takes any task."""
    return build(settings())


def build(config: Settings) -> Child:
    """Build the networks, let them answer a self-test, then register as ready."""
    started = time.monotonic()
    _, threads = divide(config.worker, usable_cores())
    _one_thread_elsewhere()
    store = ObjectStore(config.s3, pool_size=config.fetch.threads)
    if config.models.precision is Precision.INT8:
        quantised.bring(store, config.models.cache_dir, renew=False)
    embedder = load_embedder(config.models, threads)
    spotter = load_spotter(config.models, threads)
    embedder.warm_up()
    spotter.warm_up()
    own = recipe(embedder.description.fingerprint(), spotter.description.fingerprint())
    models = describe_key(own.embedder, own.spotter)
    catalogs = Catalogs(config.home, store, own, room=config.worker.catalogs_mb * 1e6)
    pipeline = Pipeline(
        Fetcher(config, store),
        embedder,
        spotter,
        catalogs,
        FeatureCache(config, models),
        config.decode,
        threads=config.fetch.threads,
        watched=pulse().part,
        aside=pulse().aside,
    )
    catalogs.refresh()
    facts = ChildEntry(
        node=os.environ.get("PACKSIGHT_NODE", ""),
        host=socket.gethostname(),
        pid=os.getpid(),
        ready_at=datetime.now(UTC),
        **own.model_dump(),
        precision=embedder.description.precision,
        scripts=spotter.description.scripts,
        threads=threads,
        cold_start=round(time.monotonic() - started, 2),
    )
    registration = Registration(result_database(config), facts, catalogs, lambda: pipeline.images)
    registration.announce()
    registration.start()
    log.info("ready after %.1f s: %s", facts.cold_start, facts.model_dump_json(), extra={"action": "child_ready"})
    return Child(
        settings=config,
        pipeline=pipeline,
        catalogs=catalogs,
        store=store,
        features=FeatureStore(store, own.parts, config.home),
        models=own.model_dump(include=set(MAKERS.values())),
        ledger=Ledger(config),
        dead_letters=DeadLetters(config),
        registration=registration,
        pulse=pulse(),
    )


def _one_thread_elsewhere() -> None:
    """Keep the libraries around the networks from starting a thread per core of their own."""
    import cv2  # noqa: PLC0415 - heavy, and only a child needs it
    import faiss  # noqa: PLC0415

    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)


