"""Syncs from a shop's feed to a published version: real store and Redis, features made from the very bytes."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from celery.contrib.testing.worker import start_worker
from PIL import Image, ImageDraw

from packsight.indexer.completion import Progress
from packsight.indexer.extraction import QueueExtractor
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import LockLostError
from packsight.indexer.phases.run import Run
from packsight.indexer.report import SyncReport, SyncRequest
from packsight.indexer.state.copy import keep
from packsight.indexer.state.database import discard, opened
from packsight.indexer.sync import sync
from packsight.indexer.version_report.keeping import Reports
from packsight.shared.catalog.manifest import new_version
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import CatalogStore, named_parts
from packsight.shared.contract.errors import ErrorCode, ImageError, StorageError, UserError
from packsight.shared.contract.messages import DESCRIBE, DESCRIBE_QUEUE, PARTS, DescribeRequest, Part
from packsight.shared.contract.outcomes import Described, DescribeResult, Failure, WordRead
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.queue import registry
from packsight.shared.queue.app import make_app
from packsight.shared.queue.registry import ChildEntry
from packsight.shared.settings import Decode, Settings
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import FeatureStore, FeatureView
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import Features
from packsight.worker.pipeline.decode import decode
from packsight.worker.pipeline.local_features import catalog_features, thumbnail
from tests.integration.test_feature_store import write_as_the_release_before
from tests.trust import UNCHECKED, lay_apart

pytestmark = pytest.mark.usefixtures("quick_syncs")

RECIPE = recipe("thumb-000000000001", "none-000000000001")


def photo(seed: int, *, kind: str = "JPEG") -> bytes:
    """A drawn pack: coloured blocks that differ with the seed."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (96, 128), tuple(random.integers(0, 255, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        x, y = random.integers(0, 80, 2).tolist()
        draw.rectangle((x, y, x + 20, y + 24), fill=tuple(random.integers(0, 255, 3).tolist()))
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


@cache
def features_of(data: bytes) -> Features:
    """Features as a worker makes them, but with an 8 × 8 thumbnail as embedding and one invented word; the same in all tests."""
    sha256 = hashlib.sha256(data).hexdigest()
    decoded = decode(data, Decode())
    small = np.asarray(Image.fromarray(decoded.pixels).resize((8, 8), Image.Resampling.BOX), np.float32)
    word = WordRead(text=f"word{sha256[:6]}", confidence=0.9, box=[(0, 0), (9, 0), (9, 9), (0, 9)])
    return Features(
        sha256=sha256,
        width=decoded.width,
        height=decoded.height,
        embedding=(small / 255).reshape(-1).astype(np.float32),
        words=(word,),
        local=catalog_features(decoded),
        thumbnail=thumbnail(decoded),
    )


class LocalExtractor:
    """What workers do for `packsight.describe`, in this process; `asked` are the photos' keys and the parts that were wanted."""

    def __init__(self, store: ObjectStore, settings: Settings, batch: int = 2) -> None:
        self.store, self.settings, self.batch = store, settings, batch
        self.asked: list[tuple[str, tuple[Part, ...]]] = []

    def extract(self, recipe: Recipe, references: Sequence[str], parts: Sequence[Part]) -> Iterator[DescribeResult]:
        for start in range(0, len(references), self.batch):
            batch = references[start : start + self.batch]
            yield self.extract_batch(recipe, batch, parts, f"shard-{new_version()}")

    def extract_batch(
        self, recipe: Recipe, references: Sequence[str], parts: Sequence[Part], shard: str
    ) -> DescribeResult:
        endings: list[Described] = []
        made: list[Features] = []
        for reference in references:
            key = reference.removeprefix(f"s3://{self.store.bucket}/")
            self.asked.append((key, tuple(parts)))
            try:
                features = features_of(self.store.read(key).data)
                made.append(features)
                endings.append(Described(image=reference, sha256=features.sha256))
            except (ImageError, StorageError) as error:
                endings.append(Described(image=reference, failure=Failure.of(error)))
        if made:
            FeatureStore(self.store, recipe.parts, self.settings.home / "worker").put(shard, made, parts)
        models = recipe.model_dump(include={"embedder", "spotter", "details"})
        return DescribeResult(models=models, photos=endings)


class Held:
    def check(self) -> None:
        pass


