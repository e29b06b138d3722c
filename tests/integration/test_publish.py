"""Versions in a real object store: two publishers, roll back, prune; and the lock in a real Redis."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from packsight.indexer.lock import LockHeldError, LockLostError, sync_lock
from packsight.indexer.publish import prune, publish, roll_back
from packsight.shared.catalog.versions import CatalogStore, Manifest, seal
from packsight.shared.contract.errors import UserError
from packsight.shared.queue.connection import result_database
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore


@pytest.fixture
def catalogs(store: ObjectStore) -> CatalogStore:
    return CatalogStore(store, "default")


@pytest.fixture
def client(live_settings: Settings) -> redis.Redis:
    return result_database(live_settings)


def sealed(folder: Path, version: str, parent: str | None = None) -> Manifest:
    """A version whose only file names it."""
    folder.mkdir(parents=True)
    (folder / "content").write_text(version)
    manifest = Manifest(
        catalog="default", version=version, parent=parent, created_at=datetime.now(UTC), products=1, photos=1,
        embedder="e", spotter="s", dimension=1, projected=1, index="Flat", faiss="1",
    )  # fmt: skip
    return seal(folder, manifest)


def put(catalogs: CatalogStore, folder: Path, version: str, parent: str | None = None) -> None:
    publish(catalogs, folder / version, sealed(folder / version, version, parent), catalogs.current(), lambda: None)


def versions(catalogs: CatalogStore) -> list[str]:
    return [manifest.version for manifest in catalogs.versions()]


def current(catalogs: CatalogStore) -> str:
    pointer = catalogs.current()
    assert pointer is not None
    return pointer.version


def test_of_two_publishers_one_loses_cleanly(catalogs: CatalogStore, tmp_path: Path) -> None:
    put(catalogs, tmp_path, "20260101T000000-a")
    seen = catalogs.current()
    put(catalogs, tmp_path, "20260102T000000-b", "20260101T000000-a")
    late = "20260103T000000-c"
    with pytest.raises(UserError, match="someone else"):
        publish(catalogs, tmp_path / late, sealed(tmp_path / late, late), seen, lambda: None)
    assert current(catalogs) == "20260102T000000-b"
    assert versions(catalogs) == ["20260101T000000-a", "20260102T000000-b"]


def test_a_pointer_rewritten_to_the_same_parent_does_not_stop_a_publisher(
    catalogs: CatalogStore, tmp_path: Path
) -> None:
    put(catalogs, tmp_path, "v1")
    seen = catalogs.current()
    time.sleep(0.01)
    catalogs.point("v1", expected=seen)  # the tag changes with the time inside
    publish(catalogs, tmp_path / "v2", sealed(tmp_path / "v2", "v2", "v1"), seen, lambda: None)
    assert current(catalogs) == "v2"


def test_a_publisher_whose_own_write_arrived_twice_has_won(
    catalogs: CatalogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(catalogs, tmp_path, "v1")
    replace = ObjectStore.replace

    def answer_lost(self: ObjectStore, key: str, data: bytes, *, etag: str | None) -> None:
        replace(self, key, data, etag=etag)
        replace(self, key, data, etag=etag)

    monkeypatch.setattr(ObjectStore, "replace", answer_lost)
    publish(catalogs, tmp_path / "v2", sealed(tmp_path / "v2", "v2", "v1"), catalogs.current(), lambda: None)
    assert current(catalogs) == "v2"


def test_a_publisher_that_lost_its_lock_moves_nothing(catalogs: CatalogStore, tmp_path: Path) -> None:
    put(catalogs, tmp_path, "v1")

    def lost() -> None:
        raise LockLostError("lost")

    with pytest.raises(LockLostError):
        publish(catalogs, tmp_path / "v2", sealed(tmp_path / "v2", "v2", "v1"), catalogs.current(), lost)
    assert current(catalogs) == "v1"


def test_rolling_back_goes_to_the_parent_or_to_a_named_version(catalogs: CatalogStore, tmp_path: Path) -> None:
    for version, parent in (("v1", None), ("v2", "v1"), ("v3", "v2")):
        put(catalogs, tmp_path, version, parent)
    assert roll_back(catalogs, None, []) == [current(catalogs)] == ["v2"]
    assert roll_back(catalogs, "v3", []) == [current(catalogs)] == ["v3"]
    with pytest.raises(UserError, match="no version v9"):
        roll_back(catalogs, "v9", [])
    roll_back(catalogs, "v1", [])
    with pytest.raises(UserError, match="no parent"):
        roll_back(catalogs, None, [])


def test_rolling_back_what_was_never_published_says_so(catalogs: CatalogStore) -> None:
    with pytest.raises(UserError, match="never published"):
        roll_back(catalogs, None, [])


def test_pruning_keeps_current_and_what_one_rolls_back_to_before_newer_ones(
    catalogs: CatalogStore, tmp_path: Path
) -> None:
    for version, parent in (("v1", None), ("v2", "v1"), ("v3", "v2"), ("v4", "v3"), ("v5", "v4")):
        put(catalogs, tmp_path, version, parent)
    roll_back(catalogs, "v2", [])
    assert sorted(prune(catalogs, 3, [])) == ["v3", "v4"]
    assert versions(catalogs) == ["v1", "v2", "v5"]
    prune(catalogs, 0, [])
    assert versions(catalogs) == ["v2"]


def test_an_upload_without_manifest_goes_only_when_it_is_old(
    catalogs: CatalogStore, store: ObjectStore, tmp_path: Path
) -> None:
    put(catalogs, tmp_path, "v1")
    young = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-aaaaaa"
    for version in (young, "20200101T000000-bbbbbb"):
        store.write(f"catalogs/default/versions/{version}/content", b"half")
    assert prune(catalogs, 5, []) == ["20200101T000000-bbbbbb"]
    assert catalogs.unfinished() == [young]


def test_the_lock_has_one_holder_and_names_it(client: redis.Redis) -> None:
    with sync_lock(client, "default") as first:
        with pytest.raises(LockHeldError, match=r":\d+:"), sync_lock(client, "default"):
            pass
        with sync_lock(client, "another"):
            first.check()
    with sync_lock(client, "default") as second:
        second.check()


def test_the_lock_is_renewed_while_it_is_held(client: redis.Redis) -> None:
    with sync_lock(client, "default", ttl=0.6) as lease:
        time.sleep(1.5)
        lease.check()


def test_a_holder_whose_lock_ran_out_is_told_and_leaves_the_new_holder_alone(client: redis.Redis) -> None:
    with sync_lock(client, "default") as old:
        client.delete("packsight:lock:sync:default")  # as if it had expired while this process stood still
        with sync_lock(client, "default") as new:
            with pytest.raises(LockLostError):
                old.check()
            new.check()


def test_the_lock_leaves_no_key_without_a_time_to_live(client: redis.Redis) -> None:
    with sync_lock(client, "default"):
        assert all(client.ttl(key) > 0 for key in client.scan_iter("packsight:*"))
