"""Real networks and a shop for the tests that look at photos."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from packsight.deploy.demo.shop.scenes import catalog_photo
from packsight.deploy.testbed import Servers
from packsight.indexer.build.parameters import FIT
from packsight.indexer.examination import Examination
from packsight.indexer.gate.parameters import GATE
from packsight.shared.catalog.manifest import PhotoRow
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.settings import Fetch, Models, Worker
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.models import describe_key
from packsight.worker.catalogs.replica import Replica
from packsight.worker.catalogs.snapshots import Catalogs
from packsight.worker.networks.base import Embedder, Spotter
from packsight.worker.networks.load import load_embedder, load_spotter
from packsight.worker.pipeline.feature_cache import FeatureCache
from packsight.worker.pipeline.pipeline import Pipeline
from tests.shop import PRODUCTS, Shop


@pytest.fixture
def little_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What versions learn of their photos takes most of a sync's time; for tests of what else a sync does."""
    few = replace(FIT, examples=replace(FIT.examples, max_photos=2))
    monkeypatch.setattr("packsight.indexer.phases.run.FIT", few)


@pytest.fixture
def quick_syncs(little_learned: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions learn little, and are asked about two of their photos; for tests of neither."""
    asked_little = partial(Examination, parameters=replace(GATE, own_photos=2))
    monkeypatch.setattr("packsight.indexer.phases.run.Examination", asked_little)


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Embedder, Spotter]:
    """The bundled networks."""
    models = Models(cache_dir=tmp_path_factory.mktemp("models"))
    return load_embedder(models, 2), load_spotter(models, 2)


@pytest.fixture(scope="module")
def shop(
    servers: Servers, networks: tuple[Embedder, Spotter], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A child with a published catalog; it remembers no photo from one batch to the next."""
    folder = tmp_path_factory.mktemp("shop")
    bucket = f"pipeline-{secrets.token_hex(3)}"
    fetch = Fetch(root=folder, allowed_prefixes=("s3://no-such-bucket-anywhere/",))
    settings = servers.settings(folder / "home", bucket, fetch=fetch, worker=Worker(remember=0))
    store = ObjectStore(settings.s3)
    store.ensure_bucket()
    embedder, spotter = networks
    own = recipe(embedder.description.fingerprint(), spotter.description.fingerprint())
    catalogs = Catalogs(settings.home, store, own)
    cache = FeatureCache(settings, describe_key(own.embedder, own.spotter))
    fetcher, threads = Fetcher(settings, store), settings.fetch.threads
    pipeline = Pipeline(fetcher, embedder, spotter, catalogs, cache, settings.decode, threads)
    photos = []
    for item in PRODUCTS:
        for number in range(2):
            data = catalog_photo(item, number, np.random.default_rng([number, int(item.id)]))
            sha256 = hashlib.sha256(data).hexdigest()
            store.write(f"photos/{sha256}", data)
            photos.append(PhotoRow(product_id=item.id, sha256=sha256, source=f"{item.id}/{number}.jpg"))
    made = Shop(settings, store, pipeline, catalogs, Replica(settings, "node"), photos, folder)
    made.publish(PRODUCTS)
    yield made
    store.close()
