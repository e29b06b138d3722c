"""Versions in a real object store: two publishers, roll back, prune; and the lock in a real Redis."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from packsight.indexer.lock import LockHeldError, LockLostError, sync_lock
from packsight.indexer.publish import prune, publish, resume, roll_back
from packsight.shared.catalog.manifest import Manifest, PhotoRow, ProductRow, seal
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.tables import open_published, write_photos, write_products
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.queue.connection import result_database
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from tests.trust import UNCHECKED


@pytest.fixture
def catalogs(store: ObjectStore) -> CatalogStore:
    return CatalogStore(store, "default", UNCHECKED)


@pytest.fixture
def client(live_settings: Settings) -> redis.Redis:
    return result_database(live_settings)


MINE = Recipe(embedder="e", spotter="s", details="d", matching="m-1")
OTHER = MINE.model_copy(update={"matching": "m-2"})
FORMER = Recipe(embedder="e", spotter="s", details="", matching="")


def sealed(folder: Path, version: str, parent: str | None = None, recipe: Recipe = MINE) -> Manifest:
    """A version whose only file names it."""
    folder.mkdir(parents=True)
    (folder / "content.json").write_text(version)
    manifest = Manifest(
        catalog="default", version=version, parent=parent, created_at=datetime.now(UTC), products=1, photos=1,
        **recipe.model_dump(), dimension=1, projected=1, index="Flat", faiss="1",
    )  # fmt: skip
    return seal(folder, manifest)


def put(
    catalogs: CatalogStore, folder: Path, version: str, parent: str | None = None, recipe: Recipe = MINE, *,
    former: str | None = None, shown: bool = False,
) -> None:
    manifest = sealed(folder / version, version, parent, recipe).model_copy(update={"former": former, "shown": shown})
    (folder / version / "manifest.json").write_text(manifest.model_dump_json())
    publish(catalogs, folder / version, manifest, catalogs.current(), lambda: None)


def put_whole(store: ObjectStore, folder: Path) -> None:
    """Upload as releases did whose versions had no files in common."""
    for path in folder.iterdir():
        store.write(f"catalogs/default/versions/{folder.name}/{path.name}", path.read_bytes())


def put_formerly(catalogs: CatalogStore, store: ObjectStore, folder: Path, version: str) -> None:
    """Publish as releases did that named no recipe."""
    manifest = sealed(folder / version, version, recipe=FORMER)
    (folder / version / "manifest.json").write_text(manifest.model_copy(update={"format": 2}).model_dump_json())
    put_whole(store, folder / version)
    said = {"version": version, "changed_at": datetime.now(UTC).isoformat()}
    store.write("catalogs/default/CURRENT", json.dumps(said).encode())


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


def test_each_recipe_has_its_own_entry_and_publishing_for_one_leaves_the_others(
    catalogs: CatalogStore, tmp_path: Path
) -> None:
    put(catalogs, tmp_path, "v1")
    seen = catalogs.current()
    put(catalogs, tmp_path, "v2", recipe=OTHER)
    publish(catalogs, tmp_path / "v3", sealed(tmp_path / "v3", "v3", "v1"), seen, lambda: None)
    now = catalogs.current()
    assert now is not None
    assert (now.version_for(MINE), now.version_for(OTHER), now.version_for(FORMER)) == ("v3", "v2", None)
    assert now.version == "v3"


def test_what_workers_of_former_releases_are_pointed_at_stays_as_it_is(
    catalogs: CatalogStore, store: ObjectStore, tmp_path: Path
) -> None:
    put_formerly(catalogs, store, tmp_path, "v1")
    seen = catalogs.current()
    assert seen is not None
    assert (seen.version, seen.versions) == ("v1", {})
    before = store.read("catalogs/default/CURRENT").data
    put(catalogs, tmp_path, "v2", "v1")
    assert store.read("catalogs/default/CURRENT").data == before
    assert (current(catalogs), catalogs.former()) == ("v2", "v1")
    with pytest.raises(CatalogError, match="older release"):
        catalogs.point("v1", expected=catalogs.current())


def test_the_rows_of_a_version_of_a_former_release_can_be_read(
    catalogs: CatalogStore, store: ObjectStore, tmp_path: Path
) -> None:
    products, photos = [ProductRow(id="1", name="Balm")], [PhotoRow(product_id="1", sha256="a" * 64, source="1.jpg")]
    folder = tmp_path / "v1"
    folder.mkdir()
    write_products(folder / "products.arrow", products)
    write_photos(folder / "photos.arrow", photos)
    manifest = Manifest(
        catalog="default", version="v1", created_at=datetime.now(UTC), products=1, photos=1, embedder="e", spotter="s",
        dimension=1, projected=1, index="Flat", faiss="1", format=2,
    )  # fmt: skip
    seal(folder, manifest)
    put_whole(store, folder)
    with open_published(catalogs, "v1") as rows:
        assert [list(one) for one in rows] == [products, photos]
    store.write("catalogs/default/versions/v1/photos.arrow", b"damaged")
    with pytest.raises(CatalogError, match=r"photos\.arrow of version v1 is damaged"), open_published(catalogs, "v1"):
        pass


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
    assert versions(catalogs) == ["v1"], "nobody goes back to what was never served"


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


def test_rolling_back_goes_to_the_version_before_of_each_living_workers_recipe(
    catalogs: CatalogStore, tmp_path: Path
) -> None:
    put(catalogs, tmp_path, "v1a")
    put(catalogs, tmp_path, "v1b", "v1a", OTHER)
    put(catalogs, tmp_path, "v2a", "v1a")
    with pytest.raises(UserError, match="v1b has no parent that the same workers could serve"):
        roll_back(catalogs, None, [MINE, OTHER])
    put(catalogs, tmp_path, "v2b", "v1b", OTHER)
    assert roll_back(catalogs, None, [OTHER]) == ["v1b"]
    assert roll_back(catalogs, "v2b", [OTHER]) == ["v2b"]
    assert sorted(roll_back(catalogs, None, [OTHER], everyone=True)) == ["v1a", "v1b"]


def test_rolling_back_to_a_version_that_no_living_worker_can_serve_must_be_meant(
    catalogs: CatalogStore, tmp_path: Path
) -> None:
    put(catalogs, tmp_path, "v1a")
    put(catalogs, tmp_path, "v1b", recipe=OTHER)
    with pytest.raises(UserError, match="matching m-2 instead of m-1"):
        roll_back(catalogs, "v1b", [MINE])
    assert roll_back(catalogs, "v1b", [MINE], everyone=True) == ["v1b"]


def test_rolling_back_where_only_former_releases_published_says_to_sync(
    catalogs: CatalogStore, store: ObjectStore, tmp_path: Path
) -> None:
    put_formerly(catalogs, store, tmp_path, "v1")
    with pytest.raises(UserError, match="packsight catalog sync"):
        roll_back(catalogs, None, [MINE])


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


def test_what_only_shows_products_otherwise_pushes_out_nothing_that_was_built(catalogs: CatalogStore, tmp_path: Path) -> None:
    put(catalogs, tmp_path, "v1")
    put(catalogs, tmp_path, "v2", "v1", former="v1")
    for number in range(3, 9):
        put(catalogs, tmp_path, f"v{number}", f"v{number - 1}", former="v2", shown=True)
        prune(catalogs, 3, [MINE])
    assert versions(catalogs) == ["v1", "v2", "v7", "v8"]
    assert roll_back(catalogs, None, [MINE]) == ["v7"]
    resume(catalogs)
    catalogs.point("v8", expected=catalogs.current())
    put(catalogs, tmp_path, "v9", "v8", former="v2")
    put(catalogs, tmp_path, "vA", "v9", former="v9", shown=True)
    prune(catalogs, 3, [MINE])
    assert versions(catalogs) == ["v1", "v2", "v9", "vA"]
    prune(catalogs, 1, [MINE])
    assert versions(catalogs) == ["v9", "vA"]


def test_versions_of_recipes_that_no_worker_has_go_when_enough_are_newer(
    catalogs: CatalogStore, tmp_path: Path
) -> None:
    put(catalogs, tmp_path, "v1", recipe=OTHER)
    for version, parent in (("v2", "v1"), ("v3", "v2")):
        put(catalogs, tmp_path, version, parent)
    assert prune(catalogs, 3, [MINE]) == []
    put(catalogs, tmp_path, "v4", "v3")
    assert prune(catalogs, 3, [MINE, OTHER]) == []
    assert prune(catalogs, 3, [MINE]) == ["v1"]
    now = catalogs.current()
    assert now is not None
    assert now.versions == {MINE.key: "v4"}


def test_each_recipe_of_living_workers_keeps_its_own_versions(catalogs: CatalogStore, tmp_path: Path) -> None:
    for number in range(1, 5):
        put(catalogs, tmp_path, f"v{number}a", f"v{number - 1}a" if number > 1 else None)
        put(catalogs, tmp_path, f"v{number}b", f"v{number - 1}b" if number > 1 else None, OTHER)
    assert sorted(prune(catalogs, 2, [MINE, OTHER])) == ["v1a", "v1b", "v2a", "v2b"]


def test_what_former_releases_published_goes_with_its_pointer_when_their_workers_are_gone(
    catalogs: CatalogStore, store: ObjectStore, tmp_path: Path
) -> None:
    put_formerly(catalogs, store, tmp_path, "v1")
    assert prune(catalogs, 1, []) == []
    put(catalogs, tmp_path, "v2", "v1")
    assert prune(catalogs, 1, [MINE, FORMER]) == []
    assert prune(catalogs, 1, [MINE]) == ["v1"]
    assert catalogs.former() is None
    assert current(catalogs) == "v2"


def test_an_upload_of_a_former_release_without_manifest_goes_and_what_is_told_of_a_version_stays(
    catalogs: CatalogStore, store: ObjectStore, tmp_path: Path
) -> None:
    put(catalogs, tmp_path, "v1")
    for file in ("v0/photos.arrow", "v0/model.json", "v1/report.html", "refused/report.jsonl"):
        store.write(f"catalogs/default/versions/{file}", b"half")
    assert prune(catalogs, 5, []) == ["v0"]
    assert catalogs.unfinished() == []
    left = {key.removeprefix("catalogs/default/versions/") for key in store.list("catalogs/default/versions/")}
    assert left == {"v1/manifest.json", "v1/report.html", "refused/report.jsonl"}


def test_the_lock_has_one_holder_and_names_it(client: redis.Redis) -> None:
    with sync_lock(client, "default", "a sync") as first:
        with pytest.raises(LockHeldError, match=r"in use by a sync, .+:\d+:"), sync_lock(client, "default", "a sync"):
            pass
        with sync_lock(client, "another", "a sync"):
            first.check()
    with sync_lock(client, "default", "a sync") as second:
        second.check()


def test_the_lock_is_renewed_while_it_is_held(client: redis.Redis) -> None:
    with sync_lock(client, "default", "a sync", ttl=0.6) as lease:
        time.sleep(1.5)
        lease.check()


def test_a_holder_whose_lock_ran_out_is_told_and_leaves_the_new_holder_alone(client: redis.Redis) -> None:
    with sync_lock(client, "default", "a sync") as old:
        client.delete("packsight:lock:sync:default")  # as if it had expired while this process stood still
        with sync_lock(client, "default", "a sync") as new:
            with pytest.raises(LockLostError):
                old.check()
            new.check()


def test_the_lock_leaves_no_key_without_a_time_to_live(client: redis.Redis) -> None:
    with sync_lock(client, "default", "a sync"):
        assert all(client.ttl(key) > 0 for key in client.scan_iter("packsight:*"))
