"""A worker host follows the pointer: every file checked, then one rename; damage leaves the old version serving."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from packsight.shared.catalog.versions import CatalogStore, Manifest, new_version, seal
from packsight.shared.contract.errors import CatalogError
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import Conflict, ObjectStore
from packsight.worker.catalogs.pointer import read_local_pointer
from packsight.worker.catalogs.replica import Replica, replica_key


def sealed_version(folder: Path, catalog: str = "default", content: bytes = b"index") -> Manifest:
    folder.mkdir(parents=True)
    (folder / "index.faiss").write_bytes(content)
    manifest = Manifest(
        catalog=catalog,
        version=new_version(),
        created_at=datetime.now(UTC),
        products=1,
        photos=1,
        embedder="e-1",
        spotter="s-1",
        dimension=4,
        projected=4,
        index="Flat",
        faiss="1",
    )
    return seal(folder, manifest)


def publish(store: ObjectStore, folder: Path, catalog: str = "default", content: bytes = b"index") -> Manifest:
    manifest = sealed_version(folder, catalog, content)
    versions = CatalogStore(store, catalog)
    versions.upload(folder)
    versions.point(manifest.version, expected=versions.current())
    return manifest


def served(settings: Settings, catalog: str = "default") -> str | None:
    folder = read_local_pointer(settings.home, catalog)
    return folder.name if folder else None


def test_the_replica_brings_each_catalog_to_its_pointer(live_settings: Settings, store: ObjectStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path / "a")
    other = publish(store, tmp_path / "b", "second")
    replica = Replica(live_settings, "node")
    replica.sync()
    assert served(live_settings) == first.version
    assert served(live_settings, "second") == other.version
    newer = publish(store, tmp_path / "c", content=b"newer")
    replica.sync()
    folder = read_local_pointer(live_settings.home, "default")
    assert folder is not None
    assert folder.name == newer.version
    assert (folder / "index.faiss").read_bytes() == b"newer"


def test_rolling_back_is_followed_too(live_settings: Settings, store: ObjectStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path / "a")
    publish(store, tmp_path / "b")
    replica = Replica(live_settings, "node")
    replica.sync()
    versions = CatalogStore(store, "default")
    versions.point(first.version, expected=versions.current())
    replica.sync()
    assert served(live_settings) == first.version


@pytest.mark.parametrize("damage", [b"inde", b"indey", b""], ids=["truncated", "flipped", "empty"])
def test_a_damaged_version_is_never_served(
    live_settings: Settings, store: ObjectStore, tmp_path: Path, damage: bytes
) -> None:
    good = publish(store, tmp_path / "a")
    replica = Replica(live_settings, "node")
    replica.sync()
    bad = publish(store, tmp_path / "b")
    store.write(f"catalogs/default/versions/{bad.version}/index.faiss", damage)
    replica.sync()
    assert served(live_settings) == good.version
    with pytest.raises(CatalogError):
        CatalogStore(store, "default").download(bad.version, tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").iterdir()), "nothing half-done stays behind"


def test_only_the_served_version_and_its_forerunner_stay_on_disk(
    live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    replica = Replica(live_settings, "node")
    made = []
    for number in range(4):
        made.append(publish(store, tmp_path / str(number)).version)
        replica.sync()
    folder = read_local_pointer(live_settings.home, "default")
    assert folder is not None
    assert {entry.name for entry in folder.parent.iterdir()} == set(made[-2:])


def test_of_two_publishers_one_loses_cleanly(store: ObjectStore, tmp_path: Path) -> None:
    versions = CatalogStore(store, "default")
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
    replica = Replica(slow, "node")
    replica.start()
    try:
        while not client.pubsub_numsub("packsight:catalogs")[0][1]:
            assert replica.is_alive()
        manifest = publish(store, tmp_path / "a")
        while served(live_settings) != manifest.version:
            client.publish("packsight:catalogs", "default")
            assert replica.is_alive()
        while json.loads(client.get(replica_key("node")) or b"{}").get("catalogs") != {"default": manifest.version}:
            assert replica.is_alive()
    finally:
        replica.stop()
        client.publish("packsight:catalogs", "default")
        replica.join(10)
    assert client.ttl(replica_key("node")) > 0
    client.close()
