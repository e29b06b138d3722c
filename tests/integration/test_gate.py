"""Syncs that the gate stops, what is kept of them, and what the commands say of versions: real store and Redis."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from packsight.indexer import cli, commands, looking
from packsight.indexer.build.version import build_version
from packsight.indexer.examination import Examination, RefusedError
from packsight.indexer.fleet import Fleet
from packsight.indexer.gate.parameters import GATE
from packsight.indexer.publish import prune, roll_back
from packsight.indexer.refused import prune_refused
from packsight.indexer.rehearsal import rehearse
from packsight.indexer.report import SyncReport, SyncRequest
from packsight.indexer.version_report.keeping import Reports
from packsight.indexer.version_report.summary import Summary, Verdict
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.contract.errors import UserError
from packsight.shared.queue.jobs_ledger import JobsLedger
from packsight.shared.settings import Fetch, Settings
from packsight.shared.storage.jobs import JobImage, JobManifest, JobStore
from packsight.shared.storage.objects import ObjectStore
from tests.integration.test_sync import RECIPE, Shop, photo, register

pytestmark = pytest.mark.usefixtures("little_learned")


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore) -> Shop:
    return Shop(tmp_path / "shop", live_settings, store)


@pytest.fixture
def reports(store: ObjectStore) -> Reports:
    return Reports(store, "default")


def limit(shop: Shop, **limits: object) -> None:
    """Set limits of the catalog."""
    catalog = shop.settings.catalog.model_copy(update=limits)
    shop.settings = shop.settings.model_copy(update={"catalog": catalog})


def summary(reports: Reports, version: str | None) -> Summary:
    found = reports.summary(version or "")
    assert found is not None
    return found


def refused(shop: Shop) -> Summary:
    with pytest.raises(RefusedError) as caught:
        shop.sync()
    for reason in caught.value.summary.reasons:
        assert reason.text in str(caught.value)
    return caught.value.summary


def pointed(shop: Shop) -> str:
    current = shop.catalogs.current()
    assert current is not None
    return current.version


def placeholders(shop: Shop) -> None:
    for identity in shop.names:
        shop.main(identity).write_bytes(photo(4711))


def test_a_version_is_kept_with_a_report_that_names_what_changed_and_what_to_see_to(shop: Shop, reports: Reports) -> None:
    first = shop.sync()
    assert summary(reports, first.version).verdict is Verdict.ACCEPTED
    limit(shop, max_loss=0.3)
    shop.further = '<offer id=""><name>Nameless</name><picture>main/1.jpg</picture></offer>'
    shop.names |= {"3": "Soap", "4": "Soap", "bare": "Only a name"}
    shop.remove("2")
    shop.main("5").write_bytes(photo(1))  # that of another product
    shop.main("6").write_bytes(photo(6)[:700])
    (shop.folder / "extra" / "code7" / "1.png").unlink()
    second = shop.sync()
    told = summary(reports, second.version)
    assert (told.verdict, told.parent, told.levels.products) == (Verdict.ACCEPTED, first.version, 8)
    lists: dict[str, list[dict[str, str]]] = {}
    for line in reports.lines(second.version or ""):
        lists.setdefault(line.pop("list"), []).append(line)
    assert {name: len(rows) for name, rows in lists.items()} == {name: n for name, n in told.counts.items() if n}
    assert [row["name_before"] for row in lists["renamed"]] == ["Cream number 3", "Cream number 4"]
    assert [row["id"] for row in lists["gone"]] == ["2"]
    assert [row["id"] for row in lists["added"]] == ["bare"]
    assert [row["fields"] for row in lists["changed"]] == ["name", "name"]
    assert sorted(row["id"] for row in lists["photos"]) == ["5", "7"]
    assert [row["source"] for row in lists["failed"]] == ["main/6.jpg", "main/bare.jpg"]
    assert [row["id"] for row in lists["one_photo"]] == ["7"]
    assert [row["id"] for row in lists["no_photo"]] == ["bare"]
    assert [row["first"] for row in lists["shared_pictures"]] == ["1, 5"]
    assert ("4", "3", "same name") in [(row["id"], row["like"], row["why"]) for row in lists["twins"]]
    assert any("own photos" in line for line in told.compared)
    assert any("offers without an id, left out: 1" in line for line in told.notes), "as catalog show has it"


def test_syncs_that_each_lose_less_than_allowed_are_stopped_before_a_photo_is_fetched_and_force_goes_on_from_there(
    shop: Shop, reports: Reports, config: Settings
) -> None:
    for number in (9, 10):
        shop.add(str(number), f"Cream number {number}", seed=number)
    shop.sync()
    shop.remove("1")
    shop.remove("2")
    served = shop.sync().version
    shop.remove("3")
    shop.main("4").write_bytes(photo(404))
    told = refused(shop)
    assert (told.verdict, pointed(shop)) == (Verdict.EMPTY, served)
    assert {reason.gate for reason in told.reasons} == {"fewer products", "fewer names"}
    assert [one.version for one in reports.unbuilt()] == [told.version]
    assert not shop.store.exists(f"catalogs/default/versions/{told.version}/manifest.json")
    for command in (("show",), ("rollback",), ("product", "5", "--version"), ("diff", str(served))):
        wrong = run(*command, told.version).exception
        assert isinstance(wrong, UserError) and "was refused before anything was built: `packsight catalog report" in str(wrong)
    forced = summary(reports, shop.sync(force=True).version)
    assert forced.verdict is Verdict.FORCED
    assert {"fewer products", "fewer names"} <= {reason.gate for reason in forced.reasons}
    shop.remove("4")  # seven were published in spite of it: they are the measure
    assert shop.sync().published


def test_a_version_that_is_refused_is_kept_marked_and_unpointed_and_can_be_let_be_served(shop: Shop, reports: Reports) -> None:
    served = shop.sync().version
    placeholders(shop)
    told = refused(shop)
    assert [reason.gate for reason in told.reasons] == ["fewer pictures"]
    assert (told.verdict, pointed(shop)) == (Verdict.REFUSED, served)
    kept = shop.catalogs.manifest(told.version)
    assert kept.refused == tuple(reason.text for reason in told.reasons)
    assert prune(shop.catalogs, 1, [RECIPE]) == []
    assert roll_back(shop.catalogs, told.version, [RECIPE]) == [told.version]
    assert not shop.sync().published, "what was refused is what the shop has"
    assert len(list(reports.lines(told.version))) == sum(told.counts.values())


def test_a_first_version_with_one_picture_for_all_is_refused_and_can_be_looked_at_and_let_be_served(
    shop: Shop, reports: Reports, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packsight.indexer.phases.run.Examination", partial(Examination, parameters=replace(GATE, placeholder=8)))
    placeholders(shop)
    told = refused(shop)
    assert [reason.gate for reason in told.reasons] == ["one picture for many"]
    assert "One picture stands for 8 of 8 products (main/1.jpg" in told.reasons[0].text
    assert "PACKSIGHT_CATALOG__MAX_PLACEHOLDER" in told.reasons[0].text
    assert any("stands for 8 products" in note for note in told.notes)
    assert shop.catalogs.current() is None
    assert "One picture stands for 8 of 8" in run("report", told.version).stdout
    assert isinstance(run("show").exception, UserError), "none is served yet"
    assert run("rollback", told.version, "--no-wait").exit_code == 0
    assert pointed(shop) == told.version
    forced = summary(reports, shop.sync(force=True).version)
    assert forced.verdict is Verdict.ACCEPTED, "it stood for as many before"


def test_pictures_for_which_a_version_was_refused_are_asked_for_again(shop: Shop, reports: Reports) -> None:
    def upload(folder: str, seed: int | None = None) -> None:
        for identity in shop.names:
            shop.store.write(f"pictures/{folder}/{identity}.jpg", photo(int(identity) if seed is None else seed))
            shop.pictures[identity] = f"s3://{shop.store.bucket}/pictures/{folder}/{identity}.jpg"

    shop.settings = shop.settings.model_copy(update={"fetch": Fetch(allowed_prefixes=(f"s3://{shop.store.bucket}/pictures/",))})
    upload("one")
    shop.sync()
    upload("two", seed=99)  # a server that shows one picture for all
    assert "fewer pictures" in {reason.gate for reason in refused(shop).reasons}
    upload("two")
    assert shop.sync().published, "the server was mended"


def test_whoever_goes_back_or_resumes_is_told_what_the_next_sync_does(
    shop: Shop, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = str(shop.sync().version)
    shop.names["3"] = "Lotion of roses"
    second = str(shop.sync().version)
    run("rollback", first, "--no-wait")
    told = " ".join(run("rollback", second, "--no-wait").stdout.split())
    assert f"at {second} now. The next sync starts from it, and publishes what the feed says then." in told, "forward again"
    assert not shop.sync().published, "as it was told"
    catalog = shop.settings.catalog.model_copy(update={"feed": "feed.xml", "sync_seconds": 900.0})
    monkeypatch.setattr("packsight.indexer.commands.settings", lambda: shop.settings.model_copy(update={"catalog": catalog}))
    run("rollback", first, "--no-wait")
    assert "(by itself within 15 minutes)" in " ".join(run("resume").stdout.split())


def test_only_the_last_refused_versions_are_kept_and_none_for_long(shop: Shop, reports: Reports) -> None:
    limit(shop, keep_refused=1)
    served = shop.sync().version
    placeholders(shop)
    first = refused(shop)
    shop.names["3"] = "Lotion of roses"
    second = refused(shop)
    assert [one.version for one in shop.catalogs.versions()] == [served, second.version]
    assert reports.versions() == [served, second.version]
    assert prune_refused(shop.catalogs, reports, 1, timedelta(days=1)) == []
    assert prune_refused(shop.catalogs, reports, 1, timedelta(0)) == [second.version]
    assert first.version not in reports.versions()


def test_where_nothing_refused_is_kept_nobody_is_sent_to_a_report_that_is_gone(shop: Shop, reports: Reports) -> None:
    limit(shop, keep_refused=0)
    served = shop.sync().version
    for lack in (placeholders, lambda shop: [shop.remove(identity) for identity in "5678"]):
        lack(shop)
        with pytest.raises(RefusedError) as refusal:
            shop.sync()
        assert reports.versions() == [served]
        assert "catalog report" not in str(refusal.value)


def test_what_was_refused_is_not_built_again_to_be_refused_again_unless_something_changed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sync()
    placeholders(shop)
    first = refused(shop)
    built: list[str] = []

    def build(folder: Path, **words: Any) -> Manifest:
        built.append(words["catalog"])
        return build_version(folder, **words)

    monkeypatch.setattr("packsight.indexer.phases.built.build_version", build)
    assert refused(shop).version == first.version
    assert built == []
    limit(shop, max_loss=0.5)
    assert shop.sync().published
    assert built == ["default"]


def test_stored_queries_are_asked_of_both_versions_and_changed_answers_are_refused(shop: Shop, reports: Reports) -> None:
    first = shop.sync()
    queries = shop.folder / "queries"
    queries.mkdir()
    for number in (1, 2, 3, 4):
        (queries / f"{number}.jpg").write_bytes(photo(number))
    (queries / "notes.txt").write_text("no photo")
    limit(shop, queries=str(queries))
    shop.names["8"] = "Lotion of roses"
    second = shop.sync()
    assert any(f"of 4 that {first.version} was asked too, 0" in line for line in summary(reports, second.version).compared)
    described = len(shop.extractor.asked)
    pictures = {one: shop.main(one).read_bytes() for one in "1234"}
    for one, other in zip("1234", "2341", strict=True):
        shop.main(one).write_bytes(pictures[other])
    told = refused(shop)
    assert [reason.gate for reason in told.reasons] == ["other answers"]
    assert len(shop.extractor.asked) == described, "they are described once"
    changed = [line for line in reports.lines(told.version) if line["list"] == "answers"]
    assert [(line["query"], line["from"], line["to"]) for line in changed] == [
        ("1.jpg", "1", "4"), ("2.jpg", "2", "1"), ("3.jpg", "3", "2"), ("4.jpg", "4", "3"),
    ]  # fmt: skip
    assert {line["to_picture"] for line in changed} == {f"main/{one}.jpg" for one in "1234"}


def test_queries_that_are_not_there_are_told_and_stop_nothing(shop: Shop, reports: Reports) -> None:
    queries = shop.folder / "queries"
    queries.mkdir()
    (queries / "broken.jpg").write_bytes(photo(1)[:500])
    limit(shop, queries=str(queries))
    assert any("broken.jpg" in note for note in summary(reports, shop.sync().version).notes)
    limit(shop, queries=str(shop.folder / "nowhere"))
    shop.names["8"] = "Lotion of roses"
    with pytest.raises(UserError, match="PACKSIGHT_CATALOG__QUERIES"):
        shop.sync()


def submitted(shop: Shop, job: str, *photos: bytes) -> None:
    """A job that asked about photos from a disk."""
    images = []
    for number, data in enumerate(photos):
        sha256 = hashlib.sha256(data).hexdigest()
        shop.store.write(f"uploads/{sha256}", data)
        reference = f"s3://{shop.store.bucket}/uploads/{sha256}"
        images.append(JobImage(reference=reference, name=f"{job}-{number}.jpg", sha256=sha256))
    JobStore(shop.store).create(JobManifest(job=job, images=len(images)), images)


def test_photos_of_jobs_are_asked_of_both_versions_and_new_ones_wait_while_a_job_is_under_way(
    shop: Shop, reports: Reports
) -> None:
    submitted(shop, "20260101-a", *(photo(number) for number in (1, 2, 3, 4)), photo(5)[:500])
    first = shop.sync()
    assert not [note for note in summary(reports, first.version).notes if "stored quer" in note], "nobody keeps those of jobs"
    described = len(shop.extractor.asked)
    ledger = JobsLedger(Fleet(shop.settings).redis, 100)
    ledger.register("20260102-b", 1)
    submitted(shop, "20260102-b", photo(77))
    pictures = {one: shop.main(one).read_bytes() for one in "1234"}
    for one, other in zip("1234", "2341", strict=True):
        shop.main(one).write_bytes(pictures[other])
    told = refused(shop)
    assert [reason.gate for reason in told.reasons] == ["other answers"]
    assert "4 of 4 stored queries" in told.reasons[0].text
    assert len(shop.extractor.asked) == described, "those of jobs wait"
    ledger.forget("20260102-b")
    assert refused(shop).version == told.version, "photos of jobs that came make no other case"
    limit(shop, max_changed_answers=0.99)
    second = shop.sync()
    assert any(f"of 5 that {first.version} was asked too, 4" in line for line in summary(reports, second.version).compared)
    assert {"20260101-a-0.jpg"} <= {line["query"] for line in reports.lines(second.version or "") if line["list"] == "answers"}


def rehearsed(shop: Shop) -> list[str]:
    request = SyncRequest(shop.write(), str(shop.folder / "extra"), dry_run=True)
    before = sorted(shop.store.list(""))
    found = rehearse(request, shop.settings)
    assert sorted(shop.store.list("")) == before, "nothing is written"
    assert found.pictures == 2 * len(shop.names)
    return [reason.gate for reason in found.summary.reasons]


def test_a_rehearsal_says_what_the_feed_would_change_and_writes_nothing(shop: Shop, live_settings: Settings) -> None:
    shop.sync()
    shop.names["3"] = "Lotion"
    shop.add("9", "Soap", seed=9)
    assert rehearsed(shop) == []
    for identity in "12345":
        shop.remove(identity)
    assert rehearsed(shop) == ["lost", "fewer products", "fewer names"]


def test_a_rehearsal_sees_which_products_no_picture_is_named_for_any_more(shop: Shop) -> None:
    shop.sync()
    feed = Path(shop.write())
    for identity in "123":
        feed.write_text(feed.read_text().replace(f"<picture>main/{identity}.jpg</picture>", ""))
    found = rehearse(SyncRequest(str(feed), "", dry_run=True), shop.settings)
    assert [reason.gate for reason in found.summary.reasons] == ["lost"]
    assert (found.summary.counts["photoless"], found.pictures) == (3, 5)
    with_extras = rehearse(SyncRequest(str(feed), str(shop.folder / "extra"), dry_run=True), shop.settings)
    assert not with_extras.summary.reasons


@pytest.fixture
def config(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for module in (commands, looking):
        monkeypatch.setattr(module, "settings", lambda: shop.settings)
    monkeypatch.setattr(commands.out, "_width", 200)
    return shop.settings


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["catalog", *words])


def sync_twice(shop: Shop) -> tuple[SyncReport, SyncReport]:
    first = shop.sync()
    shop.names["3"] = "Lotion of roses"
    shop.main("5").write_bytes(photo(55))
    return first, shop.sync()


def test_the_commands_that_look_show_reports_differences_and_products(
    config: Settings, shop: Shop, reports: Reports, tmp_path: Path
) -> None:
    first, second = sync_twice(shop)
    page, lines = tmp_path / "report.html", tmp_path / "report.jsonl"
    text = run("report", "--html", str(page), "--jsonl", str(lines)).stdout
    assert f"default {second.version}: accepted" in text
    assert "Products with another name" in text
    assert "<td>Lotion of roses</td>" in page.read_text()
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {"list": "renamed", "id": "3", "name": shop.names["3"], "name_before": "Cream number 3"} in told
    found = run("diff", first.version or "", second.version or "", "--jsonl", str(lines)).stdout
    assert "Cream number 3" in found
    assert "Products with other photos: 1" in found
    differs = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {"list": "renamed", "id": "3", "name": shop.names["3"], "name_before": "Cream number 3"} in differs
    assert {line["list"] for line in differs} == {"renamed", "changed", "photos", "repictured"} & {line["list"] for line in told}
    assert "hold the same" in run("diff", first.version or "", first.version or "").stdout
    for command in (("diff", first.version or "", "nope"), ("show", "nope")):
        wrong = run(*command).exception
        assert isinstance(wrong, UserError) and "has no version nope. `packsight catalog versions" in str(wrong)
    product = run("product", "5").stdout
    assert "main/5.jpg" in product
    assert "Most like it" in product
    assert f"word{hashlib.sha256(photo(55)).hexdigest()[:6]}" in product.partition("\nWords")[2]
    right = [one.right for one in reports.answers(second.version or "") if one.photo.product == "5"]
    assert len(right) == 2
    assert (product.count("recognised"), product.count("taken for")) == (sum(right), 2 - sum(right))
    assert isinstance(run("product", "none").exception, UserError)
    assert isinstance(run("report", "v9").exception, UserError)


def test_refusals_are_listed_and_a_dry_run_exits_with_1(
    config: Settings, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sync()
    placeholders(shop)
    kept = refused(shop)
    for identity in "1234":
        shop.remove(identity)
    unbuilt = refused(shop)
    text = run("versions").stdout
    assert any("refused" in line and kept.version in line for line in text.splitlines())
    assert f"{unbuilt.version} was refused before anything was built" in text
    assert "distinct pictures" in run("report", kept.version).stdout
    with closing(Fleet(shop.settings)) as fleet:
        register(fleet, RECIPE)
    dry = run("sync", "--feed", shop.write(), "--photos", str(shop.folder / "extra"), "--dry-run")
    assert dry.exit_code == 1
    assert "would be refused: Of the 8 products" in dry.stdout
    assert "no photo was looked at" in dry.stdout