class Shop:
    """A feed with its photos in a folder, an extra photo for each product, and syncs of it."""

    def __init__(self, folder: Path, settings: Settings, store: ObjectStore) -> None:
        self.folder, self.settings, self.store = folder, settings, store
        self.names: dict[str, str] = {}
        self.pictures: dict[str, str] = {}
        """Addresses that do not go by the id."""
        self.further = ""
        """Offers of other kinds."""
        self.extractor = LocalExtractor(store, settings)
        self.progress: Progress = lambda *_: None
        self.recipes = [RECIPE]
        self.scripts: tuple[str, ...] = ()
        (folder / "extra").mkdir(parents=True)
        (folder / "main").mkdir()
        for number in range(1, 9):
            self.add(str(number), f"Cream number {number}", seed=number)

    def add(self, identity: str, name: str, seed: int) -> None:
        self.names[identity] = name
        self.main(identity).write_bytes(photo(seed))
        (self.folder / "extra" / f"code{identity}").mkdir(exist_ok=True)
        (self.folder / "extra" / f"code{identity}" / "1.png").write_bytes(photo(1000 + seed, kind="PNG"))

    def main(self, identity: str) -> Path:
        return self.folder / "main" / f"{identity}.jpg"

    def remove(self, identity: str) -> None:
        del self.names[identity]

    def write(self) -> str:
        offers = "".join(
            f'<offer id="{identity}"><name>{name}</name><vendorCode>code{identity}</vendorCode>'
            f"<picture>{self.pictures.get(identity, f'main/{identity}.jpg')}</picture></offer>"
            for identity, name in self.names.items()
        )
        feed = self.folder / "feed.xml"
        feed.write_text(f"<yml_catalog><shop><offers>{offers}{self.further}</offers></shop></yml_catalog>")
        return str(feed)

    def sync(self, *, force: bool = False, all_pictures: bool = False, canary: float = 0.0) -> SyncReport:
        request = SyncRequest(
            self.write(), str(self.folder / "extra"), force=force, all_pictures=all_pictures, canary=canary
        )
        with closing(Fleet(self.settings)) as fleet:
            register(fleet, *self.recipes, scripts=self.scripts)
            return sync(Run(request, self.settings, self.store, fleet, self.extractor, Held(), self.progress))

    @property
    def state(self) -> Path:
        return self.settings.home / "indexer" / "default.db"

    @property
    def catalogs(self) -> CatalogStore:
        return CatalogStore(self.store, "default", UNCHECKED)

    def snapshot(self, made_for: Recipe | None = None) -> Snapshot:
        current = self.catalogs.current()
        assert current is not None
        version = current.version_for(made_for or self.recipes[0])
        assert version is not None
        return Snapshot.open(self.catalogs.download(version, self.folder / "reader"))


def register(fleet: Fleet, *recipes: Recipe, scripts: tuple[str, ...] = ()) -> None:
    """Let these workers be up, and no others."""
    for child in fleet.children():
        registry.withdraw_child(fleet.redis, child)
    for pid, answers_with in enumerate(recipes, 1):
        registry.announce_child(fleet.redis, ChildEntry(host="h", pid=pid, scripts=scripts, **answers_with.model_dump()))
        told = f"{registry.CHILD}h:{pid}"
        # No further sign of life comes, however long a busy machine syncs; another process may have said so just now.
        assert fleet.redis.persist(told) or fleet.redis.ttl(told) == -1


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore) -> Shop:
    return Shop(tmp_path / "shop", live_settings, store)


def test_a_first_sync_publishes_every_product_with_its_photos(shop: Shop) -> None:
    report = shop.sync()
    assert (report.published, report.products, report.photos, report.described) == (True, 8, 16, 16)
    assert report.built is not None and (report.built.version, report.built.single) == (report.version, 0)
    snapshot = shop.snapshot()
    assert [product.name for product in snapshot.products] == [f"Cream number {n}" for n in range(1, 9)]
    assert sum(row.extra for row in snapshot.photo_table) == 8
    assert snapshot.manifest.recipe == RECIPE


def test_every_step_is_told_before_anything_of_it_is_done_and_to_its_end(shop: Shop) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    shop.progress = lambda step, done, total: told.setdefault(step, []).append((done, total))
    shop.sync()
    assert {step: (calls[0], calls[-1]) for step, calls in told.items()} == {
        "photos": ((0, 16), (16, 16)), "described": ((0, 16), (16, 16)), "built": ((0, 1), (1, 1))
    }  # fmt: skip


