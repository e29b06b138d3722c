"""A worker host follows the pointer: every file checked, then one rename; damage leaves the old version serving."""

from __future__ import annotations

import json
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from packsight.shared.catalog import parts
from packsight.shared.catalog.manifest import Manifest, new_version, seal
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, ErrorCode, StorageError
from packsight.shared.queue import registry
from packsight.shared.settings import S3, Settings
from packsight.shared.storage.objects import Conflict, ObjectStore
from packsight.worker.catalogs import pointer
from packsight.worker.catalogs.pointer import LocalPointer, follow, read_local_pointer, versions_folder
from packsight.worker.catalogs.replica import Replica
from tests.servers import serving
from tests.trust import UNCHECKED

RECIPE = Recipe(embedder="e-1", spotter="s-1", details="d-1", matching="m-1")
OTHER = RECIPE.model_copy(update={"matching": "m-2"})


def sealed_version(
    folder: Path, catalog: str = "default", content: bytes = b"index", recipe: Recipe = RECIPE, version: str | None = None
) -> Manifest:
    folder.mkdir(parents=True)
    (folder / "index.faiss").write_bytes(content)
    manifest = Manifest(
        catalog=catalog,
        version=version or new_version(),
        created_at=datetime.now(UTC),
        products=1,
        photos=1,
        **recipe.model_dump(),
        dimension=4,
        projected=4,
        index="Flat",
        faiss="1",
    )
    return seal(folder, manifest)


def publish(
    store: ObjectStore, folder: Path, catalog: str = "default", content: bytes = b"index", recipe: Recipe = RECIPE
) -> Manifest:
    manifest = sealed_version(folder, catalog, content, recipe)
    versions = CatalogStore(store, catalog, UNCHECKED)
    versions.upload(folder)
    versions.point(manifest.version, expected=versions.current())
    return manifest


def publish_formerly(store: ObjectStore, folder: Path, version: str) -> None:
    """As releases did that named no recipe: manifest and pointer say less."""
    manifest = sealed_version(folder, version=version)
    file = folder / "manifest.json"
    document = json.loads(file.read_text())
    for name in ("details", "matching", "fit"):
        del document[name]
    file.write_text(json.dumps({**document, "format": 2}))
    for path in folder.iterdir():
        store.write(f"catalogs/default/versions/{version}/{path.name}", path.read_bytes())
    said = {"version": manifest.version, "changed_at": datetime.now(UTC).isoformat()}
    store.write("catalogs/default/CURRENT", json.dumps(said).encode())


def served(settings: Settings, catalog: str = "default", recipe: Recipe = RECIPE) -> str | None:
    told = read_local_pointer(settings.home, catalog, recipe)
    return told.version if told else None


@pytest.fixture
def replica(live_settings: Settings) -> Replica:
    """The replica of a host whose children have the recipe."""
    follow(live_settings.home, RECIPE)
    return Replica(live_settings, "node")


