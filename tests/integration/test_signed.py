"""Workers that have keys serve what their indexer signed, whoever else can write the bucket."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NoReturn

import pytest
import redis
from pydantic import SecretStr
from typer.testing import CliRunner

from packsight.deploy import doctor, status
from packsight.deploy.stack.state import StackFolder
from packsight.indexer import cli, commands, tasks
from packsight.indexer.publish import roll_back
from packsight.indexer.signing import sign_former
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.catalog.signatures import create_key, public_key, read_key
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, ErrorCode, StorageAway, UserError
from packsight.shared.queue import registry
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import LocalPointer, follow, read_local_pointer, versions_folder
from packsight.worker.catalogs.replica import Replica
from packsight.worker.catalogs.snapshots import Catalogs
from tests.integration.test_replica import RECIPE, sealed_version, served
from tests.integration.test_sync import Shop
from tests.trust import UNCHECKED

POINTER = "catalogs/default/CURRENT.json"


def keyed(settings: Settings, home: Path, *, signing: Path | None = None, believed: tuple[Path, ...] = ()) -> Settings:
    """Settings of a process of its own with these keys."""
    public = tuple(public_key(read_key(file)) for file in believed)
    private = SecretStr(signing.read_text() if signing else "")
    catalog = settings.catalog.model_copy(update={"signing_key": private, "public_keys": public})
    return settings.model_copy(update={"home": home, "catalog": catalog})


@pytest.fixture
def key(tmp_path: Path) -> Path:
    create_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


@pytest.fixture
def indexer(live_settings: Settings, tmp_path: Path, key: Path) -> Settings:
    return keyed(live_settings, tmp_path / "indexer", signing=key)


@pytest.fixture
def worker(live_settings: Settings, tmp_path: Path, key: Path) -> Settings:
    settings = keyed(live_settings, tmp_path / "worker", believed=(key,))
    follow(settings.home, RECIPE)
    return settings


def publish(store: ObjectStore, folder: Path, trust: Trust, content: bytes = b"index") -> Manifest:
    manifest = sealed_version(folder, content=content)
    catalogs = CatalogStore(store, "default", trust)
    catalogs.upload(folder)
    catalogs.point(manifest.version, expected=catalogs.overwritable())
    return manifest


def test_what_the_indexer_signed_is_served_and_what_nobody_did_is_refused_while_the_version_before_serves_on(
    worker: Settings, indexer: Settings, store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replica = Replica(worker, "node")
    first = publish(store, tmp_path / "a", Trust.of_publisher(indexer))
    replica.sync()
    assert served(worker) == first.version
    publish(store, tmp_path / "b", UNCHECKED)
    for _ in range(2):
        replica.sync()
    assert served(worker) == first.version
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "The pointer of catalog default is not signed" in line
    assert "packsight catalog sign" in line
    replica._announce()
    assert any("is not signed" in error for error in status.observe(StackFolder(tmp_path / "none"), worker).errors)
    found = doctor._workers(worker, StackFolder(tmp_path / "none"))
    wrong = [finding for finding in found if finding.level is doctor.Level.WRONG]
    assert sum("node: catalog default: The pointer" in finding.text for finding in wrong) == 1
    newer = publish(store, tmp_path / "c", Trust.of_publisher(indexer))
    replica.sync()
    assert served(worker) == newer.version
    assert replica._errors == {}


def test_a_version_whose_manifest_or_files_were_changed_is_refused_though_its_hashes_fit(
    worker: Settings, indexer: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    replica = Replica(worker, "node")
    first = publish(store, tmp_path / "a", Trust.of_publisher(indexer))
    replica.sync()
    second = publish(store, tmp_path / "b", Trust.of_publisher(indexer))
    forged = sealed_version(tmp_path / "forged", content=b"other", version=second.version)
    CatalogStore(store, "default", UNCHECKED).upload(tmp_path / "forged")
    assert forged.version == second.version
    replica.sync()
    assert served(worker) == first.version
    assert "is not signed" in replica._errors["default"]


def test_children_that_have_no_version_are_told_why_none_comes(
    worker: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    publish(store, tmp_path / "a", UNCHECKED)
    children, replica = Catalogs(worker.home, store, RECIPE), Replica(worker, "node")
    replica.sync()
    with pytest.raises(CatalogError, match="is not signed") as caught:
        children.get("default")
    assert caught.value.code is ErrorCode.CATALOG_REFUSED
    assert caught.value.retryable, "an outage of this worker, no outcome"
    assert "packsight catalog sign" in children.refused["default"]


def test_an_old_pointer_that_is_put_back_is_not_followed_over_a_restart_either(
    worker: Settings, indexer: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    publish(store, tmp_path / "a", Trust.of_publisher(indexer))
    former = store.read(POINTER).data
    second = publish(store, tmp_path / "b", Trust.of_publisher(indexer))
    Replica(worker, "node").sync()
    store.write(POINTER, former)
    again = Replica(worker, "node")
    again.sync()
    assert served(worker) == second.version
    assert "older than one that was followed here" in again._errors["default"]


def test_a_rollback_is_signed_anew_and_mends_a_refused_pointer(
    worker: Settings, indexer: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    first = publish(store, tmp_path / "a", Trust.of_publisher(indexer))
    publish(store, tmp_path / "b", Trust.of_publisher(indexer))
    replica = Replica(worker, "node")
    replica.sync()
    store.write(POINTER, b"{}")
    replica.sync()
    assert "default" in replica._errors
    catalogs = CatalogStore(store, "default", Trust.of_publisher(indexer))
    with pytest.raises(CatalogError):
        roll_back(catalogs, None, [RECIPE])
    roll_back(catalogs, first.version, [RECIPE])
    replica.sync()
    assert served(worker) == first.version
    assert replica._errors == {}


def test_a_worker_without_keys_serves_all_and_says_once_that_nothing_is_checked(
    live_settings: Settings, store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    follow(live_settings.home, RECIPE)
    manifest = publish(store, tmp_path / "a", UNCHECKED)
    quick = live_settings.catalog.model_copy(update={"poll_seconds": 0.01})
    replica = Replica(live_settings.model_copy(update={"catalog": quick}), "node")
    replica.start()
    client = redis.Redis.from_url(live_settings.result_url.get_secret_value())
    while served(live_settings) != manifest.version or not registry.replicas(client):
        assert replica.is_alive()
    replica.stop()
    replica.join(20)
    client.close()
    lines = [record.getMessage() for record in caplog.records if "not checked" in record.getMessage()]
    assert len(lines) == 1
    assert "PACKSIGHT_CATALOG__PUBLIC_KEYS" in lines[0]
    found = doctor._workers(live_settings, StackFolder(tmp_path / "none"))
    notes = [finding for finding in found if "not checked" in finding.text]
    assert [finding.level for finding in notes] == [doctor.Level.NOTE]
    assert notes[0].text.startswith("node: ")


def test_what_was_published_before_there_was_a_key_is_signed_once_as_it_is(
    worker: Settings, indexer: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    before = [publish(store, tmp_path / name, UNCHECKED) for name in "ab"]
    replica = Replica(worker, "node")
    replica.sync()
    assert served(worker) == ""
    sign_former(indexer)
    catalogs = CatalogStore(store, "default", Trust.of_publisher(indexer))
    assert catalogs.versions() == sorted(before, key=lambda manifest: manifest.version)
    replica.sync()
    assert served(worker) == before[1].version
    publish(store, tmp_path / "c", UNCHECKED)
    planted = CatalogStore(store, "planted", UNCHECKED)
    sealed_version(tmp_path / "d", "planted", version="v1")
    planted.upload(tmp_path / "d")
    planted.point("v1", expected=None)
    sign_former(indexer)
    assert planted.is_unsigned()
    with pytest.raises(CatalogError, match="is not signed"):
        catalogs.current()
    assert catalogs.is_unsigned(), "what is unsigned once there were signatures was written by somebody else"


def test_where_nothing_was_published_before_nothing_is_signed_later(
    indexer: Settings, store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = indexer.model_copy(update={"s3": indexer.s3.model_copy(update={"endpoint": "127.0.0.1:1"})})
    sign_former(away)
    assert "is not signed (`packsight catalog sign`" in caplog.text
    caplog.clear()
    sign_former(indexer.model_copy(update={"s3": indexer.s3.model_copy(update={"bucket": "not-there-yet"})}))
    assert caplog.text == ""
    publish(store, tmp_path / "a", UNCHECKED)
    sign_former(indexer)
    assert CatalogStore(store, "default", UNCHECKED).is_unsigned()


def test_what_could_not_be_signed_at_the_start_is_signed_by_the_next_round(
    indexer: Settings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, tmp_path / "a", UNCHECKED)
    monkeypatch.setattr(tasks, "settings", lambda: indexer)
    with monkeypatch.context() as starting:  # it lists and cannot be read yet
        starting.setattr(ObjectStore, "read", lambda *_, **__: _raise(StorageAway(ErrorCode.HOST_UNREACHABLE, "it starts")))
        sign_former(indexer)
        tasks.reconcile_jobs()
        assert caplog.text.count("it starts") == 1, "said once, not every ten seconds"
        assert not (indexer.home / "pointers").exists()
    catalogs = CatalogStore(store, "default", Trust.of_publisher(indexer))
    assert catalogs.is_unsigned()
    tasks.reconcile_jobs()
    assert not catalogs.is_unsigned()


def _raise(error: Exception) -> NoReturn:
    raise error


def test_a_worker_that_checked_nothing_so_far_compares_its_copy_with_what_is_signed(
    live_settings: Settings, worker: Settings, indexer: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    unchecked = live_settings.model_copy(update={"home": worker.home})
    same = publish(store, tmp_path / "a", UNCHECKED)
    Replica(unchecked, "node").sync()
    copy = versions_folder(worker.home, "default") / same.version
    inode = copy.stat().st_ino
    replica = Replica(worker, "node")
    replica.sync()
    assert served(worker) == same.version, "it serves on until there is something better"
    sign_former(indexer)
    replica.sync()
    here = read_local_pointer(worker.home, "default", RECIPE)
    assert here is not None
    assert (here.version, here.key) == (same.version, replica._trust.keyring.ids[0])
    assert copy.stat().st_ino == inode, "nothing was downloaded again"


def test_a_copy_that_was_checked_against_another_manifest_is_replaced(
    live_settings: Settings, worker: Settings, indexer: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    genuine = publish(store, tmp_path / "a", Trust.of_publisher(indexer))
    forged = tmp_path / "forged"
    sealed_version(forged, content=b"forged", version=genuine.version)
    (versions_folder(worker.home, "default")).mkdir(parents=True)
    copy = forged.rename(versions_folder(worker.home, "default") / genuine.version)
    local = Path(worker.home, "replica", "default", f"CURRENT.{RECIPE.key}.json")
    local.write_text(LocalPointer(version=genuine.version).model_dump_json())
    Replica(worker, "node").sync()
    assert (copy / "index.faiss").read_bytes() == b"index"


def test_one_key_follows_another_while_all_serve(
    live_settings: Settings, worker: Settings, indexer: Settings, store: ObjectStore, tmp_path: Path, key: Path
) -> None:
    first = publish(store, tmp_path / "a", Trust.of_publisher(indexer))
    Replica(worker, "node").sync()
    new = tmp_path / "new.pem"
    create_key(new)
    both = keyed(live_settings, worker.home, believed=(key, new))
    Replica(both, "node").sync()
    publisher = Trust.of_publisher(keyed(live_settings, indexer.home, signing=new, believed=(key,)))
    assert [manifest.version for manifest in CatalogStore(store, "default", publisher).sign()] == [first.version]
    last = Replica(keyed(live_settings, worker.home, believed=(new,)), "node")
    last.sync()
    assert last._errors == {}
    here = read_local_pointer(worker.home, "default", RECIPE)
    assert here is not None and (here.version, here.key) == (first.version, publisher.keyring.own)


def test_a_sync_builds_on_no_pointer_that_is_refused_unless_it_is_forced(
    live_settings: Settings, store: ObjectStore, tmp_path: Path, key: Path
) -> None:
    shop = Shop(tmp_path / "shop", keyed(live_settings, tmp_path / "home", signing=key, believed=(key,)), store)
    first = shop.sync()
    believing = CatalogStore(store, "default", Trust.of_reader(shop.settings))
    assert [manifest.version for manifest in believing.versions()] == [first.version]
    pointer = store.read(POINTER).data
    store.write(POINTER, pointer.replace(b'"version"', b'"Version"'))
    with pytest.raises(CatalogError, match="changed after it was signed"):
        shop.sync()
    assert shop.sync(force=True).published
    assert believing.current() is not None


def run(*words: str) -> str:
    result = CliRunner().invoke(cli.app, ["catalog", *words])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_commands_make_keys_sign_with_them_and_list_what_is_refused(
    live_settings: Settings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "made" / "key.pem"
    public = run("keys", str(file)).split('"')[1]
    assert public == public_key(read_key(file))
    config = keyed(live_settings, tmp_path / "indexer", signing=file, believed=(file,))
    monkeypatch.setattr(commands, "settings", lambda: config)
    monkeypatch.setattr(commands.out, "_width", 200)
    unsigned = publish(store, tmp_path / "a", UNCHECKED)
    listed = run("versions")
    assert "The pointer of catalog default is not signed" in listed
    assert f"The manifest of version {unsigned.version} of default is not signed" in listed
    assert unsigned.version in run("sign")
    listed = run("versions")
    assert "CURRENT" in listed
    assert "not signed" not in listed
    monkeypatch.setattr(commands, "settings", lambda: keyed(live_settings, tmp_path / "other", believed=(file,)))
    for command in (("sign",), ("rollback", unsigned.version)):
        with pytest.raises(UserError, match="no key to sign with"):
            run(*command)