def test_names_that_no_worker_reads_are_counted_in_the_report_and_the_version(shop: Shop) -> None:
    shop.scripts = ("GREEK", "LATIN")
    shop.names |= {"2": "Крем номер 2", "3": "Cream გ"}
    report = shop.sync()
    told = "2 of 8 names have letters that no worker reads (Cyrillic, Georgian)"
    summary = Reports(shop.store, "default").summary(str(report.version))
    assert summary is not None
    assert sum(told in note for note in summary.notes) == 1
    assert sum(told in note for note in shop.snapshot().manifest.notes) == 1


def test_a_sync_with_nothing_changed_publishes_nothing_and_describes_nothing(shop: Shop) -> None:
    first = shop.sync()
    again = shop.sync()
    assert (again.published, again.described, again.fetched, again.version) == (False, 0, 0, first.version)
    assert len(shop.catalogs.versions()) == 1


def test_a_forced_sync_builds_anew_from_the_features_that_are_there(shop: Shop) -> None:
    first = shop.sync()
    again = shop.sync(force=True)
    assert again.published
    assert again.version != first.version
    assert (again.fetched, again.described) == (0, 0)


def test_a_changed_name_is_published_without_describing_or_fetching(shop: Shop) -> None:
    shop.sync()
    shop.names["3"] = "Lotion of roses"
    report = shop.sync()
    assert (report.published, report.described, report.fetched, report.changed) == (True, 0, 0, 1)
    assert shop.snapshot().products[2].name == "Lotion of roses"


def test_a_changed_picture_under_the_same_address_is_described_again(shop: Shop) -> None:
    shop.sync()
    before = {row.sha256 for row in shop.snapshot().photo_table}
    shop.main("3").write_bytes(photo(333))
    report = shop.sync()
    assert (report.published, report.fetched, report.described) == (True, 1, 1)
    after = [row for row in shop.snapshot().photo_table if row.product_id == "3"]
    assert len(after) == 2
    assert len({row.sha256 for row in after} - before) == 1


def test_a_product_that_left_the_feed_is_gone_and_a_new_one_is_there(shop: Shop) -> None:
    shop.sync()
    shop.remove("2")
    shop.add("9", "Soap", seed=99)
    report = shop.sync()
    assert (report.removed, report.added, report.described) == (1, 1, 2)
    ids = [product.id for product in shop.snapshot().products]
    assert "2" not in ids
    assert "9" in ids


def test_a_sync_that_lost_its_lock_removes_nothing_that_another_may_be_uploading(shop: Shop) -> None:
    shop.sync()
    shop.store.write(part := layout.part("default", "a" * 64), b"of a version whose manifest comes last")

    class Lost:
        def check(self) -> None:
            raise LockLostError("lost")

    with closing(Fleet(shop.settings)) as fleet, pytest.raises(LockLostError):
        register(fleet, RECIPE)
        request = SyncRequest(shop.write(), str(shop.folder / "extra"))
        sync(Run(request, shop.settings, shop.store, fleet, shop.extractor, Lost()))
    assert shop.store.exists(part)
    shop.sync()
    assert not shop.store.exists(part)


def test_a_touched_file_with_the_same_content_publishes_nothing_and_is_read_once(shop: Shop) -> None:
    shop.sync()
    shop.main("1").write_bytes(shop.main("1").read_bytes())
    touched, again = shop.sync(), shop.sync()
    assert (touched.published, again.published, again.fetched) == (False, False, 0)


def test_a_picture_that_cannot_be_fetched_keeps_the_photo_before_and_is_reported(shop: Shop) -> None:
    shop.sync()
    shop.main("4").unlink()
    shop.names["5"] = "Another name"
    report = shop.sync()
    assert (report.published, report.kept_old, report.photos) == (True, 1, 16)
    assert [(failure.source, failure.code) for failure in report.failures] == [("main/4.jpg", ErrorCode.OBJECT_MISSING)]
    assert any("main/4.jpg" in note for note in shop.snapshot().manifest.notes)


