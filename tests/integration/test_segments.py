"""Syncs that build upon what is published: new photos are a segment more, and what is not whole is not built upon."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from packsight.indexer.build.epoch import LEARNED
from packsight.shared.catalog.manifest import Manifest, new_version, read_manifest, seal
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore
from tests.integration.test_sync import Shop, killed_before

pytestmark = pytest.mark.usefixtures("quick_syncs")


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore) -> Shop:
    return Shop(tmp_path / "shop", live_settings, store)


def began(manifest: Manifest) -> str:
    assert manifest.epoch is not None
    return manifest.epoch.began


def test_a_new_product_is_a_segment_more_of_which_alone_a_host_has_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sync()
    first = shop.snapshot()
    shop.add("9", "Soap", seed=99)
    with killed_before(monkeypatch, None) as writes:
        shop.sync()
    second = shop.snapshot()
    assert [segment.rows for segment in second.manifest.segments] == [16, 2]
    assert began(second.manifest) == first.manifest.version
    learned = [name for name in first.manifest.files if name.startswith("s0000.") or name in LEARNED]
    assert all((second.folder / name).samefile(first.folder / name) for name in learned)
    changed = {entry.sha256 for entry in second.manifest.files.values()}
    changed -= {entry.sha256 for entry in first.manifest.files.values()}
    assert writes.count("upload parts") == len(changed)
    assert second.local.features(16).descriptors.any() and second.products[8].name == "Soap"


def test_a_version_is_built_upon_where_it_was_not_built(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sync()
    first = shop.snapshot().manifest
    brought: list[str] = []
    download = ObjectStore.download

    def noted(self: ObjectStore, key: str, path: Path, **how: Any) -> None:
        brought.append(key)
        download(self, key, path, **how)

    monkeypatch.setattr(ObjectStore, "download", noted)
    parents = shop.settings.home / "parents" / "default"
    for identity, elsewhere in (("9", False), ("10", True)):
        if elsewhere:
            shutil.rmtree(parents)
        brought.clear()
        shop.add(identity, "Soap", seed=100 + int(identity))
        report = shop.sync()
        assert any("/parts/" in key for key in brought if key not in shown(first)) == elsewhere
        assert report.built is not None and began(report.built) == first.version
        assert report.version is not None and (parents / report.version / "manifest.json").exists()


def shown(manifest: Manifest) -> set[str]:
    """Parts that are read of every version that is published, to see what changes."""
    return {
        layout.part("default", entry.stored.sha256)
        for name, entry in manifest.files.items()
        if name.split(".")[0] in {"products", "photos", "prices", "texts"}
    }


def test_what_was_built_upon_is_not_kept_for_ever(shop: Shop) -> None:
    for number in range(9, 13):
        shop.add(str(number), "Soap", seed=100 + number)
        shop.sync()
    kept = {folder.name for folder in (shop.settings.home / "parents" / "default").iterdir()}
    current = shop.snapshot().manifest
    assert kept == {current.version, current.parent}


def test_of_a_published_version_that_is_damaged_nothing_is_taken_over(shop: Shop) -> None:
    shop.sync()
    first = shop.snapshot().manifest
    shutil.rmtree(shop.settings.home / "parents")
    shop.store.write(layout.part("default", first.files["s0000.thumbnails.npy"].stored.sha256), b"x")
    shop.add("9", "Soap", seed=99)
    report = shop.sync()
    assert report.built is not None and report.built.epoch is not None
    assert report.built.epoch.reason == "the files of the version before are not at hand"
    assert len(shop.snapshot().manifest.segments) == 1


def test_a_version_of_the_format_before_is_followed_by_one_of_this_though_nothing_else_is_new(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sync()
    former = tmp_path / new_version()
    shutil.copytree(shop.snapshot().folder, former)
    before = read_manifest((former / "manifest.json").read_bytes(), former.name)
    older = {"version": former.name, "format": 5, "epoch": None, "segments": (), "files": {}}
    seal(former, before.model_copy(update=older))
    shop.catalogs.upload(former)
    with monkeypatch.context() as formerly:
        formerly.setattr(Manifest, "require_format", lambda _: None)
        shop.catalogs.point(former.name, expected=shop.catalogs.current())
    report = shop.sync()
    assert report.published and report.built is not None and report.built.epoch is not None
    assert report.built.epoch.reason == "the version before has format 5"
    assert shop.snapshot().manifest.parent == former.name
    assert not shop.sync().published


def test_a_forced_sync_writes_all_anew(shop: Shop) -> None:
    shop.sync()
    shop.add("9", "Soap", seed=99)
    shop.sync()
    report = shop.sync(force=True)
    assert report.built is not None and report.built.epoch is not None
    assert (report.built.epoch.reason, len(report.built.segments)) == ("the sync was forced", 1)
