"""A catalog is deleted: what goes, what stays for others, who hears of it, and what comes of the same name afterwards."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from packsight.deploy.backup.bringing import bring
from packsight.deploy.backup.folder import BackupFolder
from packsight.deploy.backup.taking import take
from packsight.indexer import cli, commands, tasks
from packsight.indexer.collection.collect import collect, look
from packsight.indexer.deletion import delete, is_deleted, remains
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import LockHeldError, LockLostError, sync_lock
from packsight.indexer.noted import noted
from packsight.indexer.phases.run import Run
from packsight.indexer.report import SyncReport, SyncRequest
from packsight.indexer.sync import sync
from packsight.indexer.undecided import DeletedError
from packsight.shared.catalog.deletion import read_deletion, write_deletion
from packsight.shared.catalog.pointer import Current
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
from tests import trust
from tests.integration.test_catalogs import child
from tests.integration.test_sync import RECIPE, Held, Shop, photo, register
from tests.trust import UNCHECKED, publisher, reader
from tests.unit.matching_catalog import shop as small
from tests.unit.test_verdicts import verdict

pytestmark = pytest.mark.usefixtures("quick_syncs")


def nothing() -> None:
    """Whoever is asked whether all is still ours, and it is."""


def interrupted(*_: object) -> None:
    """Whoever is killed here."""
    raise KeyboardInterrupt


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
    assert report.published and report.fetched == 6 and not report.failures and not is_deleted(shop.store, "default", UNCHECKED)
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


def test_whoever_is_killed_at_the_very_end_can_say_it_again(shop: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.into("former")
    with closing(Fleet(shop.settings)) as fleet:
        syncs.note(fleet.redis, "former", syncs.Ending.PUBLISHED, 1.0)
        with monkeypatch.context() as here, pytest.raises(KeyboardInterrupt):
            here.setattr("packsight.indexer.deletion.syncs.forget", interrupted)
            shop.delete("former")
        shop.store.remove(layout.deletion("former"))
        assert run("former", "--yes").exit_code == 0 and syncs.read(fleet.redis, "former") is None
    assert not list((shop.settings.home / "indexer").glob("former*"))


def test_no_reader_meets_a_version_that_lacks_what_its_manifest_names(shop: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.into("former")
    remove, removed = ObjectStore.remove, []

    def slowly(self: ObjectStore, key: str) -> None:
        if key.endswith("/manifest.json"):
            time.sleep(0.5)  # so that whatever does not wait for it comes before
        remove(self, key)
        removed.append(key)

    monkeypatch.setattr(ObjectStore, "remove", slowly)
    shop.delete("former")
    assert removed[2].endswith("/manifest.json") and any("/parts/" in key for key in removed[3:]), removed[:2]


def test_whoever_lost_the_lock_removes_no_pointer(shop: Two) -> None:
    shop.into("former")

    def still_ours() -> None:
        if shop.store.exists(layout.deletion("former")):
            raise LockLostError

    with closing(Fleet(shop.settings)) as fleet, pytest.raises(LockLostError):
        delete(shop.store, fleet, shop.settings, "former", still_ours)
    assert shop.store.exists(layout.pointer("former"))


def test_the_word_goes_whenever_the_catalog_is_published_so_that_a_lost_pointer_is_no_deletion(
    shop: Two, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.into("default")
    shop.delete("default")
    with monkeypatch.context() as here, pytest.raises(KeyboardInterrupt):
        here.setattr("packsight.indexer.phases.published.keep_built", interrupted)
        shop.into("default")
    assert list(shop.store.list(layout.DELETIONS))
    assert not shop.into("default").published and not list(shop.store.list(layout.DELETIONS)), "nothing was built"
    kept = {key: shop.store.read(key).data for key in shop.store.list("catalogs/default/")}
    backup = BackupFolder(tmp_path / "backup")
    with backup.locked():
        take(shop.settings, shop.store, backup, left_out=(), describe="")
    shop.delete("default")
    for key, data in kept.items():
        shop.store.write(key, data)
    assert not shop.into("default", by_clock=True).failures and not list(shop.store.list(layout.DELETIONS)), "copied by hand"
    shop.delete("default")
    shop.into("former")
    shop.delete("former")
    bring(shop.store, backup, backup.read(backup.latest())[1], over=False)
    assert list(shop.store.list(layout.DELETIONS)) == [layout.deletion("former")]
    assert CatalogStore(shop.store, "default", UNCHECKED).current() is not None


def test_a_word_of_somebody_who_is_not_believed_keeps_no_sync_from_its_work(
    shop: Two, caplog: pytest.LogCaptureFixture
) -> None:
    shop.into("default")
    shop.store.remove(layout.pointer("default"))
    shop.store.write(layout.deletion("default"), b"rubbish")
    assert shop.into("default", by_clock=True).published and not list(shop.store.list(layout.DELETIONS))
    assert "The word that catalog default was deleted is not readable" in caplog.text


def test_a_sync_that_a_deletion_keeps_back_is_not_noted(live_settings: Settings) -> None:
    with closing(Fleet(live_settings)) as fleet:
        with pytest.raises(DeletedError), noted(fleet.redis, "default"):
            raise DeletedError("default")
        assert syncs.read(fleet.redis, "default") is None


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
        told = " ".join(run("former", "--yes").output.split())
    assert "Removed catalog former, 1 version with reports" in told
    assert f"jobs under way ask it, whose photos that are left will fail: {manifest.job}" in told
    assert "Removed what is left of catalog former: 0 objects" in run("former", "--yes").stdout
    never = run("never", "--yes").exception
    assert isinstance(never, UserError) and "There is nothing of a catalog never; published are: none." in str(never)


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
    remembering = reader(1, home=tmp_path)
    remembering.note("test", written.deleted_at + timedelta(seconds=1))
    assert read_deletion(store, "test", remembering) is None, "it was published again since"
    store.write(layout.deletion("other"), store.read(layout.deletion("test")).data)
    assert read_deletion(store, "other", reader(1)) is None
    for name, data in (("unsigned", b"{}"), ("test", store.read(layout.deletion("test")).data.replace(b"test", b"tost"))):
        store.write(layout.deletion(name), data)
        with pytest.raises(CatalogError, match=r"not signed|was changed"), nullcontext():
            read_deletion(store, name, reader(1))
    with pytest.raises(UserError):
        write_deletion(store, "test", reader(1))


def at(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    """The clock of whoever publishes or deletes from here on is ahead by this."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time() + 60 * minutes, tz)

    monkeypatch.setattr("packsight.shared.catalog.deletion.datetime", Shifted)


