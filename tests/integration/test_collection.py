"""The collection on a real object storage and Redis, between the syncs of a shop."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from packsight.cli import app
from packsight.indexer.collection.collect import Collected, collect, collect_when_due
from packsight.indexer.collection.survey import unneeded
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import LockHeldError, collection_lock, locked, sync_lock
from packsight.indexer.phases.run import Run
from packsight.indexer.report import SyncRequest
from packsight.indexer.sync import run_sync, sync
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings, settings
from packsight.shared.storage.objects import ObjectStore
from tests.integration.test_sync import RECIPE, Shop, register

pytestmark = pytest.mark.usefixtures("quick_syncs")


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore) -> Shop:
    made = Shop(tmp_path / "shop", live_settings, store)
    made.settings = made.settings.model_copy(
        update={"catalog": made.settings.catalog.model_copy(update={"keep_versions": 1})}
    )
    for identity in "345678":
        made.remove(identity)
    return made


def later(shop: Shop, days: float, *, dry_run: bool = False) -> Collected:
    with closing(Fleet(shop.settings)) as fleet:
        register(fleet, RECIPE)
        return collect(shop.settings, shop.store, fleet, dry_run=dry_run, now=datetime.now(UTC) + timedelta(days=days))


def test_what_a_product_left_behind_goes_and_its_photos_are_described_again_when_it_comes_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packsight.indexer.state.copy.COPY_SECONDS", 0.0)  # as when the next sync comes an hour later
    shop.sync()
    shop.remove("2")
    shop.sync(force=True)
    photos = set(shop.store.list("photos/"))
    assert [pile.why for pile in unneeded(later(shop, 8, dry_run=True).found.piles)] == ["of no version"]
    assert set(shop.store.list("photos/")) == photos
    later(shop, 8)
    assert len(photos) == 4 and len(set(shop.store.list("photos/"))) == 2
    done = later(shop, 31)
    assert [(one.rows, one.needed) for one in done.packs] == [(4, 2)] * 3
    assert [(one.rows, one.needed) for one in later(shop, 31).packs] == [(2, 2)] * 3
    assert not shop.sync().published
    shop.add("2", "Cream number 2", seed=2)
    report = shop.sync(force=True)  # so small a catalog recognises itself now better, now worse
    assert (report.published, report.fetched, report.described) == (True, 2, 2)
    assert len(shop.snapshot().products) == 2


def test_beside_a_sync_of_the_catalog_its_photos_stay(shop: Shop) -> None:
    shop.sync()
    shop.store.write("photos/" + "a" * 64, b"fetched just now")
    with closing(Fleet(shop.settings)) as fleet, sync_lock(fleet.redis, "default", "a sync"):
        found = later(shop, 400).found
    assert "is in use by a sync, " in found.notes[0]
    assert shop.store.exists("photos/" + "a" * 64)
    later(shop, 400)
    assert not shop.store.exists("photos/" + "a" * 64)


def test_a_first_sync_of_another_catalog_keeps_the_features_that_it_is_at_work_with(shop: Shop) -> None:
    for identity in "345678":
        shop.add(identity, f"Cream number {identity}", seed=int(identity))
    shop.extractor.batch = 1  # each photo's features are a pack of their own: enough of them to be put together
    notes: list[str] = []

    def collected(step: str, done: int, _: int) -> None:
        if (step, done) == ("made", 0):
            notes.extend(later(shop, 0).found.notes)

    with closing(Fleet(shop.settings)) as fleet, sync_lock(fleet.redis, "other", "a sync") as lease:
        register(fleet, RECIPE)
        request = SyncRequest(shop.write(), catalog="other")
        report = sync(Run(request, shop.settings, shop.store, fleet, shop.extractor, lease, collected))
    assert report.published
    assert [note.startswith("Catalog other is in use by a sync, ") for note in notes] == [True]
    assert not later(shop, 0).found.notes


def test_beside_a_collection_no_catalog_is_begun_and_no_other_collection(shop: Shop) -> None:
    shop.sync()
    request = SyncRequest(shop.write(), catalog="other")
    with closing(Fleet(shop.settings)) as fleet, collection_lock(fleet.redis):
        with pytest.raises(LockHeldError, match=r"in use by a collection, .+ cannot know what the new catalog other needs"):
            run_sync(request, shop.settings)
        with pytest.raises(LockHeldError, match="in use by a collection"):
            later(shop, 0)
        assert locked(fleet.redis) == set()
        known = replace(request, catalog="default", photos=str(shop.folder / "extra"))  # its own lock is enough
        assert not run_sync(known, shop.settings).published


def test_whoever_submits_while_uploads_are_collected_learns_of_it(shop: Shop) -> None:
    with closing(Ledger(shop.settings)) as ledger:
        before = ledger.removals.seen()
        later(shop, 8)
        assert ledger.removals.seen() == before, "there were none to remove"
        shop.store.write(f"uploads/{'a' * 64}", b"photo")
        later(shop, 8)
        assert not shop.store.exists(f"uploads/{'a' * 64}")
        assert ledger.removals.since(before)


def test_the_indexer_collects_when_it_is_time(shop: Shop) -> None:
    shop.sync()
    assert collect_when_due(shop.settings) is not None
    assert collect_when_due(shop.settings) is None
    stamp = shop.settings.home / "indexer" / "collected"
    for long_ago in (time.time() - 25 * 3600, time.time() + 3600):  # the clock was an hour ahead then
        os.utime(stamp, (long_ago, long_ago))
        assert collect_when_due(shop.settings) is not None


def test_the_command_says_what_lies_there(shop: Shop, live_environment: None) -> None:
    shop.sync()
    settings.cache_clear()
    try:
        runner = CliRunner()
        told = json.loads(runner.invoke(app, ["storage", "--json"], catch_exceptions=False).stdout)
        text = runner.invoke(app, ["storage"], catch_exceptions=False).stdout
        dry = runner.invoke(app, ["storage", "collect", "--dry-run"], catch_exceptions=False).stdout
    finally:
        settings.cache_clear()
    assert sum(pile["objects"] for pile in told["piles"]) == len(list(shop.store.list("")))
    assert {pile["room"] for pile in told["piles"]} == {"catalogs/default/", "photos/", "features/"}
    assert told["versions"] == [
        {"catalog": "default", "version": told["versions"][0]["version"], "own": told["versions"][0]["own"], "shared": 0}
    ]
    assert "parts of one version" in text and "of versions" in text
    assert "0 objects that nothing needs would be removed" in dry
