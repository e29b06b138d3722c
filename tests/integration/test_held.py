"""Syncs of a catalog that somebody went back with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from packsight.deploy import display, doctor, status
from packsight.deploy.stack.state import StackFolder
from packsight.indexer import tasks
from packsight.indexer.collection.collect import collect
from packsight.indexer.extraction import UndescribedError
from packsight.indexer.fleet import Fleet
from packsight.indexer.undecided import CanaryError, HeldError
from packsight.indexer.watching.catalogs import Catalogs
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.messages import Part
from packsight.shared.contract.outcomes import DescribeResult
from packsight.shared.metrics import table
from packsight.shared.queue import syncs
from packsight.shared.queue.connection import result_database
from packsight.shared.storage import layout
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Kind
from tests.integration.test_canary import Trying, named, run, shop
from tests.integration.test_sync import RECIPE, photo, register
from tests.unit.test_verdicts import verdict

__all__ = ["shop"]

pytestmark = pytest.mark.usefixtures("quick_syncs")

OTHER = RECIPE.model_copy(update={"details": "details-of-tomorrow"})
IDLE = RECIPE.model_copy(update={"spotter": "none-000000000002"})


@pytest.fixture
def gone_back(shop: Trying) -> tuple[str, str]:
    """The version that is served, and the one that was gone back from."""
    first = str(shop.sync().version)
    shop.names["3"] = "Lotion of roses"
    second = str(shop.sync().version)
    told = " ".join(run("rollback", "--no-wait").stdout.split())
    assert f"is at {first} now, and stays there: no sync publishes until `packsight catalog resume`" in told
    return first, second


def test_no_sync_undoes_a_rollback_until_somebody_resumes(
    shop: Trying, gone_back: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = gone_back
    for _ in range(2):
        with pytest.raises(HeldError, match=rf"(?s)stays at {first}, .*went back from {second} at .*catalog resume"):
            shop.sync()
    shop.names["4"] = "Soap of roses"  # a change by chance is not the mending
    monkeypatch.setattr(tasks, "settings", lambda: shop.settings)
    monkeypatch.setattr("packsight.indexer.sync.run_sync", lambda *_: shop.sync())
    assert "went back" in tasks.sync_catalog()["skipped"]
    assert (shop.settings.home / "indexer" / "collected").exists(), "what clients send is cleared away meanwhile"
    assert named(shop) == (first, None)
    with closing(Fleet(shop.settings)) as fleet:
        register(fleet, RECIPE)
    dry = run("sync", "--feed", shop.write(), "--photos", str(shop.folder / "extra"), "--dry-run")
    assert dry.exit_code == 1 and f"would be refused: Catalog default stays at {first}" in " ".join(dry.output.split())
    told = " ".join(run("resume").stdout.split())
    assert "The next sync of catalog default publishes what the feed says then" in told
    assert "Nothing holds catalog default" in run("resume").stdout
    report = shop.sync()
    assert report.published and named(shop) == (report.version, None)
    assert report.built is not None and report.built.parent == first


def test_a_rollback_lasts_though_the_clock_of_who_made_the_version_was_behind(
    shop: Trying, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as ahead:
        ahead.setattr("packsight.indexer.phases.built.new_version", lambda _: "29990101T000000-000abc")
        first = shop.sync()
    shop.names["3"] = "Lotion of roses"
    shop.prices = {"3": "10.00"}
    second = shop.sync()
    shop.prices = {"3": "12.50"}
    third = shop.sync()
    assert str(first.version) < str(second.version) < str(third.version)
    run("rollback", "--no-wait")
    assert named(shop) == (second.version, None)
    with pytest.raises(HeldError, match=f"went back from {third.version}"):
        shop.sync()


def test_whoever_goes_back_is_told_of_workers_that_stay(shop: Trying, gone_back: tuple[str, str]) -> None:
    shop.recipes = [OTHER]
    other = str(shop.sync().version)
    shop.recipes = [RECIPE]
    run("resume")
    report = shop.sync()
    with closing(Fleet(shop.settings)) as fleet:
        register(fleet, RECIPE)
    told = " ".join(run("rollback", "--no-wait").stdout.split())
    assert report.published and f"stay at {other}, and syncs go on for them alone; with --all they go back too" in told


def test_whoever_goes_back_over_a_damaged_pointer_is_told_of_workers_without_a_version(shop: Trying) -> None:
    shop.recipes = [OTHER, RECIPE]
    shop.sync()
    current = shop.catalogs.current()
    assert current is not None
    version = str(current.version_for(RECIPE))
    lacks = "workers of another recipe that are up have no version now"
    with closing(Fleet(shop.settings)) as fleet:
        register(fleet, RECIPE, OTHER)
    assert lacks not in " ".join(run("rollback", version, "--no-wait").stdout.split())
    shop.store.write(layout.pointer("default"), b"{")
    assert lacks in " ".join(run("rollback", version, "--no-wait").stdout.split())


def test_workers_that_describe_nothing_keep_no_others_from_their_version(shop: Trying) -> None:
    describe = shop.extractor.extract
    idle = [IDLE]

    def extract(recipe: Recipe, references: Sequence[str], parts: Sequence[Part]) -> Iterator[DescribeResult]:
        if recipe in idle:
            raise UndescribedError("No worker takes work that could describe photos: b: storage: away.")
        return describe(recipe, references, parts)

    shop.extractor.extract = extract  # type: ignore[method-assign]
    shop.recipes = [IDLE, RECIPE]
    report = shop.sync()
    assert any("some workers keep the version that they have: No worker takes work" in note for note in report.notes)
    current = shop.catalogs.current()
    assert current is not None
    assert (current.version_for(RECIPE), current.version_for(IDLE)) == (report.version, None)
    assert not shop.sync().published
    idle.clear()
    assert shop.sync().published, "once they describe again they get theirs"
    shop.names["4"] = "Soap of roses"
    assert shop.sync().published
    current = shop.catalogs.current()
    assert current is not None and len(set(current.versions.values())) == 2
    shop.recipes = idle = [RECIPE.model_copy(update={"spotter": "none-000000000003"})]
    with pytest.raises(UndescribedError):
        shop.sync()


def test_a_forced_sync_ends_it_for_all_recipes_and_says_so(shop: Trying, gone_back: tuple[str, str]) -> None:
    report = shop.sync(force=True)
    assert any("stays at" in note and "takes the place" in note for note in report.notes)
    current = shop.catalogs.current()
    assert current is not None and (current.holds, current.version) == ({}, report.version)
    shop.names["4"] = "Soap of roses"
    assert shop.sync().published


def test_a_trial_beside_what_is_held_ends_no_hold(shop: Trying, gone_back: tuple[str, str]) -> None:
    first, _ = gone_back
    report = shop.sync(force=True, canary=0.2)
    assert any("tried beside it" in note for note in report.notes)
    error = run("resume").exception
    assert isinstance(error, CanaryError), "what else has to be decided is said"
    shop.sync(force=True, canary=0.2)
    run("rollback", "--no-wait")
    assert named(shop) == (first, None)


def test_a_photo_that_was_reviewed_meanwhile_is_there_for_the_sync_after(shop: Trying, gone_back: tuple[str, str]) -> None:
    picture = photo(77)
    sha256 = hashlib.sha256(picture).hexdigest()
    key = f"{layout.UPLOADS}{sha256}"
    shop.store.write(key, picture)
    shop.store.write(f"{layout.UPLOADS}{'a' * 64}", b"of nobody")
    image = layout.address(shop.store.bucket, key)
    ReviewStore(shop.store, "default").add([verdict(Kind.RIGHT, sha256=sha256, image=image)])
    with closing(Fleet(shop.settings)) as fleet:
        later = datetime.now(UTC) + timedelta(days=60)
        collect(shop.settings, shop.store, fleet, unsure="no sync succeeds", now=later)
    assert shop.store.exists(key) and not shop.store.exists(f"{layout.UPLOADS}{'a' * 64}")


def test_workers_of_a_new_recipe_get_a_version_while_others_are_held(shop: Trying, gone_back: tuple[str, str]) -> None:
    first, _ = gone_back
    shop.recipes = [RECIPE, OTHER]
    report = shop.sync()
    assert report.published and any("only other workers get a version" in note for note in report.notes)
    current = shop.catalogs.current()
    assert current is not None
    assert (current.version_for(RECIPE), current.version_for(OTHER)) == (first, report.version)
    shop.names["4"] = "Soap of roses"
    shop.recipes = [OTHER]
    assert shop.sync().published, "a hold for workers that are gone keeps nobody back"
    shop.recipes = [RECIPE]
    with pytest.raises(HeldError, match=f"stays at {first} for some of the workers"):
        shop.sync()
    run("resume")
    shop.recipes = [RECIPE, OTHER]
    shop.sync()
    current = shop.catalogs.current()
    assert current is not None and first not in current.versions.values()
    assert not shop.sync().published, "all is as it should be for both"


def test_what_others_get_is_compared_with_what_they_have(shop: Trying) -> None:
    shop.recipes = [RECIPE, OTHER]
    shop.sync()
    shop.remove("3")
    shop.remove("4")
    shop.sync(force=True)
    with closing(Fleet(shop.settings)) as fleet:
        register(fleet, RECIPE)
    run("rollback", "--no-wait")
    held = named(shop)
    shop.names["2"] = "Lotion of roses"
    shop.recipes = [OTHER]
    report = shop.sync()
    assert report.published and (report.removed, report.changed) == (0, 1), "two fewer than what is held, none than theirs"
    assert named(shop) == held and report.built is not None and report.built.recipe == OTHER


def test_each_of_several_others_is_compared_with_its_own(shop: Trying) -> None:
    third = RECIPE.model_copy(update={"details": "details-of-a-third"})
    shop.recipes = [RECIPE, OTHER, third]
    shop.sync()
    shop.names["1"] = "Lotion of roses"
    shop.sync()
    with closing(Fleet(shop.settings)) as fleet:
        register(fleet, RECIPE)
    run("rollback", "--no-wait")
    shop.names["2"] = "Soap of roses"
    for shop.recipes in ([OTHER, third], [third, OTHER]):
        shop.sync()
        before = named(shop)
        assert not shop.sync().published and named(shop) == before, "nothing has changed for either"


def test_whoever_watches_is_told(shop: Trying, gone_back: tuple[str, str], tmp_path: Path) -> None:
    first, second = gone_back
    why = f"Catalog default stays at {first}, to which somebody went back from {second}"
    for command in ("show", "versions"):
        assert why in " ".join(run(command).stdout.split())
    with result_database(shop.settings) as client:
        syncs.note(client, "default", syncs.Ending.HELD_BACK, 1.0, why=f"{why}.")
    seen = status.observe(StackFolder(tmp_path / "none"), shop.settings)
    with Console(width=200, record=True) as console:
        display.status(console, seen)
    assert f"! {why}" in console.export_text()
    findings = list(doctor._workers(shop.settings, StackFolder(tmp_path / "none")))
    (found,) = [finding for finding in findings if why in finding.text]
    assert found.level is doctor.Level.NOTE and "packsight catalog resume" in found.text
    with closing(Fleet(shop.settings)) as fleet:
        figures = Catalogs(shop.settings, shop.store, fleet)
        (since,) = [sample.value for sample in figures.look() if sample.metric == table.HELD.name]
        run("resume")
        assert table.HELD.name not in {sample.metric for sample in figures.look()}
    current = shop.catalogs.current()
    assert current is not None and current.changed_at is not None and 0 <= current.changed_at.timestamp() - since < 60
