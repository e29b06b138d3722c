"""The bundled networks, a catalog of drawn packs and a real store: what one child answers."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from deploy.demo.products import STRANGERS, Item, items
from deploy.demo.scenes import catalog_photo, query_photo
from indexer.build import build_version
from shared.catalog import CatalogStore, Manifest, PhotoRow, ProductRow
from shared.errors import ErrorCode
from shared.features import Features
from shared.fetch import Fetcher
from shared.messages import RecognizeRequest
from shared.outcomes import Status
from shared.settings import S3, Fetch, Models, Settings
from shared.store import ObjectStore
from tests.conftest import Services
from worker.catalogs import Catalogs
from worker.networks import Embedder, Spotter, load_embedder, load_spotter
from worker.pipeline import Pipeline
from worker.replica import Replica

PRODUCTS = [item for item in items() if item.id in {"401", "402", "501", "601", "1001"}]


@dataclass
class Shop:
    """One child with its catalog: five drawn products, two photos each."""

    settings: Settings
    store: ObjectStore
    pipeline: Pipeline
    replica: Replica
    photos: list[PhotoRow]
    folder: Path
    features: dict[str, Features] = field(default_factory=dict)

    def put(self, key: str, data: bytes) -> str:
        self.store.write(key, data)
        return f"s3://{self.store.bucket}/{key}"

    def ask(self, *references: str, catalog: str = "default") -> list:
        return self.pipeline.recognize(RecognizeRequest(images=list(references), catalog=catalog, top_k=3))

    def publish(self, products: list[Item], *, catalog: str = "default", embedder: str | None = None) -> Manifest:
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
            products=[product_row(item) for item in products],
            photos=rows,
            features=self.features,
            embedder=embedder or self.pipeline.embedder_name,
            spotter=self.pipeline.spotter_name,
        )
        versions = CatalogStore(self.store, catalog)
        versions.upload(folder)
        versions.point(manifest.version, expected=versions.current())
        self.replica.sync()
        return manifest


def product_row(item: Item) -> ProductRow:
    name = f"{item.family.brand} {item.family.line} {item.variant}"
    return ProductRow(id=item.id, name=name, vendor=item.family.brand, model=f"{item.family.line} {item.variant}")


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Embedder, Spotter]:
    models = Models(cache_dir=tmp_path_factory.mktemp("models"))
    return load_embedder(models, 2), load_spotter(models, 2)


@pytest.fixture(scope="module")
def shop(
    embedded: Services, networks: tuple[Embedder, Spotter], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    settings = Settings(
        _env_file=None,
        result_url=SecretStr(embedded.redis_url(1)),
        home=folder / "home",
        fetch=Fetch(root=folder),
        s3=S3(
            endpoint=f"127.0.0.1:{embedded.s3_port}",
            access_key=embedded.access_key,
            secret_key=SecretStr(embedded.secret_key),
            bucket=f"pipeline-{secrets.token_hex(3)}",
        ),
    )
    store = ObjectStore(settings.s3)
    store.ensure_bucket()
    embedder, spotter = networks
    names = {"embedder": embedder.description.fingerprint(), "spotter": spotter.description.fingerprint()}
    catalogs = Catalogs(settings.home, store, **names)
    pipeline = Pipeline(Fetcher(settings, store), embedder, spotter, catalogs, settings.decode, threads=4)
    photos = []
    for item in PRODUCTS:
        for number in range(2):
            data = catalog_photo(item, number, np.random.default_rng([number, int(item.id)]))
            sha256 = hashlib.sha256(data).hexdigest()
            store.write(f"photos/{sha256}", data)
            photos.append(PhotoRow(product_id=item.id, sha256=sha256, source=f"{item.id}/{number}.jpg"))
    made = Shop(settings, store, pipeline, Replica(settings, "node"), photos, folder)
    made.publish(PRODUCTS)
    yield made
    store.close()


def query(item: Item, seed: int = 7) -> bytes:
    strangers = [other for other in items() if other.family in STRANGERS]
    return query_photo(item, "table", strangers, np.random.default_rng([seed, int(item.id)]), occluded=False)


def test_photos_of_listed_products_are_recognised_with_their_evidence(shop: Shop) -> None:
    references = [shop.put(f"q/{item.id}.jpg", query(item)) for item in PRODUCTS]
    outcomes = shop.ask(*references)
    assert [outcome.image for outcome in outcomes] == references
    first = [outcome.candidates[0].product.id for outcome in outcomes]
    assert sum(a == b.id for a, b in zip(first, PRODUCTS, strict=True)) >= len(PRODUCTS) - 1
    for outcome in outcomes:
        assert len(outcome.candidates) <= 3
        assert outcome.words
        assert outcome.reason
        assert set(outcome.timings) >= {"fetch", "decode", "embed", "spot", "match"}
        assert outcome.provenance is not None
        assert outcome.provenance.embedder == shop.pipeline.embedder_name


def test_a_photo_has_the_same_features_alone_in_a_batch_as_query_and_as_catalog_photo(shop: Shop) -> None:
    catalog = [f"s3://{shop.store.bucket}/photos/{row.sha256}" for row in shop.photos[:3]]
    alone = [next(shop.pipeline.see([reference])).features for reference in catalog]
    together = [seen.features for seen in shop.pipeline.see(catalog)]
    for one, other in zip(alone, together, strict=True):
        assert one is not None
        assert other is not None
        assert np.array_equal(one.embedding, other.embedding)
        assert one.words == other.words
        assert np.array_equal(one.local.descriptors, other.local.descriptors)


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


def faults(shop: Shop) -> dict[str, ErrorCode]:
    """A reference for each thing that can be wrong with an image."""
    whole = query(PRODUCTS[0])
    bomb = cv2.imencode(".png", np.zeros((13_000, 13_000), np.uint8))[1].tobytes()
    put = shop.put
    return {
        f"s3://{shop.store.bucket}/never/uploaded.jpg": ErrorCode.OBJECT_MISSING,
        "s3://no-such-bucket-anywhere/a.jpg": ErrorCode.BUCKET_MISSING,
        put("f/truncated.jpg", whole[: len(whole) // 2]): ErrorCode.IMAGE_TRUNCATED,
        put("f/text.jpg", b"this is no picture at all, only its name says so"): ErrorCode.FORMAT_UNSUPPORTED,
        put("f/empty.jpg", b""): ErrorCode.FILE_EMPTY,
        put("f/strip.png", encoded(Image.new("RGB", (20_000, 1)), "PNG")): ErrorCode.IMAGE_TOO_SMALL,
        put("f/bomb.png", bomb): ErrorCode.IMAGE_TOO_MANY_PIXELS,
        put("f/document.jpg", b"%PDF-1.7\n" + b"0" * 500): ErrorCode.FORMAT_UNSUPPORTED,
        "https://no-such-host.invalid/a.jpg": ErrorCode.HOST_UNREACHABLE,
        "http://127.0.0.1/a.jpg": ErrorCode.REFERENCE_REFUSED,
        "ftp://example.com/a.jpg": ErrorCode.REFERENCE_INVALID,
        "nowhere.jpg": ErrorCode.OBJECT_MISSING,
    }


def test_each_broken_image_ends_in_its_own_typed_outcome_and_its_neighbours_are_answered(shop: Shop) -> None:
    wanted = faults(shop)
    good = shop.put("f/good.jpg", query(PRODUCTS[2]))
    references = [good, *wanted, good]
    outcomes = shop.ask(*references)
    assert [outcome.image for outcome in outcomes] == references
    broken = {outcome.image: outcome for outcome in outcomes[1:-1]}
    assert {image: outcome.failure.code for image, outcome in broken.items()} == wanted
    for outcome in broken.values():
        assert outcome.status is Status.FAILED
        assert outcome.failure.message
        assert outcome.failure.remedy
    assert {outcome.status for outcome in (outcomes[0], outcomes[-1])} != {Status.FAILED}
    assert outcomes[0].candidates == outcomes[-1].candidates


def test_a_new_version_answers_the_next_batch_and_a_withdrawn_product_is_gone(shop: Shop) -> None:
    removed, *kept = PRODUCTS
    reference = shop.put("swap/q.jpg", query(removed))
    before = shop.ask(reference)[0]
    assert removed.id in {candidate.product.id for candidate in before.candidates}
    newer = shop.publish(kept)
    after = shop.ask(reference)[0]
    assert after.provenance.catalog_version == newer.version != before.provenance.catalog_version
    assert removed.id not in {candidate.product.id for candidate in after.candidates}
    shop.publish(PRODUCTS)
    assert shop.ask(reference)[0].candidates == before.candidates


def test_a_version_made_by_other_models_is_refused_and_the_one_before_serves_on(shop: Shop) -> None:
    reference = shop.put("refuse/q.jpg", query(PRODUCTS[1]))
    before = shop.ask(reference)[0]
    shop.publish(PRODUCTS, embedder="another-model-000000000000")
    after = shop.ask(reference)[0]
    assert after.provenance.catalog_version == before.provenance.catalog_version
    shop.publish(PRODUCTS)
    assert shop.ask(reference)[0].status is not Status.FAILED


def test_a_catalog_whose_only_version_has_other_models_fails_its_images_with_the_reason(shop: Shop) -> None:
    shop.publish(PRODUCTS, catalog="foreign", embedder="another-model-000000000000")
    outcome = shop.ask(shop.put("refuse/only.jpg", query(PRODUCTS[1])), catalog="foreign")[0]
    assert outcome.failure.code is ErrorCode.CATALOG_REFUSED
    assert "another-model-000000000000" in outcome.failure.message


def test_an_unknown_catalog_is_named(shop: Shop) -> None:
    outcomes = shop.ask("s3://any/a.jpg", "s3://any/b.jpg", catalog="not-there")
    assert [outcome.failure.code for outcome in outcomes] == [ErrorCode.CATALOG_MISSING] * 2
    assert "not-there" in outcomes[0].failure.message


def test_two_catalogs_answer_beside_each_other(shop: Shop) -> None:
    shop.publish(PRODUCTS[:2], catalog="second")
    reference = shop.put("two/q.jpg", query(PRODUCTS[4]))
    ids = {candidate.product.id for candidate in shop.ask(reference, catalog="second")[0].candidates}
    assert ids <= {item.id for item in PRODUCTS[:2]}
    assert shop.ask(reference)[0].candidates[0].product.id == PRODUCTS[4].id