def test_words_and_pointers_come_one_after_the_other_whatever_the_clocks_say(
    live_settings: Settings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = trust.key(1).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    rules = live_settings.catalog.model_copy(update={"signing_key": SecretStr(pem)})
    catalogs, replica = child(live_settings, store), Replica(live_settings, "node")
    replica._trust = reader(1, home=tmp_path / "host")

    def publish(name: str) -> str:
        snapshot, _ = small(tmp_path / name)
        made = CatalogStore(store, "test", publisher(1))  # of a new home, which remembers nothing
        made.upload(snapshot.folder)
        made.point(snapshot.manifest.version, expected=made.current())
        return snapshot.manifest.version

    def delete_at(home: str) -> None:
        settings = live_settings.model_copy(update={"catalog": rules, "home": tmp_path / home})
        with closing(Fleet(settings)) as fleet:
            delete(store, fleet, settings, "test", nothing)

    def served() -> dict[str, str]:
        replica.sync()
        catalogs.refresh()
        return catalogs.versions

    at(monkeypatch, 2)
    first = publish("first")
    assert served() == {"test": first}
    at(monkeypatch, 0)
    delete_at("behind")
    assert served() == {}
    delete_at("again")
    assert served() == {}
    second = publish("second")
    assert store.exists(layout.deletion("test")) and served() == {"test": second}, "the word was not removed yet"
    lost = {key: store.read(key).data for key in store.list(layout.catalog("test"))}
    gone(store)
    assert served() == {"test": second}, "a bucket that was emptied by mistake"
    for one, data in lost.items():
        store.write(one, data)
    at(monkeypatch, -3)
    delete_at("further behind")
    assert served() == {}
    for one, data in lost.items():
        store.write(one, data)
    assert served() == {} and "older than one that was followed here" in replica._errors["test"]
    CatalogStore(store, "test", publisher(1)).sign()
    assert served() == {"test": second} and not store.exists(layout.deletion("test"))


def damage(settings: Settings, name: str, recipe: str = "*") -> None:
    """Leave local pointers of a catalog that nobody can read."""
    folder = settings.home / "replica" / name
    for file in list(folder.glob(f"CURRENT.{recipe}.json")) or [folder / "CURRENT.x.json"]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def test_a_local_pointer_that_is_not_readable_stops_no_catalog(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str]
) -> None:
    catalogs, replica = child(live_settings, store), Replica(live_settings, "node")
    damage(live_settings, "other")
    first = publish("first")
    replica.sync()
    assert catalogs.get("test").manifest.version == first
    damage(live_settings, "test")
    (live_settings.home / "recipes" / "damaged.json").write_bytes(b"")
    store.write(layout.pointer("refused"), b"{}")
    damage(live_settings, "refused")
    replica.sync()
    assert child(live_settings, store).get("test").manifest.version == first and list(replica._errors) == ["refused"]
    gone(store)
    write_deletion(store, "test", UNCHECKED)
    damage(live_settings, "test")
    replica.sync()
    assert missing(catalogs) and not versions_folder(live_settings.home, "test").exists()


def test_what_a_worker_has_but_its_refusal_or_its_error_goes_with_the_catalog(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogs, replica = child(live_settings, store), Replica(live_settings, "node")
    with monkeypatch.context() as here:
        here.setattr(Current, "version_for", lambda *_: None)
        publish("first")
        replica.sync()
        catalogs.refresh()
    assert "test" in catalogs.refused
    gone(store)
    write_deletion(store, "test", UNCHECKED)
    replica.sync()
    catalogs.refresh()
    assert not catalogs.refused and missing(catalogs)
    publish("second")
    for key in list(store.list(layout.part("test"))):
        store.remove(key)
    replica.sync()
    assert "test" in replica._errors
    gone(store)
    replica.sync()
    assert not replica._errors


def test_a_worker_that_was_killed_while_it_gave_up_or_was_away_for_long_keeps_no_files(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = versions_folder(live_settings.home, "test")
    for name in ("killed", "away"):
        catalogs, replica = child(live_settings, store), Replica(live_settings, "node")
        publish(name)
        store.remove(layout.deletion("test"))
        replica.sync()
        assert catalogs.get("test")
        gone(store)
        write_deletion(store, "test", UNCHECKED)
        if name == "killed":
            with monkeypatch.context() as here, pytest.raises(KeyboardInterrupt):
                here.setattr("packsight.worker.catalogs.pointer.drop_former", interrupted)
                replica.sync()
        else:
            for file in (live_settings.home / "recipes").glob("*.json"):
                os.utime(file, (time.time() - 90_000,) * 2)
            replica.sync()
            child(live_settings, store)
        replica.sync()
        catalogs.refresh()
        assert not files.exists() and missing(child(live_settings, store))