def test_a_picture_that_cannot_be_decoded_keeps_the_photo_before_and_is_not_described_again(shop: Shop) -> None:
    shop.sync()
    shop.main("4").write_bytes(photo(4)[:700])
    report = shop.sync()
    assert (report.published, report.kept_old, report.described) == (False, 1, 0)
    assert report.failures[0].code == ErrorCode.IMAGE_TRUNCATED
    asked = len(shop.extractor.asked)
    again = shop.sync()
    assert (len(shop.extractor.asked), again.fetched, again.kept_old) == (asked, 0, 1)
    assert again.failures[0].code == ErrorCode.IMAGE_TRUNCATED


def test_a_product_without_a_usable_photo_stays_findable_by_its_words(shop: Shop) -> None:
    shop.names["bare"] = "Only a name"
    report = shop.sync()
    assert report.products == 9
    assert report.photos == 16
    assert any("without a usable photo" in note for note in report.notes)


def test_an_offer_of_no_use_is_told_of_and_counted_as_new_in_no_sync(shop: Shop) -> None:
    shop.further = '<offer id="9"><price>1</price></offer>'
    for added in (8, 0):
        report = shop.sync()
        assert (report.products, report.added) == (8, added)
        assert any("neither photo nor name" in note for note in report.notes)


def test_a_feed_that_lost_half_of_the_products_is_refused_unless_forced(shop: Shop) -> None:
    first = shop.sync()
    for identity in "1234":
        shop.remove(identity)
    with pytest.raises(UserError, match=r"(?s)lacks 4: more than 20%.*--force"):
        shop.sync()
    current = shop.catalogs.current()
    assert current is not None
    assert current.version == first.version
    assert shop.sync(force=True).products == 4


def test_new_models_have_every_photo_described_again_and_nothing_fetched(shop: Shop) -> None:
    shop.sync()
    shop.recipes = [RECIPE.model_copy(update={"embedder": "thumb-000000000002"})]
    report = shop.sync()
    assert (report.published, report.described, report.fetched) == (True, 16, 0)
    assert shop.snapshot().manifest.embedder == "thumb-000000000002"


def test_an_upgrade_of_the_key_points_has_only_these_made_again(shop: Shop) -> None:
    shop.sync()
    shop.extractor.asked.clear()
    shop.recipes = [RECIPE.model_copy(update={"details": "details-of-tomorrow"})]
    report = shop.sync()
    assert (report.published, report.described, report.fetched) == (True, 16, 0)
    assert {parts for _, parts in shop.extractor.asked} == {("details",)}


def test_a_catalog_of_the_release_before_is_rebuilt_by_one_sync_that_has_only_key_points_made_again(shop: Shop) -> None:
    shop.sync()
    make_former(shop)
    former = shop.catalogs.current()
    assert former is not None
    assert former.versions == {}
    shop.extractor.asked.clear()
    report = shop.sync()
    assert (report.published, report.photos, report.fetched, report.described) == (True, 16, 0, 16)
    assert {parts for _, parts in shop.extractor.asked} == {("details",)}
    assert shop.snapshot().manifest.parent == former.version
    assert not shop.sync().published


def make_former(shop: Shop) -> None:
    """Let what is published look as if the release before had left it: its manifest, its pointer, its features."""
    snapshot = shop.snapshot()
    version = snapshot.manifest.version
    lay_apart(shop.store, snapshot.manifest)
    key = f"catalogs/default/versions/{version}/manifest.json"
    manifest = json.loads(shop.store.read(key).data)
    for name in ("details", "matching", "fit"):
        del manifest[name]
    shop.store.write(key, json.dumps({**manifest, "format": 2}).encode())
    shop.store.remove("catalogs/default/CURRENT.json")
    pointer = {"version": version, "changed_at": manifest["created_at"]}
    shop.store.write("catalogs/default/CURRENT", json.dumps(pointer).encode())
    with TemporaryDirectory() as folder:
        kept = FeatureView(
            FeatureStore(shop.store, RECIPE.parts, Path(folder)), [row.sha256 for row in snapshot.photo_table]
        )
        models = f"{RECIPE.embedder}+{RECIPE.spotter}+2"
        write_as_the_release_before(shop.store, models, list(kept.values()), Path(folder))
    for part in PARTS:
        for shard in list(shop.store.list(f"features/{part}/")):
            shop.store.remove(shard)
    shutil.rmtree(shop.settings.home / "features")