def test_the_replica_brings_each_catalog_to_its_pointer(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    first = publish(store, tmp_path / "a")
    other = publish(store, tmp_path / "b", "second")
    replica.sync()
    assert served(live_settings) == first.version
    assert served(live_settings, "second") == other.version
    newer = publish(store, tmp_path / "c", content=b"newer")
    replica.sync()
    assert served(live_settings) == newer.version
    assert (versions_folder(live_settings.home, "default") / newer.version / "index.faiss").read_bytes() == b"newer"


def test_rolling_back_is_followed_too(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    first = publish(store, tmp_path / "a")
    publish(store, tmp_path / "b")
    replica.sync()
    versions = CatalogStore(store, "default", UNCHECKED)
    versions.point(first.version, expected=versions.current())
    replica.sync()
    assert served(live_settings) == first.version


def test_workers_of_two_recipes_on_one_host_are_each_served_their_own(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    follow(live_settings.home, OTHER)
    mine, theirs = publish(store, tmp_path / "a"), publish(store, tmp_path / "b", recipe=OTHER)
    beside = Replica(live_settings, "beside")
    for one in (replica, beside, replica):
        one.sync()
        assert (served(live_settings), served(live_settings, recipe=OTHER)) == (mine.version, theirs.version)
    newer = publish(store, tmp_path / "c", recipe=OTHER)
    replica.sync()
    assert (served(live_settings), served(live_settings, recipe=OTHER)) == (mine.version, newer.version)
    here = {entry.name for entry in versions_folder(live_settings.home, "default").iterdir()}
    assert here == {mine.version, theirs.version, newer.version}


def test_children_without_a_version_are_told_what_differs_until_there_is_one(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    publish(store, tmp_path / "a", recipe=OTHER)
    replica.sync()
    told = read_local_pointer(live_settings.home, "default", RECIPE)
    assert told is not None
    assert told.version == ""
    assert "matching m-2 instead of m-1" in told.refusal
    assert "packsight catalog sync --catalog default" in told.remedy
    mine = publish(store, tmp_path / "b")
    replica.sync()
    assert read_local_pointer(live_settings.home, "default", RECIPE) == LocalPointer(version=mine.version)


def test_a_version_of_a_former_release_is_refused_with_what_to_do(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    publish_formerly(store, tmp_path / "a", "v1")
    replica.sync()
    told = read_local_pointer(live_settings.home, "default", RECIPE)
    assert told is not None
    assert "Version v1 of default was made by an older release (format 2" in told.refusal
    assert "Sync the catalog once with this release" in told.remedy


def test_what_workers_of_a_former_release_serve_here_stays_while_they_are_pointed_at_it(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    publish_formerly(store, tmp_path / "a", "v1")
    catalogs = CatalogStore(store, "default", UNCHECKED)
    versions = versions_folder(live_settings.home, "default")
    catalogs.download("v1", versions)
    (versions.parent / "CURRENT").write_text('{"version": "v1"}')
    publish(store, tmp_path / "b")
    replica.sync()
    assert (versions / "v1").exists()
    catalogs.drop_former()
    publish(store, tmp_path / "c")
    replica.sync()
    assert not (versions / "v1").exists()


def test_a_version_whose_recipe_is_no_longer_pointed_at_serves_on(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    mine = publish(store, tmp_path / "a")
    replica.sync()
    publish(store, tmp_path / "b", recipe=OTHER)
    catalogs = CatalogStore(store, "default", UNCHECKED)
    current = catalogs.current()
    assert current is not None
    catalogs.drop({RECIPE.key}, expected=current)
    replica.sync()
    assert served(live_settings) == mine.version


def test_a_recipe_that_no_child_has_had_for_long_is_forgotten(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    publish(store, tmp_path / "a")
    replica.sync()
    assert pointer.arrived(live_settings.home, RECIPE) == ["default"]
    long_ago = time.time() - 2 * pointer.FORGOTTEN
    os.utime(live_settings.home / "recipes" / f"{RECIPE.key}.json", (long_ago, long_ago))
    assert pointer.followed(live_settings.home) == []
    assert pointer.arrived(live_settings.home, RECIPE) == []


def test_a_version_that_vanished_from_the_disk_is_brought_again(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    mine = publish(store, tmp_path / "a")
    replica.sync()
    (versions_folder(live_settings.home, "default") / mine.version / "manifest.json").unlink()
    assert served(live_settings) is None
    (versions_folder(live_settings.home, "default") / mine.version / "index.faiss").unlink()
    (versions_folder(live_settings.home, "default") / mine.version).rmdir()
    replica.sync()
    assert served(live_settings) == mine.version


@pytest.mark.parametrize("damage", [b"inde", b"index of anotheR", b""], ids=["truncated", "flipped", "empty"])
def test_a_damaged_version_is_never_served(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path, damage: bytes
) -> None:
    good = publish(store, tmp_path / "a")
    replica.sync()
    bad = publish(store, tmp_path / "b", content=b"index of another")
    store.write(f"catalogs/default/parts/{bad.files['index.faiss'].stored.sha256}", damage)
    replica.sync()
    assert served(live_settings) == good.version
    with pytest.raises(CatalogError):
        CatalogStore(store, "default", UNCHECKED).download(bad.version, tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").iterdir()), "nothing half-done stays behind"


def test_only_the_served_version_and_its_forerunner_stay_on_disk(
    replica: Replica, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    made = []
    for number in range(4):
        made.append(publish(store, tmp_path / str(number)).version)
        replica.sync()
    folder = versions_folder(live_settings.home, "default")
    assert {entry.name for entry in folder.iterdir()} == set(made[-2:])


def test_of_two_publishers_one_loses_cleanly(store: ObjectStore, tmp_path: Path) -> None:
    versions = CatalogStore(store, "default", UNCHECKED)
    manifests = [sealed_version(tmp_path / name) for name in ("a", "b")]
    for name in ("a", "b"):
        versions.upload(tmp_path / name)
    seen = versions.current()
    versions.point(manifests[0].version, expected=seen)
    with pytest.raises(Conflict):
        versions.point(manifests[1].version, expected=seen)
    current = versions.current()
    assert current is not None
    assert current.version == manifests[0].version


def test_a_hint_wakes_the_replica_long_before_its_next_poll(
    live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    slow = live_settings.model_copy(
        update={"catalog": live_settings.catalog.model_copy(update={"poll_seconds": 3600.0})}
    )
    client = redis.Redis.from_url(live_settings.result_url.get_secret_value())
    follow(live_settings.home, RECIPE)
    replica = Replica(slow, "node")
    replica.start()
    try:
        while not client.pubsub_numsub("packsight:catalogs")[0][1]:
            assert replica.is_alive()
        manifest = publish(store, tmp_path / "a")
        while served(live_settings) != manifest.version:
            registry.hint(client, "default")
            assert replica.is_alive()
    finally:
        replica.stop()
        registry.hint(client, "default")
        replica.join(10)
    assert [entry.node for entry in registry.replicas(client)] == ["node"]
    assert client.ttl("packsight:replica:node") > 0
    client.close()


@pytest.mark.parametrize("name", ["../../../outside", "/tmp/outside", ".hidden", "a/b", ""])
def test_a_manifest_that_names_a_file_outside_of_its_folder_is_refused_and_nothing_is_written(
    store: ObjectStore, live_settings: Settings, tmp_path: Path, name: str
) -> None:
    served = publish(store, tmp_path / "v")
    follow(live_settings.home, RECIPE)
    replica = Replica(live_settings, "node")
    replica.sync()
    bad = sealed_version(tmp_path / "bad", content=b"other")
    document = json.loads((tmp_path / "bad" / "manifest.json").read_text())
    document["files"] = {name: document["files"]["index.faiss"]}
    prefix = f"catalogs/default/versions/{bad.version}"
    store.write(f"{prefix}/manifest.json", json.dumps(document).encode())
    for key in (f"{prefix}/outside", "outside"):
        store.write(key, b"other")
    current = json.loads(store.read("catalogs/default/CURRENT.json").data)
    pointed = {**current, "version": bad.version, "versions": dict.fromkeys(current["versions"], bad.version)}
    store.write("catalogs/default/CURRENT.json", json.dumps(pointed).encode())
    before = sorted(live_settings.home.rglob("*"))
    replica.sync()
    assert sorted(live_settings.home.rglob("*")) == before
    here = read_local_pointer(live_settings.home, "default", RECIPE)
    assert here is not None and here.version == served.version
    assert "not readable" in replica._errors["default"]


@pytest.mark.parametrize("version", ["../../../outside", ".", "a/b"])
def test_a_pointer_that_leads_elsewhere_is_refused(
    store: ObjectStore, live_settings: Settings, tmp_path: Path, version: str
) -> None:
    publish(store, tmp_path / "v")
    follow(live_settings.home, RECIPE)
    current = json.loads(store.read("catalogs/default/CURRENT.json").data)
    pointed = {**current, "version": version, "versions": dict.fromkeys(current["versions"], version)}
    store.write("catalogs/default/CURRENT.json", json.dumps(pointed).encode())
    replica = Replica(live_settings, "node")
    replica.sync()
    assert "not readable" in replica._errors["default"]


def test_a_manifest_of_another_version_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    manifest = publish(store, tmp_path / "v")
    data = store.read(f"catalogs/default/versions/{manifest.version}/manifest.json").data
    store.write("catalogs/default/versions/v9/manifest.json", data)
    with pytest.raises(CatalogError, match="is that of"):
        CatalogStore(store, "default", UNCHECKED).manifest("v9")


def test_whatever_a_store_answers_the_replica_goes_on(
    store: ObjectStore, live_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = publish(store, tmp_path / "v")
    follow(live_settings.home, RECIPE)
    replica = Replica(live_settings, "node")
    odd = iter([ValueError("no XML"), KeyError("odd")])
    sync = replica.sync

    def failing() -> None:
        if (error := next(odd, None)) is not None:
            raise error
        sync()

    monkeypatch.setattr(replica, "sync", failing)
    replica.start()
    try:
        deadline = time.monotonic() + 60
        while read_local_pointer(live_settings.home, "default", RECIPE) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        replica.stop()
    here = read_local_pointer(live_settings.home, "default", RECIPE)
    assert here is not None and here.version == manifest.version


def test_a_replica_says_how_long_ago_it_looked_and_bringing_a_version_counts_as_looking(
    store: ObjectStore, live_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, tmp_path / "v")
    follow(live_settings.home, RECIPE)
    replica = Replica(live_settings, "node")
    monkeypatch.setattr(replica, "_looked", time.monotonic() - 100)
    assert replica.age >= 100
    ages = []
    download = CatalogStore.download

    def slow(catalogs: CatalogStore, version: str, folder: Path) -> Path:
        ages.append(replica.age)
        return download(catalogs, version, folder)

    monkeypatch.setattr(CatalogStore, "download", slow)
    replica.sync()
    assert ages == [0.0]
    assert 0.0 < replica.age < 60


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("fault", "code"), [("drip-body", ErrorCode.FETCH_TIMEOUT), ("drip-headers", ErrorCode.HOST_UNREACHABLE)]
)
def test_a_version_whose_store_drips_is_left_after_what_its_parts_may_take(
    live_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, code: ErrorCode
) -> None:
    monkeypatch.setattr(parts, "PATIENCE", 0.25)
    manifest = sealed_version(tmp_path / "v1", content=random.Random(0).randbytes(100_000))  # as much as the store promises
    with serving() as server:
        slow = ObjectStore(S3(endpoint=f"127.0.0.1:{server.port}", bucket=fault, access_key="a", secret_key=SecretStr("b")))
        versions = CatalogStore(slow, "default", UNCHECKED)
        monkeypatch.setattr(versions, "manifest", lambda _: manifest)
        replica = Replica(live_settings, "recognizer@test")
        with pytest.raises(StorageError) as caught:
            replica._download(versions, manifest.version, RECIPE)
        assert caught.value.code is code
        assert replica.age > 0, "it is judged again by when it looked"
        slow.close()
    assert not list(versions_folder(live_settings.home, "default").iterdir())
