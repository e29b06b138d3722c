"""What a child answers from: taken up from its host's copy, also while it has no work; a batch keeps what it was given."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import redis

from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, ErrorCode
from packsight.shared.queue import registry
from packsight.shared.queue.registry import ChildEntry
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import versions_folder
from packsight.worker.catalogs.replica import Replica
from packsight.worker.catalogs.snapshots import Catalogs
from packsight.worker.process.registration import Registration
from tests.trust import UNCHECKED
from tests.unit.matching_catalog import RECIPE, shop

OTHER = RECIPE.model_copy(update={"matching": "another"})


@pytest.fixture
def publish(store: ObjectStore, live_settings: Settings, tmp_path: Path) -> Callable[[str], str]:
    """Build a version of the catalog `test`, publish it and bring it to this host."""
    follow = Replica(live_settings, "node")

    def made(name: str) -> str:
        snapshot, _ = shop(tmp_path / name)
        catalogs = CatalogStore(store, "test", UNCHECKED)
        catalogs.upload(snapshot.folder)
        catalogs.point(snapshot.manifest.version, expected=catalogs.current())
        follow.sync()
        return snapshot.manifest.version

    return made


def child(settings: Settings, store: ObjectStore, recipe: Recipe = RECIPE) -> Catalogs:
    return Catalogs(settings.home, store, recipe)


def test_an_idle_child_takes_up_what_arrives_without_being_asked(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str]
) -> None:
    catalogs = child(live_settings, store)
    for name in ("first", "second"):
        version = publish(name)
        catalogs.refresh()
        assert catalogs.versions == catalogs.latest == {"test": version}


def test_a_batch_keeps_its_version_while_another_is_taken_up(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str]
) -> None:
    catalogs = child(live_settings, store)
    first = publish("first")
    of_batch = catalogs.get("test")
    second = publish("second")
    catalogs.refresh()
    assert of_batch.manifest.version == first
    assert catalogs.get("test").manifest.version == second
    assert np.array_equal(of_batch.vectors[:], catalogs.get("test").vectors[:])


def test_a_child_of_another_recipe_refuses_with_what_differs_and_the_other_serves_on(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str]
) -> None:
    here, odd = child(live_settings, store), child(live_settings, store, OTHER)
    version = publish("first")
    assert here.get("test").manifest.version == version
    with pytest.raises(CatalogError, match=r"matching .* instead of another") as caught:
        odd.get("test")
    assert caught.value.code is ErrorCode.CATALOG_REFUSED
    with pytest.raises(CatalogError) as again:
        odd.get("test")
    assert len(again.traceback) == len(caught.traceback), "it does not gather the traces of all who asked"
    odd.refresh()
    assert "packsight catalog sync --catalog test" in odd.refused["test"]
    assert odd.versions == odd.latest == here.refused == {}


def test_a_version_that_cannot_be_opened_is_refused_and_the_one_before_serves_on(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str]
) -> None:
    catalogs = child(live_settings, store)
    first = publish("first")
    catalogs.refresh()
    second = publish("second")
    (versions_folder(live_settings.home, "test") / second / "s0000.vectors.npy").write_bytes(b"damaged")
    catalogs.refresh()
    assert (catalogs.versions, catalogs.latest) == ({"test": first}, {"test": second})
    assert second in catalogs.refused["test"]
    assert catalogs.get("test").manifest.version == first


def test_what_arrives_is_in_the_registry_long_before_the_next_look_and_the_next_sign_of_life(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PERIOD", "_LOOK"):
        monkeypatch.setattr(f"packsight.worker.process.registration.{name}", 3600.0)
    catalogs = child(live_settings, store)
    client = redis.Redis.from_url(live_settings.result_url.get_secret_value())
    registration = Registration(client, ChildEntry(host="h", pid=1, **RECIPE.model_dump()), catalogs, lambda: 5)
    registration.announce()
    registration.start()
    try:
        for name in ("first", "second"):
            version = publish(name)
            while (entry := registry.children(client)[0]).catalogs != {"test": version}:
                assert registration.is_alive()
        assert (entry.images, entry.latest) == (5, {"test": version})
    finally:
        registration.withdraw()
        registration.join(10)
    assert registry.children(client) == []
    client.close()


def test_the_catalog_that_nobody_asks_for_is_closed_when_room_is_short_and_opened_again_when_somebody_does(
    live_settings: Settings, store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "packsight.worker.catalogs.snapshots")
    replica, made = Replica(live_settings, "node"), dict[str, str]()
    for name in ("books", "shoes", "toys"):
        snapshot, _ = shop(tmp_path / name, catalog=name)
        versions = CatalogStore(store, name, UNCHECKED)
        versions.upload(snapshot.folder)
        versions.point(snapshot.manifest.version, expected=None)
        made[name] = snapshot.manifest.version
    size = sum(file.stat().st_size for file in snapshot.folder.iterdir())
    catalogs = Catalogs(live_settings.home, store, RECIPE, room=2.5 * size)
    replica.sync()
    catalogs.refresh()
    assert catalogs.versions == made, "a catalog that is closed is served all the same"
    held = catalogs.get("shoes")
    for asked, closed in (("books", "toys"), ("toys", "shoes"), ("books", "shoes"), ("shoes", "toys")):
        assert catalogs.get(asked).manifest.version == made[asked]
        catalogs.refresh()
        assert {place.name for place in catalogs._open} == made.keys() - {closed}
        assert catalogs.versions == made
    assert held.manifest.version == made["shoes"], "a batch keeps what it was given"
    assert len(held.vectors) == len(held.photo_product)


def test_a_version_that_arrives_for_a_closed_catalog_is_the_one_that_is_opened(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str], tmp_path: Path
) -> None:
    snapshot, _ = shop(tmp_path / "other", catalog="other")
    versions = CatalogStore(store, "other", UNCHECKED)
    versions.upload(snapshot.folder)
    versions.point(snapshot.manifest.version, expected=None)
    catalogs = Catalogs(live_settings.home, store, RECIPE, room=1)
    publish("first")
    catalogs.refresh()
    catalogs.get("other")
    assert [place.name for place in catalogs._open] == ["other"]
    second = publish("second")
    catalogs.refresh()
    assert [place.name for place in catalogs._open] == ["other"]
    assert catalogs.versions == catalogs.latest == {"other": snapshot.manifest.version, "test": second}
    assert catalogs.get("test").manifest.version == second
    assert [place.name for place in catalogs._open] == ["test"]


def test_a_child_that_serves_a_catalog_waits_for_no_other_to_arrive(
    live_settings: Settings, store: ObjectStore, publish: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waited = list[float]()
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=waited.append)
    monkeypatch.setattr("packsight.worker.catalogs.snapshots.time", clock)
    monkeypatch.setattr("packsight.worker.catalogs.snapshots._WAIT_SECONDS", 0.1)
    here, empty = child(live_settings, store), Catalogs(tmp_path / "empty", store, RECIPE)
    publish("first")
    here.refresh()
    store.write(layout.pointer("late"), b"{}")  # and nothing brings it here
    for catalogs in (here, empty):
        with pytest.raises(CatalogError) as caught:
            catalogs.get("late")
        assert (caught.value.code, caught.value.retryable) == (ErrorCode.CATALOG_MISSING, True)
        assert bool(waited) is (catalogs is empty)