def test_without_a_worker_a_first_sync_says_how_to_start_one(shop: Shop) -> None:
    shop.recipes = []
    with pytest.raises(UserError, match="packsight up"):
        shop.sync()


def test_without_a_worker_a_change_of_words_is_published_for_those_that_were_up(shop: Shop) -> None:
    shop.sync()
    shop.recipes, shop.names["3"] = [], "Lotion of roses"
    assert shop.sync().published
    assert shop.snapshot(RECIPE).products[2].name == "Lotion of roses"


def test_a_version_is_built_for_every_recipe_and_only_what_it_lacks_is_described(shop: Shop) -> None:
    shop.sync()
    shop.extractor.asked.clear()
    other = RECIPE.model_copy(update={"spotter": "none-000000000002"})
    shop.recipes = [RECIPE, other]
    report = shop.sync()
    assert (report.published, report.fetched, report.described) == (True, 0, 16)
    assert {parts for _, parts in shop.extractor.asked} == {("words",)}
    first, second = shop.snapshot(RECIPE), shop.snapshot(other)
    assert first.manifest.parent is None  # it was what it should be, so it was not built again
    assert (second.manifest.parent, second.manifest.recipe) == (first.manifest.version, other)
    again = shop.sync()
    assert (again.published, again.described) == (False, 0)


def test_a_change_of_the_feed_reaches_every_recipe(shop: Shop) -> None:
    shop.recipes = [RECIPE, RECIPE.model_copy(update={"embedder": "thumb-000000000002"})]
    shop.sync()
    shop.names["3"] = "Lotion of roses"
    assert shop.sync().described == 0
    assert [shop.snapshot(each).products[2].name for each in shop.recipes] == ["Lotion of roses"] * 2


def test_a_recipe_that_matches_in_another_way_keeps_its_version_and_the_others_are_built_for(shop: Shop) -> None:
    stranger = RECIPE.model_copy(update={"matching": "matching-of-tomorrow"})
    shop.recipes = [stranger]
    with pytest.raises(UserError, match=r"matching-of-tomorrow.*same release"):
        shop.sync()
    shop.recipes = [RECIPE, stranger]
    report = shop.sync()
    assert report.published
    assert any("matching-of-tomorrow" in note for note in report.notes)
    current = shop.catalogs.current()
    assert current is not None
    assert current.version_for(stranger) is None


def test_a_version_that_was_fitted_in_another_way_is_built_anew_without_describing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shop.sync()
    monkeypatch.setattr("packsight.indexer.phases.run.fit_fingerprint", lambda **_: "fit-of-tomorrow")
    again = shop.sync()
    assert (again.published, again.described, again.fetched) == (True, 0, 0)
    assert again.version != first.version


@pytest.mark.parametrize("loss", ["lost", "damaged", "of another format"])
def test_a_state_that_is_of_no_use_is_made_anew_and_nothing_is_published_for_it(shop: Shop, loss: str) -> None:
    first = shop.sync()
    match loss:
        case "lost":
            discard(shop.state)
        case "damaged":
            shop.state.write_bytes(b"no database " * 2000)
        case _:
            with opened(shop.state) as state:
                state.run("PRAGMA user_version = 77")
    again = shop.sync()
    assert (again.published, again.fetched, again.described, again.version) == (False, 0, 0, first.version)
    assert (again.products, again.photos) == (8, 16)
    shop.names["3"] = "Lotion of roses"
    assert shop.sync().published
    assert [product.name for product in shop.snapshot().products][2] == "Lotion of roses"


def test_a_state_that_is_older_than_what_is_published_is_not_believed(shop: Shop) -> None:
    shop.sync()
    old = shop.state.read_bytes()
    shop.main("3").write_bytes(photo(333))
    shop.names["3"] = "Lotion of roses"
    changed = shop.sync()
    shop.state.write_bytes(old)
    again = shop.sync()
    assert (again.published, again.fetched, again.version) == (False, 0, changed.version)


def test_a_state_of_a_version_that_was_rolled_back_is_not_believed(shop: Shop) -> None:
    first = shop.sync()
    shop.names["3"] = "Lotion of roses"
    second = shop.sync()
    assert first.version is not None
    shop.catalogs.point(first.version, expected=shop.catalogs.current())
    again = shop.sync()
    assert again.published, "the feed says it still"
    assert again.version != second.version
    assert shop.snapshot().products[2].name == "Lotion of roses"


