"""What the indexer sees of real queues, workers and syncs, and what a user is allowed to ask of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr
from rich.console import Console

from packsight.deploy import display, doctor
from packsight.deploy.display import duration
from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.state import StackFolder, StackState
from packsight.deploy.status import observe
from packsight.deploy.testbed import Servers, serving
from packsight.indexer.examination import RefusedError
from packsight.indexer.gate.rules import Refusal
from packsight.indexer.gate.tables import Levels
from packsight.indexer.noted import noted
from packsight.indexer.report import SyncReport
from packsight.indexer.undecided import CanaryError
from packsight.indexer.version_report.summary import Summary, Verdict
from packsight.indexer.watching.reviewed import Reviews
from packsight.indexer.watching.watch import Part, Watch
from packsight.shared.catalog.pointer import Current
from packsight.shared.contract.errors import ErrorCode, StoreUnable, UserError
from packsight.shared.contract.messages import BULK_QUEUE, INDEXER_QUEUE, RECOGNIZE, RECONCILE
from packsight.shared.contract.outcomes import Status
from packsight.shared.metrics.table import METRICS
from packsight.shared.queue import overview, registry, syncs
from packsight.shared.queue.app import make_app
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.overview import Overview
from packsight.shared.queue.registry import ChildEntry, ProcessEntry
from packsight.shared.queue.syncs import Ending
from packsight.shared.settings import Catalog, Settings
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Answered, Kind, Offered
from tests.unit.test_verdicts import verdict

LOOKING = [Role.OPERATOR, Role.MONITOR]


@pytest.fixture
def client(live_settings: Settings) -> Iterator[redis.Redis]:
    with result_database(live_settings) as made:
        yield made


def of_role(settings: Settings, servers: Servers, role: Role) -> Settings:
    urls = {"broker_url": SecretStr(servers.redis_url(0, role)), "result_url": SecretStr(servers.redis_url(1, role))}
    return settings.model_copy(update=urls)


def looked(watch: Watch) -> dict[tuple[str, ...], float]:
    for part in watch.parts:
        part.look()
    samples = list(watch.samples())
    assert all(len(sample.labels) == len(METRICS[sample.metric].labels) for sample in samples)
    return {(sample.metric, *sample.labels): sample.value for sample in samples}


def test_the_age_of_the_oldest_message_is_that_since_it_was_sent_whatever_its_priority(
    live_settings: Settings, servers: Servers
) -> None:
    app = make_app("test", live_settings)
    for priority in (0, 6):
        app.send_task(RECOGNIZE, args=[{"images": ["s3://b/k"]}], queue=BULK_QUEUE, priority=priority)
    with closing(open_broker(of_role(live_settings, servers, Role.INDEXER))) as broker:
        found = broker.next_in([BULK_QUEUE, INDEXER_QUEUE])
        assert [one.since is not None and abs(one.since - time.time()) < 60 for one in found[BULK_QUEUE]] == [True, True]
        assert found[INDEXER_QUEUE] == []


@pytest.mark.parametrize("text", ["{", "[]", '{"headers": {"sent_at": "x", "eta": 5}, "properties": 1}', "x" * 2_000_000])
def test_a_message_that_is_none_waits_like_any_other(live_settings: Settings, text: str) -> None:
    with redis.Redis.from_url(live_settings.broker) as broker:
        broker.lpush(BULK_QUEUE, text)
    with closing(open_broker(live_settings)) as made:
        (one,) = made.next_in([BULK_QUEUE])[BULK_QUEUE]
    assert one.tag and one.since is None


def test_a_message_that_was_to_wait_is_as_old_as_that_is_over(live_settings: Settings) -> None:
    headers = '{"sent_at": 1000.5, "eta": "1970-01-01T01:00:00+00:00"}'
    with redis.Redis.from_url(live_settings.broker) as broker:
        broker.lpush(BULK_QUEUE, f'{{"headers": {headers}, "properties": {{"delivery_tag": "t"}}}}')
    with closing(open_broker(live_settings)) as made:
        (one,) = made.next_in([BULK_QUEUE])[BULK_QUEUE]
    assert (one.tag, one.since) == ("t", 3600.0)


def test_the_indexer_tells_of_queues_workers_and_syncs_with_its_own_rights(
    live_settings: Settings, servers: Servers, client: redis.Redis
) -> None:
    app = make_app("test", live_settings)
    app.send_task(RECOGNIZE, args=[{"images": ["s3://b/k"]}], queue=BULK_QUEUE)
    parent = ProcessEntry(node="w@h", ready=True, children=2, at=datetime.now(UTC))
    registry.announce_process(client, parent)
    registry.announce_child(client, ChildEntry(node="w@h", host="h", pid=1, embedder="e", spotter="s", images=7))
    syncs.note(client, "default", Ending.UNCHANGED, 1.5, feed_changed=True)
    syncs.note(client, "default", Ending.REFUSED, 2.5, why="too few\nand more")
    followed = Catalog(feed="shop.xml", sync_seconds=900)
    seen = looked(Watch(of_role(live_settings, servers, Role.INDEXER).model_copy(update={"catalog": followed})))
    assert seen["packsight_queue_messages", BULK_QUEUE] == 1
    assert 0 <= seen["packsight_queue_oldest_seconds", BULK_QUEUE] < 60
    fleet = ("packsight_fleet_workers", "packsight_fleet_children_expected", "packsight_fleet_children_ready")
    assert [seen[name,] for name in fleet] == [1, 2, 1]
    assert seen["packsight_sync_period_seconds", "default"] == 900
    assert [seen["packsight_sync_ending", "default", ending] for ending in ("refused", "unchanged")] == [1, 0]
    assert seen["packsight_syncs_total", "default", "unchanged"] == 1
    assert seen["packsight_results_memory_bytes",] > 0 and ("packsight_results_memory_limit_bytes",) not in seen
    client.config_set("maxmemory", "1gb")
    try:
        limited = looked(Watch(of_role(live_settings, servers, Role.INDEXER)))
    finally:
        client.config_set("maxmemory", 0)
    assert limited["packsight_results_memory_limit_bytes",] == 2**30
    times = [seen[f"packsight_sync_{what}_timestamp_seconds", "default"] for what in ("succeeded", "ended")]
    assert 0 < times[0] <= times[1]
    assert [seen["packsight_dependency_up", name] for name in ("broker", "result database", "object storage")] == [1, 1, 1]
    for role in LOOKING:
        with result_database(of_role(live_settings, servers, role)) as theirs:
            told = overview.read(theirs)
            assert told is not None and list(told.oldest) == [BULK_QUEUE]


def test_a_server_without_a_limit_of_memory_is_noted_unless_it_is_that_of_the_local_stack(
    live_settings: Settings, client: redis.Redis, tmp_path: Path
) -> None:
    folder = StackFolder(tmp_path / "stack")

    def noted() -> list[str]:
        return [one.subject for one in doctor._broker(live_settings, folder) if "no limit of memory" in one.text]

    assert noted() == ["broker", "results"]
    client.config_set("maxmemory", "1gb")
    try:
        assert noted() == []
    finally:
        client.config_set("maxmemory", 0)
    folder.create()
    folder.save(StackState())
    assert noted() == []


def test_what_cannot_be_asked_any_more_is_not_told_as_it_was() -> None:
    answers: Iterator[list[object]] = iter([[METRICS["packsight_dead_letters"].of(value=3)]])

    def look() -> list[object]:
        try:
            return next(answers)
        except StopIteration:
            raise redis.ConnectionError from None

    part = Part("broker", look, 1.0)  # type: ignore[arg-type]
    part.look()
    assert [sample.value for sample in part.samples()] == [3, 1]
    part.look()
    assert {sample.metric: sample.value for sample in part.samples()} == {"packsight_dependency_up": 0}


REPORT = SyncReport(catalog="c", version="v1", published=False, products=1, photos=1)


TRIED = CanaryError("c", Current("v", {}, None))
SUMMARY = Summary(
    catalog="c", version="v", made_at=datetime.now(UTC), verdict=Verdict.REFUSED, reasons=(Refusal(gate="loss", text="too few"),),
    levels=Levels(products=1),
)  # fmt: skip
ENDINGS: dict[Ending, tuple[UserError | None, str]] = {
    Ending.UNCHANGED: (None, ""),
    Ending.FAILED: (UserError("The feed is empty"), "The feed is empty"),
    Ending.HELD_BACK: (TRIED, str(TRIED)),
    Ending.REFUSED: (RefusedError(SUMMARY, ""), "too few"),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("role", [Role.INDEXER, Role.OPERATOR])
def test_how_a_sync_ended_is_noted_whoever_ran_it(live_settings: Settings, servers: Servers, role: Role, ending: Ending) -> None:
    error, why = ENDINGS[ending]
    with result_database(of_role(live_settings, servers, role)) as theirs:
        with suppress(UserError), noted(theirs, "c") as note:
            if error is not None:
                raise error
            note(REPORT)
        found = syncs.read(theirs, "c")
    assert found is not None and (found.ending, found.why) == (ending, why)
    assert bool(found.succeeded_at) == (error is None)
    assert found.counts[ending] == 1


def test_a_database_that_is_away_keeps_no_sync_from_ending_well() -> None:
    with redis.Redis(port=1) as nowhere, noted(nowhere, "c") as note:
        note(REPORT)


def test_status_tells_the_pace_the_oldest_message_and_how_the_last_sync_ended(
    live_settings: Settings, servers: Servers, client: redis.Redis, tmp_path: Path
) -> None:
    overview.write(client, Overview(photos_per_second=1.8, oldest={BULK_QUEUE: 75}))
    syncs.note(client, "default", Ending.FAILED, 1.0, why="The feed https://shop.example/f.xml?key=5ec2e7 does not answer")
    seen = observe(StackFolder(tmp_path), of_role(live_settings, servers, Role.MONITOR))
    assert seen.overview == Overview(photos_per_second=1.8, oldest={BULK_QUEUE: 75})
    assert seen.syncs["default"].ending is Ending.FAILED
    assert "5ec2e7" not in seen.syncs["default"].why
    assert seen.syncs["default"].succeeded_at is None
    shown = StringIO()
    display.status(Console(file=shown, width=200), seen.model_copy(update={"queues": {BULK_QUEUE: 3}}))
    assert re.search(rf"{re.escape(BULK_QUEUE)} +3 +75 s *\n", shown.getvalue())
    assert "1.8 photos a second over the last minute" in shown.getvalue()
    assert re.search(r"default: last sync \d+ s ago, failed: The feed .* \(none was good before\)", shown.getvalue())


def test_how_long_something_lasts_is_told_in_one_unit() -> None:
    assert [duration(seconds) for seconds in (5, 119, 130, 3 * 3600, 50 * 3600)] == ["5 s", "119 s", "2 min", "3 h", "2 d"]


def test_of_what_the_clock_sends_flower_is_told_nothing(live_settings: Settings) -> None:
    app = make_app("test", live_settings)
    quiet, told = (app.amqp.as_task_v2("id", name, create_sent_event=True) for name in (RECONCILE, RECOGNIZE))
    assert quiet.sent_event is None and told.sent_event is not None


def test_what_people_found_of_sampled_answers_is_a_figure_of_each_catalog(live_settings: Settings) -> None:
    with closing(ObjectStore(live_settings.s3)) as store:
        store.ensure_bucket()
        for catalog in ("shop", "empty"):
            store.write(layout.former_pointer(catalog), b"v1")  # there is such a catalog
        answered = Answered(status=Status.MATCHED, product="1")
        ReviewStore(store, "shop").add([
            verdict(kind, catalog="shop", sha256=f"{number:064x}", offered=offered, at=datetime.now(UTC), answered=answered)
            for number, (kind, offered) in enumerate([
                (Kind.RIGHT, Offered.SAMPLE), (Kind.ABSENT, Offered.SAMPLE), (Kind.ABSENT, Offered.UNSURE),
            ])
        ])  # fmt: skip
        watch = Watch(live_settings, reviews=Reviews(live_settings.review).read)
        (part,) = (part for part in watch.parts if part.name == "watch reviews")
        part.look()
        found = {(sample.metric, *sample.labels): sample.value for sample in part.samples()}
    assert found["packsight_reviewed_matched", "shop"] == 2
    assert found["packsight_reviewed_matched_right_ratio", "shop"] == 0.5
    assert found["packsight_promised_matched_right_ratio", "shop"] == live_settings.review.precision
    assert found["packsight_promise_broken", "shop"] == 0, "one of two may be chance"
    assert found["packsight_reviewed_matched", "empty"] == found["packsight_promise_broken", "empty"] == 0


def test_a_broker_that_is_full_is_named_by_whoever_looks_though_it_answers(
    live_settings: Settings, client: redis.Redis, tmp_path: Path
) -> None:
    folder = StackFolder(tmp_path / "none")
    assert not observe(folder, live_settings).errors
    client.config_set("maxmemory", 1)
    try:
        (error,) = observe(folder, live_settings).errors
        found = list(doctor.services(live_settings, folder))
    finally:
        client.config_set("maxmemory", 0)
    wrong = [one for one in found if one.level is doctor.Level.WRONG and one.subject != "storage"]
    assert "broker takes nothing new: its memory is full" in error and "give it room" in error
    assert {one.subject for one in wrong} == {"broker", "results"} and all("give it room" in one.remedy for one in wrong)
    of_workers = [one.level for one in found if one.subject == "workers"]
    assert of_workers == [doctor.Level.NOTE], "no word of theirs is kept: nobody is missing"


def test_a_full_broker_hides_no_missing_workers_where_what_they_say_is_kept_elsewhere(
    live_settings: Settings, client: redis.Redis, tmp_path: Path
) -> None:
    with serving(tmp_path / "results", objects=False) as other:
        apart = live_settings.model_copy(update={"result_url": SecretStr(other.redis_url(1))})
        client.config_set("maxmemory", 1)
        try:
            found = list(doctor.services(apart, StackFolder(tmp_path / "none")))
        finally:
            client.config_set("maxmemory", 0)
    assert [one.level for one in found if one.subject == "workers"] == [doctor.Level.WRONG]


def test_a_store_that_cannot_keep_anything_is_not_said_to_need_a_start(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> bool:
        raise StoreUnable(ErrorCode.HOST_UNREACHABLE, "cannot carry it out", remedy="Its disk may be full.")

    monkeypatch.setattr(ObjectStore, "create", full)
    (found,) = doctor._storage(live_settings, StackFolder(tmp_path / "none"))
    assert found.remedy == "Its disk may be full."


@pytest.mark.parametrize(("step", "told"), [(3600, "behind"), (-60, "ahead of"), (2, "")])
def test_a_clock_that_differs_from_the_brokers_is_told(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: int, told: str
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: round(now()) + step)
    wrong = [one for one in doctor._broker(live_settings, StackFolder(tmp_path / "none")) if one.level is doctor.Level.WRONG]
    assert [one.subject for one in wrong] == ["broker", "results"] * bool(told)
    assert all(f"s {told} the one here" in one.text and "NTP" in one.remedy for one in wrong)
