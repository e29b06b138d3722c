"""A catalog is deleted: what goes, what stays for others, who hears of it, and what comes of the same name afterwards."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from packsight.indexer import cli, commands, tasks
from packsight.indexer.collection.collect import collect, look
from packsight.indexer.deletion import delete, remains
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import LockHeldError, sync_lock
from packsight.indexer.phases.run import Run
from packsight.indexer.report import SyncReport, SyncRequest
from packsight.indexer.sync import sync
from packsight.indexer.undecided import DeletedError
from packsight.shared.catalog.deletion import is_deleted, read_deletion, write_deletion
from packsight.shared.catalog.versions import CatalogStore, catalog_names
from packsight.shared.contract.errors import CatalogError, ErrorCode, UserError
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.queue import syncs
from packsight.shared.queue.jobs_ledger import JobsLedger
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import JobManifest, JobStore
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.reviews import ReviewStore
from packsight.worker.catalogs.pointer import versions_folder
from packsight.worker.catalogs.replica import Replica
from packsight.worker.catalogs.snapshots import Catalogs
from tests.integration.test_catalogs import child
from tests.integration.test_sync import RECIPE, Held, Shop, photo, register
from tests.trust import UNCHECKED, publisher, reader
from tests.unit.matching_catalog import shop as small
from tests.unit.test_verdicts import verdict

pytestmark = pytest.mark.usefixtures("little_learned")


def nothing() -> None:
    """Whoever is asked whether all is still ours, and it is."""


class Two(Shop):
    """A shop whose syncs fill catalogs of several names."""

    def into(self, catalog: str, *, by_clock: bool = False) -> SyncReport:
        request = SyncRequest(self.write(), str(self.folder / "extra"), catalog, by_clock=by_clock)
        with closing(Fleet(self.settings)) as fleet:
            register(fleet, RECIPE)
            return sync(Run(request, self.settings, self.store, fleet, self.extractor, Held()))

    def delete(self, catalog: str) -> None:
        with closing(Fleet(self.settings)) as fleet:
            delete(self.store, fleet, self.settings, catalog, nothing)

    def collect(self, days: float) -> None:
        with closing(Fleet(self.settings)) as fleet:
            collect(self.settings, self.store, fleet, now=datetime.now(UTC) + timedelta(days=days))


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Two:
    made = Two(tmp_path / "shop", live_settings, store)
    for identity in "45678":
        made.remove(identity)
    monkeypatch.setattr(commands, "settings", lambda: live_settings)
    monkeypatch.setattr(commands.out, "_width", 200)
    return made


def run(*words: str, answer: str = "") -> Result:
    return CliRunner().invoke(cli.app, ["catalog", "delete", *words, "--no-wait"], input=answer)


def reviewed(shop: Two, catalog: str, content: bytes = photo(77)) -> None:
    sha = hashlib.sha256(content).hexdigest()
    shop.store.write(f"uploads/{sha}", content)
    said = verdict(image=f"s3://{shop.store.bucket}/uploads/{sha}", sha256=sha, catalog=catalog, name="7.jpg")
    ReviewStore(shop.store, catalog).add([said])


def test_a_deleted_catalog_leaves_its_word_alone_and_another_one_keeps_all_that_both_needed(shop: Two) -> None:
    shop.into("default")
    first = shop.into("former")
    reviewed(shop, "former")
    shop.names["3"] = "Lotion of roses"
    shop.into("former")
    with closing(Fleet(shop.settings)) as fleet:
        syncs.note(fleet.redis, "former", syncs.Ending.PUBLISHED, 1.0)
        others = set(shop.store.list("catalogs/default/"))
        assert remains(shop.store, "former").versions == 2
        shop.delete("former")
        assert syncs.read(fleet.redis, "former") is None
        found = look(shop.settings, shop.store, fleet)
    assert {one.catalog for one in found.versions} == {"default"} == set(catalog_names(shop.store)) and not found.notes
    assert not remains(shop.store, "former") and set(shop.store.list("catalogs/default/")) == others
    assert [pile.why for pile in found.piles if pile.room == layout.DELETIONS] == ["names of catalogs that were deleted"]
    assert list(shop.store.list("catalogs/.")) == ["catalogs/.deleted/former.json"]
    assert not list((shop.settings.home / "indexer").glob("former*"))
    shop.collect(40)
    assert len(list(shop.store.list("photos/"))) == 6 and not list(shop.store.list("uploads/"))
    shop.names["3"] = "Cream number 3"
    assert not shop.into("default").published, "nothing of it is missing"
    shop.delete("default")
    shop.collect(40)
    left = {key.partition("/")[0] for key in shop.store.list("")}
    assert left == {"catalogs"} and set(shop.store.list("")) == {f"catalogs/.deleted/{one}.json" for one in ("default", "former")}
    assert first.published


def test_a_name_that_was_deleted_is_synced_anew_by_hand_and_never_by_the_clock(
    shop: Two, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shop.into("default")
    state = shop.state.read_bytes()
    shop.delete("default")
    shop.collect(40)
    shop.state.write_bytes(state)  # as of an indexer whose home is not the operator's
    with pytest.raises(DeletedError, match=r"catalog sync --feed …`.* another PACKSIGHT_CATALOG__NAME"):
        shop.into("default", by_clock=True)
    monkeypatch.setattr(tasks, "settings", lambda: shop.settings)
    again = "packsight.indexer.sync.run_sync"
    monkeypatch.setattr(again, lambda request, _: shop.into(request.catalog, by_clock=request.by_clock))
    with caplog.at_level(logging.INFO):
        assert "was deleted" in tasks.sync_catalog()["deleted"]
    assert "sync skipped: Catalog default was deleted" in caplog.text
    report = shop.into("default")
    assert report.published and report.fetched == 6 and not report.failures and not is_deleted(shop.store, "default")
    assert not list(shop.store.list(layout.DELETIONS))
    assert not shop.into("default", by_clock=True).published


def _dying(steps: Iterator[int], remove: Callable[[ObjectStore, str], None]) -> Callable[[ObjectStore, str], None]:
    def removed(self: ObjectStore, key: str) -> None:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        remove(self, key)

    return removed


def test_whoever_is_killed_while_deleting_leaves_what_the_next_one_removes(shop: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = ObjectStore.remove
    for left in (0, 1, 2, 5, 12):
        shop.into("former")
        reviewed(shop, "former")
        monkeypatch.setattr(ObjectStore, "remove", _dying(iter(range(left)), remove))
        with pytest.raises(KeyboardInterrupt):
            shop.delete("former")
        monkeypatch.setattr(ObjectStore, "remove", remove)
        shop.collect(0)
        assert remains(shop.store, "former")
        shop.delete("former")
        assert not remains(shop.store, "former") and read_deletion(shop.store, "former", UNCHECKED) is not None


def test_it_is_asked_before_and_said_who_will_miss_it(shop: Two) -> None:
    shop.into("former")
    reviewed(shop, "former")
    options = RecognizeOptions(catalog="former")
    manifest = JobManifest(**options.model_dump(), job="20260101-120000-abcdef", images=0)
    JobStore(shop.store).create(manifest, [])
    with closing(Fleet(shop.settings)) as fleet:
        JobsLedger(fleet.redis, shop.settings.queue.result_expires).register(manifest.job, 1)
        asked = run("former", answer="n\n")
        told = " ".join(asked.output.split())
        assert asked.exit_code == 1 and "Remove catalog former, 1 version with reports, and 1 verdict of people" in told
        assert "`packsight review export FILE --catalog former` keeps what people said" in told
        assert f"jobs under way ask it, whose photos that are left will fail: {manifest.job}" in told
        with sync_lock(fleet.redis, "former", "a sync"), pytest.raises(LockHeldError, match="is in use by a sync"):
            raise run("former", "--yes").exception or AssertionError
        assert remains(shop.store, "former").versions == 1
        told = run("former", "--yes").stdout
    assert "Removed catalog former, 1 version with reports" in told
    again = run("former", "--yes").exception
    assert isinstance(again, UserError) and "There is nothing of a catalog former; published are: none." in str(again)


def test_a_catalog_that_the_indexer_syncs_by_the_clock_is_not_deleted(shop: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.into("default")
    rules = shop.settings.catalog.model_copy(update={"feed": shop.write()})
    monkeypatch.setattr(commands, "settings", lambda: shop.settings.model_copy(update={"catalog": rules}))
    refused = run("default", "--yes").exception
    assert isinstance(refused, UserError) and "PACKSIGHT_CATALOG__NAME" in str(refused)
    assert remains(shop.store, "default").versions == 1


@pytest.fixture
def publish(store: ObjectStore, tmp_path: Path) -> Callable[[str], str]:
    """Build a version of the catalog `test` and publish it."""

    def made(name: str) -> str:
        snapshot, _ = small(tmp_path / name)
        catalogs = CatalogStore(store, "test", UNCHECKED)
        catalogs.upload(snapshot.folder)
        catalogs.point(snapshot.manifest.version, expected=catalogs.current())
        return snapshot.manifest.version

    return made


def gone(store: ObjectStore) -> None:
    for key in list(store.list(layout.catalog("test"))):
        store.remove(key)


def missing(catalogs: Catalogs) -> bool:
    with pytest.raises(CatalogError) as caught:
        catalogs.get("test")
    return caught.value.code is ErrorCode.CATALOG_MISSING and not caught.value.retryable


def test_workers_give_up_what_was_deleted_and_serve_on_what_is_merely_not_there(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str]
) -> None:
    catalogs, replica = child(live_settings, store), Replica(live_settings, "node")
    first = publish("first")
    replica.sync()
    assert catalogs.get("test").manifest.version == first
    gone(store)
    replica.sync()
    catalogs.refresh()
    assert catalogs.versions == {"test": first}, "a bucket that was emptied by mistake"
    write_deletion(store, "test", UNCHECKED)
    replica.sync()
    catalogs.refresh()
    assert catalogs.versions == catalogs.latest == catalogs.refused == {} and missing(catalogs)
    assert not versions_folder(live_settings.home, "test").exists()
    assert missing(child(live_settings, store)), "a child that starts later"
    second = publish("second")
    replica.sync()
    assert catalogs.get("test").manifest.version == second


def test_only_who_signs_catalogs_can_take_one_from_the_workers(
    live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    written = write_deletion(store, "test", publisher(1))
    assert read_deletion(store, "test", reader(1)) == written
    trust = reader(1, home=tmp_path)
    trust.note("test", written.deleted_at + timedelta(seconds=1))
    assert read_deletion(store, "test", trust) is None, "it was published again since"
    store.write(layout.deletion("other"), store.read(layout.deletion("test")).data)
    assert read_deletion(store, "other", reader(1)) is None
    for name, data in (("unsigned", b"{}"), ("test", store.read(layout.deletion("test")).data.replace(b"test", b"tost"))):
        store.write(layout.deletion(name), data)
        with pytest.raises(CatalogError, match=r"not signed|was changed"), nullcontext():
            read_deletion(store, name, reader(1))
    with pytest.raises(UserError):
        write_deletion(store, "test", reader(1))
