"""One child with a small catalog of drawn packs in a real store, for tests with real networks."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from packsight.deploy.demo.shop.products import STRANGERS, Item, items
from packsight.deploy.demo.shop.scenes import query_photo
from packsight.indexer.build.version import build_version
from packsight.shared.catalog.manifest import Manifest, PhotoRow, ProductRow
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.messages import RecognizeOptions, RecognizeRequest
from packsight.shared.contract.outcomes import Failure, Outcome
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import Features
from packsight.worker.catalogs.replica import Replica
from packsight.worker.catalogs.snapshots import Catalogs
from packsight.worker.pipeline.pipeline import Pipeline
from tests.trust import UNCHECKED

PRODUCTS = [item for item in items() if item.id in {"401", "402", "501", "601", "1001"}]


@dataclass
class Shop:
    """One child with its catalog: five drawn products, two photos each."""

    settings: Settings
    store: ObjectStore
    pipeline: Pipeline
    catalogs: Catalogs
    replica: Replica
    photos: list[PhotoRow]
    folder: Path
    features: dict[str, Features] = field(default_factory=dict)

    def put(self, name: str, data: bytes) -> str:
        key = f"incoming/{name}"
        self.store.write(key, data)
        return f"s3://{self.store.bucket}/{key}"

    def ask(
        self, *references: str, catalog: str = "default", read_all: bool = False, max_products: int = 1
    ) -> list[Outcome]:
        options = RecognizeOptions(catalog=catalog, top_k=3, read_all=read_all, max_products=max_products)
        return self.pipeline.recognize(RecognizeRequest.of(references, options))

    def publish(
        self,
        products: list[Item],
        *,
        catalog: str = "default",
        embedder: str | None = None,
        barcodes: Mapping[str, str] = MappingProxyType({}),
    ) -> Manifest:
        """Publish a version; barcodes by the product's id."""
        wanted = {item.id for item in products}
        rows = [row for row in self.photos if row.product_id in wanted]
        if not self.features:
            seen = self.pipeline.describe([f"s3://{self.store.bucket}/photos/{row.sha256}" for row in self.photos])
            self.features.update({item.sha256: item.features for item in seen if item.features and item.sha256})
        folder = self.folder / secrets.token_hex(4)
        manifest = build_version(
            folder,
            catalog=catalog,
            parent=None,
            products=[product_row(item, barcodes.get(item.id)) for item in products],
            photos=rows,
            features=self.features,
            recipe=recipe(embedder or self.pipeline.embedder_name, self.pipeline.spotter_name),
        )
        versions = CatalogStore(self.store, catalog, UNCHECKED)
        versions.upload(folder)
        versions.point(manifest.version, expected=versions.current())
        self.replica.sync()
        return manifest


def product_row(item: Item, barcode: str | None = None) -> ProductRow:
    name = f"{item.family.brand} {item.family.line} {item.variant}"
    codes = () if barcode is None else (barcode,)
    model = f"{item.family.line} {item.variant}"
    return ProductRow(id=item.id, name=name, vendor=item.family.brand, model=model, barcodes=codes)


def failure(outcome: Outcome) -> Failure:
    assert outcome.failure is not None, outcome
    return outcome.failure


def version(outcome: Outcome) -> str:
    """The catalog version that an answer comes from."""
    assert outcome.provenance is not None, outcome
    assert outcome.provenance.catalog_version is not None, outcome
    return outcome.provenance.catalog_version


@cache
def query(item: Item, seed: int = 7) -> bytes:
    """The photo that somebody asks about; drawn once in a process, since many tests ask about the same."""
    strangers = [other for other in items() if other.family in STRANGERS]
    return query_photo(item, "table", strangers, np.random.default_rng([seed, int(item.id)]), occluded=False)