def test_a_sync_of_an_unchanged_shop_reads_no_row_of_what_is_published(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sync()
    monkeypatch.setattr("packsight.indexer.state.published.open_published", lambda *_: pytest.fail("the version was read"))
    for rows in ("ProductRows", "PhotoRows"):
        monkeypatch.setattr(f"packsight.indexer.phases.built.{rows}", lambda *_: pytest.fail("rows were made"))
    again = shop.sync()
    assert (again.published, again.products, again.photos) == (False, 8, 16)


def test_a_sync_of_an_unchanged_shop_reads_each_manifest_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sync()
    shop.names["3"] = "Lotion of roses"
    shop.sync()
    asked, read = list[str](), ObjectStore.read

    def counted(self: ObjectStore, key: str, **how: Any) -> Any:
        asked.append(key)
        return read(self, key, **how)

    monkeypatch.setattr(ObjectStore, "read", counted)
    assert not shop.sync().published
    manifests = [key for key in asked if key.endswith("manifest.json")]
    assert sorted(manifests) == [f"catalogs/default/versions/{one.version}/manifest.json" for one in shop.catalogs.versions()]


def test_the_state_knows_after_a_publication_what_the_version_holds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sync()
    monkeypatch.setattr("packsight.indexer.state.published.open_published", lambda *_: pytest.fail("the version was read"))
    shop.names["3"] = "Lotion of roses"
    assert shop.sync().changed == 1
    assert shop.sync().changed == 0


def test_the_report_says_how_many_pictures_were_asked_for(shop: Shop) -> None:
    shop.write()
    root = f"s3://{shop.store.bucket}/incoming/shop"
    for path in sorted(shop.folder.rglob("*.*")):
        shop.store.write(f"incoming/shop/{path.relative_to(shop.folder)}", path.read_bytes())

    def synced(*, force: bool = False, all_pictures: bool = False) -> SyncReport:
        with closing(Fleet(shop.settings)) as fleet:
            register(fleet, *shop.recipes)
            request = SyncRequest(f"{root}/feed.xml", f"{root}/extra", force=force, all_pictures=all_pictures)
            return sync(Run(request, shop.settings, shop.store, fleet, shop.extractor, Held()))

    first, again, everything, forced = synced(), synced(), synced(all_pictures=True), synced(force=True)
    assert [(each.asked, each.not_due, each.put_off) for each in (first, again, everything, forced)] == [
        (16, 0, 0), (0, 16, 0), (16, 0, 0), (16, 0, 0),
    ]  # fmt: skip
    assert (everything.published, everything.fetched) == (False, 0)


def test_an_indexer_on_a_new_host_goes_on_from_what_is_published_and_the_copy(shop: Shop, tmp_path: Path) -> None:
    shop.main("4").write_bytes(photo(4)[:700])
    first = shop.sync()
    asked = len(shop.extractor.asked)
    shop.settings = shop.settings.model_copy(update={"home": tmp_path / "another"})
    again = shop.sync()
    assert (again.published, again.fetched, again.version) == (False, 0, first.version)
    assert [failure.code for failure in again.failures] == [ErrorCode.IMAGE_TRUNCATED]
    assert len(shop.extractor.asked) == asked, "what cannot be described is not described again"


def test_a_copy_that_was_made_while_the_clock_was_a_year_ahead_is_made_anew_once_it_is_right(shop: Shop) -> None:
    now = time.time()
    with opened() as state:
        written = [keep(state, shop.store, "default", at) for at in (now + 365 * 24 * 3600, now, now + 10)]
    assert written == [True, True, False]


class KilledError(BaseException):
    """Stands for a process that ends here; no `except Exception` may see it."""


@contextmanager
def killed_before(monkeypatch: pytest.MonkeyPatch, step: tuple[str, int] | None) -> Iterator[list[str]]:
    """End the process before a write to object storage: its kind, and how many of it come before; never for None.

    Gives the list of writes."""
    writes: list[str] = []
    killed: list[str] = []
    lock = threading.Lock()

    def wrapped(method: str) -> Callable[..., Any]:
        original = getattr(ObjectStore, method)

        def call(self: ObjectStore, key: str, *args: Any, **kwargs: Any) -> Any:
            with lock:
                kind = f"{method} {kind_of(key)}"
                if killed or (step is not None and kind == step[0] and writes.count(kind) >= step[1]):
                    killed.append(kind)
                    raise KilledError
                writes.append(kind)
            return original(self, key, *args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for method in ("write", "upload", "replace", "remove"):
            patch.setattr(ObjectStore, method, wrapped(method))
        yield writes


def kind_of(key: str) -> str:
    """What a key is about: photo, pack, source book, file or manifest of a version, pointer."""
    parts = key.split("/")
    return parts[0] if parts[0] != "catalogs" else parts[-1] if parts[-1] in {"manifest.json", "CURRENT.json"} else parts[2]


def edges(writes: Sequence[str]) -> list[tuple[str, int]]:
    """Steps at which the kind of write changes, and one in the midst of the uploads: the other steps are like these."""
    changes = [i for i in range(len(writes)) if i == 0 or writes[i] != writes[i - 1]]
    return [*((writes[i], writes[:i].count(writes[i])) for i in changes), ("upload parts", 5)]


@pytest.mark.timeout(900)
def test_a_sync_killed_at_any_write_leaves_a_whole_catalog_and_the_next_one_completes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for identity in "5678":
        shop.remove(identity)
    shop.settings = shop.settings.model_copy(
        update={"catalog": shop.settings.catalog.model_copy(update={"keep_versions": 2})}
    )

    def change(seed: int) -> None:
        shop.main("1").write_bytes(photo(seed))
        shop.main("2").write_bytes(photo(seed + 1))

    shop.sync()
    for seed in (100, 200):
        change(seed)
        with killed_before(monkeypatch, None) as writes:
            shop.sync()
    steps = edges(writes)
    kinds = {kind for kind, _ in steps}
    assert {"write photos", "write features", "upload parts", "write manifest.json"} <= kinds
    assert {"replace CURRENT.json", "remove manifest.json", "remove parts"} <= kinds

    for number, step in enumerate(steps):
        change(1000 + 10 * number)
        with killed_before(monkeypatch, step) as done, pytest.raises(KilledError):
            shop.sync()
        served = shop.snapshot()  # every file is checked against its hash, then it is opened
        assert len(served.products) == 4
        asked = len(shop.extractor.asked)
        report = shop.sync()
        resumed = shop.snapshot()
        assert report.published == ("replace CURRENT.json" not in done)
        assert resumed.manifest.version == report.version
        # What the killed run had described or seen is not done again.
        assert len(shop.extractor.asked) - asked == (0 if "write features" in done else 2)
        assert report.fetched == (0 if done.count("write photos") == 2 else 2)
        assert len(shop.catalogs.versions()) == 2
        # Of an upload that never ended nothing is left.
        assert shop.catalogs.parts.listed().keys() == named_parts(shop.catalogs.versions())


def test_photos_are_described_by_workers_over_the_queue(shop: Shop, live_settings: Settings) -> None:
    for identity in "45678":
        shop.remove(identity)
    settings = live_settings.model_copy(
        update={"catalog": live_settings.catalog.model_copy(update={"describe_batch": 4})}
    )
    app = make_app("packsight-worker", settings)
    app.conf.worker_pool_start_method = "fork"

    def describe(self: Any, request: dict[str, Any]) -> dict[str, Any]:
        asked = DescribeRequest.model_validate(request)
        return shop.extractor.extract_batch(RECIPE, asked.images, asked.parts, self.request.id).model_dump(mode="json")

    app.task(name=DESCRIBE, bind=True, shared=False)(describe)
    fleet = Fleet(settings)
    register(fleet, RECIPE)
    request = SyncRequest(shop.write(), str(shop.folder / "extra"))
    with start_worker(app, pool="solo", perform_ping_check=False, queues=[DESCRIBE_QUEUE], shutdown_timeout=30):
        report = sync(Run(request, settings, shop.store, fleet, QueueExtractor(settings, fleet), Held()))
    assert (report.published, report.products, report.described) == (True, 3, 6)
    shards = [key for key in shop.store.list("features/") if "/describe-" in key]
    assert len(shards) == 2 * len(PARTS)
    assert not list(fleet.redis.scan_iter("celery-task-meta-describe-*"))
    fleet.close()
