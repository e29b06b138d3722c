"""A version that is tried on a share of the messages: by syncs, on workers' hosts, in children, by commands."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from redis.exceptions import NoPermissionError
from rich.console import Console
from typer.testing import CliRunner, Result

from packsight.deploy import display, doctor, status
from packsight.deploy.stack.state import StackFolder
from packsight.indexer import cli, commands, tasks
from packsight.indexer.examination import RefusedError
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import sync_lock
from packsight.indexer.phases.run import Run
from packsight.indexer.report import SyncReport, SyncRequest
from packsight.indexer.sync import sync
from packsight.indexer.undecided import CanaryError
from packsight.shared.catalog.canary import Canary
from packsight.shared.catalog.manifest import seal
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import RecognizeRequest
from packsight.shared.contract.outcomes import Outcome, Provenance, Status
from packsight.shared.queue import registry, syncs, tried
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.registry import ChildEntry
from packsight.shared.settings import Settings
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import LocalPointer, read_local_pointer, versions_folder
from packsight.worker.catalogs.replica import Replica
from packsight.worker.catalogs.snapshots import Catalogs
from packsight.worker.pipeline.pipeline import Pipeline
from packsight.worker.queue.counting import count
from tests.integration.test_shown_anew import Priced
from tests.integration.test_sync import RECIPE, Held, register
from tests.trust import UNCHECKED
from tests.unit.matching_catalog import RECIPE as MATCHING
from tests.unit.matching_catalog import shop as small

MESSAGES = [f"20260101-120000-abcdef-{number:06d}" for number in range(200)]


pytestmark = pytest.mark.usefixtures("quick_syncs")


class Trying(Priced):
    """A shop of four products whose syncs may try what they build."""

    def sync(self, *, force: bool = False, all_pictures: bool = False, canary: float = 0.0) -> SyncReport:
        request = SyncRequest(self.write(), str(self.folder / "extra"), force=force, all_pictures=all_pictures, canary=canary)
        with closing(Fleet(self.settings)) as fleet:
            register(fleet, *self.recipes)
            return sync(Run(request, self.settings, self.store, fleet, self.extractor, Held()))


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Trying:
    made = Trying(tmp_path / "shop", live_settings, store)
    for identity in "5678":
        made.remove(identity)
    monkeypatch.setattr(commands, "settings", lambda: live_settings)
    monkeypatch.setattr(commands.out, "_width", 200)
    return made


def named(shop: Trying) -> tuple[str | None, str | None]:
    current = shop.catalogs.current()
    assert current is not None
    canary = current.canary_for(RECIPE)
    return current.version_for(RECIPE), canary.version if canary is not None else None


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["catalog", *words])


def test_a_canary_is_tried_beside_the_current_version_and_promoted(shop: Trying, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shop.sync(canary=0.2)
    assert (named(shop), first.canary) == ((first.version, None), 0.0), "the first version has none to stand beside"
    assert any(note.startswith("published for all messages") for note in first.notes)
    shop.names["3"] = "Lotion of roses"
    report = shop.sync(canary=0.2)
    assert report.built is not None
    second = report.built.version
    assert (named(shop), report.canary) == ((first.version, second), 0.2)
    assert (report.version, report.built.parent) == (first.version, first.version)
    shop.names["4"] = "Soap of roses"
    with pytest.raises(CanaryError, match=rf"(?s){second} for 0.2 of the messages.*promote --catalog default.*rollback"):
        shop.sync()
    with closing(Fleet(shop.settings)) as fleet:
        register(fleet, RECIPE)
    dry = run("sync", "--feed", shop.write(), "--photos", str(shop.folder / "extra"), "--dry-run")
    assert dry.exit_code == 1 and f"would be refused: Catalog default has a canary, {second}" in dry.output
    monkeypatch.setattr(tasks, "settings", lambda: shop.settings)
    monkeypatch.setattr("packsight.indexer.sync.run_sync", lambda *_: shop.sync())
    assert "has a canary" in tasks.sync_catalog()["skipped"]
    lines = [line for line in run("versions").stdout.splitlines() if f"{first.version}" in line or second in line]
    assert ["CURRENT" in lines[0], "canary" in lines[1]] == [True, True]
    assert f"Canary: {second} answers 0.2 of the messages" in run("show").stdout
    result = run("promote", "--no-wait")
    assert f"is at {second} now" in result.stdout
    assert named(shop) == (second, None)
    shop.names["4"] = "Cream number 4"
    assert not shop.sync().published, "what was promoted is what the shop has"
    assert run("rollback", "--no-wait").exit_code == 0
    assert named(shop) == (first.version, None)


def test_what_was_given_up_is_not_published_by_the_next_sync_unless_something_changed_or_it_is_forced(shop: Trying) -> None:
    first = shop.sync()
    shop.names["3"] = "Lotion of roses"
    tried_one = shop.sync(canary=0.2).built
    assert tried_one is not None
    text = run("rollback", "--no-wait").stdout
    assert tried_one.version in text and "refused" in text
    assert named(shop) == (first.version, None)
    for share in (0.0, 0.2):
        with pytest.raises(RefusedError, match=r"(?s)tried on 0\.2 of the messages and given up.*--force"):
            shop.sync(canary=share)
    assert "given up" in run("show", tried_one.version).stdout
    shop.names["3"] = "Lotion of lilies"
    other = shop.sync()
    assert named(shop) == (other.version, None)
    shop.names["3"] = "Lotion of roses"
    assert shop.sync(force=True).published


def test_a_forced_sync_takes_the_place_of_a_canary_and_says_so(shop: Trying) -> None:
    shop.sync()
    shop.names["3"] = "Lotion of roses"
    shop.sync(canary=0.2)
    report = shop.sync(force=True)
    assert named(shop) == (report.version, None)
    assert any("takes the place" in note and "0.2 of the messages" in note for note in report.notes)


def test_a_new_price_is_nothing_to_try_and_is_published_for_all(shop: Trying) -> None:
    shop.prices = {"3": "10.00"}
    shop.sync()
    shop.prices = {"3": "12.50"}
    report = shop.sync(canary=0.2)
    assert (report.published, report.canary) == (True, 0.0)
    assert named(shop) == (report.version, None)


def test_promoting_and_rolling_back_wait_for_who_holds_the_catalogs_lock(shop: Trying) -> None:
    shop.sync()
    with closing(Fleet(shop.settings)) as fleet:
        for holder in ("a sync", "a collection of object storage"):
            with sync_lock(fleet.redis, "default", holder):
                for command in ("promote", "rollback"):
                    error = run(command, "--no-wait").exception
                    assert isinstance(error, UserError) and f"Catalog default is in use by {holder}, " in str(error)


Publish = Callable[[str, float], str]


@pytest.fixture
def publish(store: ObjectStore, live_settings: Settings, tmp_path: Path) -> Publish:
    """Build a version of the catalog `test`, publish it for a share of the messages (0: all) and bring it to this host."""
    follow = Replica(live_settings, "node")

    def made(name: str, share: float) -> str:
        snapshot, _ = small(tmp_path / name)
        (snapshot.folder / "own.json").write_text(name)  # all else two versions of this shop have in common
        seal(snapshot.folder, snapshot.manifest)
        catalogs = CatalogStore(store, "test", UNCHECKED)
        catalogs.upload(snapshot.folder)
        catalogs.point(snapshot.manifest.version, expected=catalogs.current(), share=share)
        follow.sync()
        return snapshot.manifest.version

    return made


def answering(catalogs: Catalogs) -> Counter[str]:
    """How many messages each version answers."""
    return Counter(catalogs.get("test", message).manifest.version for message in MESSAGES)


def test_every_child_answers_the_same_messages_from_the_canary_also_when_they_come_again(
    live_settings: Settings, store: ObjectStore, publish: Publish
) -> None:
    children = [Catalogs(live_settings.home, store, MATCHING) for _ in range(2)]
    first, second = publish("first", 0.0), publish("second", 0.2)
    answers = [[child.get("test", message).manifest.version for message in MESSAGES] for child in children]
    canary = Canary(version=second, share=0.2)
    assert answers[0] == answers[1] == [second if canary.takes(message) else first for message in MESSAGES]
    assert 20 < answers[0].count(second) < 60
    for child in children:
        assert (child.versions, child.canaries, child.latest) == ({"test": first}, {"test": second}, {"test": first})
        assert child.get("test").manifest.version == first, "what comes in no message is answered from the current one"


def test_what_is_promoted_is_not_opened_again_and_what_is_given_up_is_let_go_of(
    live_settings: Settings, store: ObjectStore, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, follow = Catalogs(live_settings.home, store, MATCHING), Replica(live_settings, "node")
    catalogs = CatalogStore(store, "test", UNCHECKED)
    first, second = publish("first", 0.0), publish("second", 0.4)
    assert answering(child).keys() == {first, second}
    monkeypatch.setattr(Snapshot, "open", None)
    catalogs.point(second, expected=catalogs.current())
    follow.sync()
    child.refresh()
    assert answering(child) == {second: len(MESSAGES)}
    assert (child.versions, child.canaries, len(child._open)) == ({"test": second}, {}, 1)
    monkeypatch.undo()
    third = publish("third", 0.4)
    assert answering(child).keys() == {second, third}
    current = catalogs.current()
    assert current is not None
    catalogs.drop_canaries(expected=current)
    follow.sync()
    child.refresh()
    assert answering(child) == {second: len(MESSAGES)}
    assert (child.canaries, len(child._open)) == ({}, 1)
    assert read_local_pointer(live_settings.home, "test", MATCHING) == LocalPointer(version=second)


def test_a_canary_that_cannot_be_brought_or_opened_leaves_all_messages_to_the_version_beside_it(
    live_settings: Settings, store: ObjectStore, publish: Publish, tmp_path: Path
) -> None:
    child, follow = Catalogs(live_settings.home, store, MATCHING), Replica(live_settings, "node")
    first, second = publish("first", 0.0), publish("second", 0.4)
    vectors = versions_folder(live_settings.home, "test") / second / "s0000.vectors.npy"
    vectors.unlink()  # else both versions' would be damaged
    vectors.write_bytes(b"damaged")
    assert answering(child) == {first: len(MESSAGES)}
    assert second in child.refused["test"]
    assert child.canaries == {}
    catalogs = CatalogStore(store, "test", UNCHECKED)
    snapshot, _ = small(tmp_path / "third")
    (snapshot.folder / "own.json").write_text("third")
    third = seal(snapshot.folder, snapshot.manifest)
    catalogs.upload(snapshot.folder)
    store.write(f"catalogs/test/parts/{third.files['own.json'].stored.sha256}", b"thirD")
    catalogs.point(third.version, expected=catalogs.current(), share=0.4)
    follow.sync()
    assert "own.json" in follow._errors["test"]
    child.refresh()
    assert (answering(child), child.refused) == ({first: len(MESSAGES)}, {})
    assert read_local_pointer(live_settings.home, "test", MATCHING) == LocalPointer(version=first)


def test_a_canary_that_vanished_from_the_disk_is_brought_again_and_is_not_missed_meanwhile(
    live_settings: Settings, store: ObjectStore, publish: Publish
) -> None:
    Catalogs(live_settings.home, store, MATCHING)  # asks for versions
    first, second = publish("first", 0.0), publish("second", 0.4)
    shutil.rmtree(versions_folder(live_settings.home, "test") / second)
    assert read_local_pointer(live_settings.home, "test", MATCHING) == LocalPointer(version=first)
    child = Catalogs(live_settings.home, store, MATCHING)
    assert (answering(child), child.refused) == ({first: len(MESSAGES)}, {})
    Replica(live_settings, "node").sync()
    child.refresh()
    assert answering(child).keys() == {first, second}


def test_files_that_both_versions_have_take_room_once(live_settings: Settings, store: ObjectStore, publish: Publish) -> None:
    Catalogs(live_settings.home, store, MATCHING)  # asks for versions
    first, second = publish("first", 0.0), publish("second", 0.4)
    folder = versions_folder(live_settings.home, "test")
    size, common = 0, set[int]()
    for version in (first, second):
        for file in (folder / version).iterdir():
            size += 0 if file.stat().st_ino in common else file.stat().st_size
            common.add(file.stat().st_ino)
    child = Catalogs(live_settings.home, store, MATCHING, room=size)
    assert answering(child).keys() == {first, second}
    assert len(child._open) == 2, "both have room"
    child = Catalogs(live_settings.home, store, MATCHING, room=size - 1)
    assert answering(child).keys() == {first, second}, "one is closed and opened again"
    assert len(child._open) == 1
    assert (child.versions, child.canaries) == ({"test": first}, {"test": second})


def outcome(version: str | None, ending: Status) -> Outcome:
    provenance = Provenance(catalog="default", catalog_version=version, embedder="e", spotter="s")
    return Outcome(image="i", status=ending, provenance=provenance if version else None)


def test_how_photos_end_is_counted_by_who_answered_and_shown(shop: Trying, live_settings: Settings, tmp_path: Path) -> None:
    first = shop.sync().version or ""
    shop.names["3"] = "Lotion of roses"
    built = shop.sync(canary=0.2).built
    assert built is not None
    with closing(result_database(live_settings)) as client:
        ends = [outcome(built.version, Status.MATCHED)] * 3 + [outcome(built.version, Status.NO_MATCH)]
        tried.note(client, "default", built.version, ends)
        tried.note(client, "default", built.version, [outcome(first, Status.MATCHED), outcome(None, Status.FAILED)])
        tried.note(client, "default", built.version, [outcome(first, Status.FAILED)] * 2)
        assert tried.read(client, "default", built.version) == {
            "canary": {"matched": 3, "no_match": 1}, "current": {"matched": 1, "failed": 2},
        }  # fmt: skip
        assert 0 < client.ttl(next(client.scan_iter("packsight:tried:*"))) <= tried.KEPT
        registry.announce_child(client, child(first, canaries={"default": built.version}))
        syncs.note(client, "default", syncs.Ending.REFUSED, 1.0, why=f"It has {'very ' * 80}few photos. Look at them.")
    seen = status.observe(StackFolder(tmp_path / "none"), live_settings)
    assert {(one.version, one.share) for one in seen.catalogs} == {(first, 1.0), (built.version, 0.2)}
    with Console(width=200, record=True) as console:
        display.status(console, seen)
    text = console.export_text()
    assert f"answered by the canary {built.version}: 3 matched, 1 no_match" in text
    assert "answered by the version beside it: 1 matched, 2 failed" in text
    assert "1 child, 0.2 of the messages" in text
    shown = run("show").stdout
    assert "canary" in shown and "current" in shown
    found = {finding.text: finding for finding in doctor._workers(live_settings, StackFolder(tmp_path / "none"))}
    assert next(text for text in found if first in text).startswith(f"{first}, 4 products")
    refused = next(finding for text, finding in found.items() if "was refused: It has very" in text)
    assert (refused.level, refused.text[-6:]) == (doctor.Level.WRONG, "very …") and "packsight catalog report" in refused.remedy
    note = next(finding for text, finding in found.items() if built.version in text)
    assert (note.level, "0.2 of the messages" in note.text) == (doctor.Level.NOTE, True)


def test_a_batch_is_answered_by_the_id_of_its_message(live_settings: Settings, store: ObjectStore, publish: Publish) -> None:
    catalogs = Catalogs(live_settings.home, store, MATCHING)
    first, second = publish("first", 0.0), publish("second", 0.4)
    network = Mock(**{"description.fingerprint.return_value": "e", "read_at.return_value": []})
    pipeline = Pipeline(Fetcher(live_settings, store), network, network, catalogs, Mock(), live_settings.decode, threads=1)
    taken = next(message for message in MESSAGES if Canary(version=second, share=0.4).takes(message))
    left = next(message for message in MESSAGES if not Canary(version=second, share=0.4).takes(message))
    for message, version in ((taken, second), (left, first), ("", first)):
        (answer,) = pipeline.recognize(RecognizeRequest(images=["/nowhere.jpg"], catalog="test"), message)
        assert answer.provenance is not None and answer.provenance.catalog_version == version


def test_a_worker_counts_while_a_canary_is_tried_and_a_database_that_refuses_costs_no_answer(
    live_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    canaries: dict[str, str] = {}
    with closing(result_database(live_settings)) as client:
        answered = [outcome(None, Status.FAILED), outcome("v2", Status.MATCHED), outcome("v2", Status.AMBIGUOUS)]
        count(client, canaries, answered)
        assert list(client.scan_iter("packsight:tried:*")) == []
        canaries["default"] = "v2"
        count(client, canaries, answered)
        assert tried.read(client, "default", "v2")["canary"] == {"matched": 1, "ambiguous": 1}
        client.set("packsight:tried:default:v2", "of another kind")
        count(client, canaries, answered)
    assert "not counted" in caplog.text


def child(version: str, canaries: dict[str, str] | None) -> ChildEntry:
    served = {"default": version}
    return ChildEntry(host="h", pid=1, **RECIPE.model_dump(), catalogs=served, latest=served, canaries=canaries)


def test_waiting_is_for_the_canary_too_but_not_on_workers_that_know_none(shop: Trying) -> None:
    first = shop.sync().version or ""
    shop.names["3"] = "Lotion of roses"
    built = shop.sync(canary=0.2).built
    current = shop.catalogs.current()
    assert built is not None and current is not None
    with closing(Fleet(shop.settings)) as fleet:
        for canaries, serving in (({}, 0), ({"default": built.version}, 1), (None, 1)):
            registry.announce_child(fleet.redis, child(first, canaries))
            uptake = fleet.uptake("default", current)
            assert (len(uptake.serving), len(uptake.late)) == (serving, 1 - serving)


def test_counts_that_cannot_be_read_keep_nobody_from_looking(shop: Trying, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sync()
    shop.names["3"] = "Lotion of roses"
    shop.sync(canary=0.2)

    def refused(*_: object) -> None:
        raise NoPermissionError

    monkeypatch.setattr(tried, "read", refused)
    assert "answers 0.2 of the messages" in run("show").stdout
