"""A real Prometheus scrapes real workers, whose networks alone are acted, and a real indexer: what fires, and when it ends."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from packsight.deploy.stack import parts
from packsight.deploy.stack.credentials import Credentials, Role
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.stack.state import StackState
from packsight.deploy.testbed import Server, variables
from packsight.indexer.examination import RefusedError
from packsight.indexer.report import SyncRequest
from packsight.indexer.sync import run_sync
from packsight.producer import jobs
from packsight.producer.broker import producer_app, send
from packsight.producer.client import Client
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.errands import _TRIES, Errand, Errands
from packsight.producer.http.errands import Kind as ErrandKind
from packsight.producer.http.rights import Right
from packsight.shared.catalog.manifest import seal
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.messages import BULK_QUEUE, INTERACTIVE_QUEUE, RECOGNIZE, SENT_AT, SYNC, RecognizeOptions
from packsight.shared.contract.outcomes import Status
from packsight.shared.queue import keys, syncs
from packsight.shared.queue.syncs import Ending
from packsight.shared.queue.transport.contract import lists
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import Batch, JobAbout, JobImage
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Answered, Kind, Offered
from tests import scraped
from tests.acceptance.stack import connect, environment, running, wait_until
from tests.acceptance.test_kills import Stack
from tests.prometheus import COUNTED, Prometheus, prometheus
from tests.trust import UNCHECKED
from tests.unit.matching_catalog import shop
from tests.unit.test_verdicts import verdict

pytestmark = pytest.mark.timeout(300)


@contextmanager
def indexer(settings: Settings, home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real indexer that follows a feed which is not there."""
    own = {
        "PACKSIGHT_HOME": str(home / "indexer"),
        "PACKSIGHT_METRICS__PORT": str(port),
        "PACKSIGHT_CATALOG__FEED": str(home / "no-feed.xml"),
        "PACKSIGHT_CATALOG__SYNC_SECONDS": "5",
    }
    with (home / "indexer.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "packsight", "indexer"],
            env={**os.environ, **environment(settings), **own}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def door(settings: Settings, home: Path, port: int, figures: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real HTTP door."""
    own = {"PACKSIGHT_HOME": str(home / "door"), "PACKSIGHT_METRICS__PORT": str(figures)}
    with (home / "door.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "packsight", "serve", "--port", str(port)],
            env={**os.environ, **environment(settings), **own}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def fires(seen: Prometheus, *names: str) -> None:
    wait_until(lambda: seen.alerts() >= set(names), f"{', '.join(names)}; what fires: {sorted(seen.alerts())}", 90)


def each_fires(seen: Prometheus, *names: str) -> None:
    """Not necessarily all at a time."""
    fired: set[str] = set()

    def all_have() -> bool:
        fired.update(seen.alerts())
        return fired >= set(names)

    wait_until(all_have, f"each of {', '.join(names)}", 90)


def is_quiet(seen: Prometheus, *names: str) -> None:
    wait_until(lambda: not seen.alerts() & set(names), f"an end of {', '.join(names)}", 90)


@dataclass
class Watched:
    """A queue with a worker of two children, an indexer and a door, and the ports at which they are scraped."""

    stack: Stack
    indexer: subprocess.Popen[bytes]
    door: subprocess.Popen[bytes]
    worker_port: int
    indexer_port: int
    door_port: int
    address: str
    """Of the door."""

    @property
    def jobs(self) -> dict[str, list[int]]:
        """What a Prometheus scrapes."""
        ports = {"worker": self.worker_port, "indexer": self.indexer_port, "http": self.door_port}
        return {f"packsight-{name}": [port] for name, port in ports.items()}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home = tmp_path_factory.mktemp("watched")
    worker_port, indexer_port, door_port, port = free_ports(4)
    own = {"PACKSIGHT_METRICS__PORT": str(worker_port), "PACKSIGHT_FETCH__ATTEMPTS": "1", "PACKSIGHT_QUEUE__STUCK_AFTER": "5"}
    with running(home, visibility_timeout=4, objects=True, module="standin_judged", variables=own) as made:
        stack = Stack(*made)
        ObjectStore(stack.settings.s3).ensure_bucket()
        with indexer(stack.settings, home, indexer_port) as process, door(stack.settings, home, port, door_port) as serving:
            address = f"http://127.0.0.1:{port}"
            yield Watched(stack, process, serving, worker_port, indexer_port, door_port, address)


def test_flower_shows_jobs_and_photos_by_name_failures_as_such_and_no_ticks_of_the_clock(
    watched: Watched, tmp_path: Path
) -> None:
    stack = watched.stack
    (port,) = free_ports(1)
    state = StackState(credentials=Credentials(flower="known"), ports={"flower": port})
    server = Server(parts.flower(state, tmp_path, variables(stack.servers.settings(tmp_path, user=Role.FLOWER))), tmp_path)

    def shown() -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/tasks")
        request.add_header("Authorization", f"Basic {base64.b64encode(b'packsight:known').decode()}")
        with urllib.request.urlopen(request, timeout=30) as page:
            found: dict[str, Any] = json.load(page)
        return found

    def hears() -> bool:
        stack.send(["sleep:0.01"])
        time.sleep(0.5)
        return bool(shown())

    try:
        wait_until(hears, "what Flower hears")
        images = [
            JobImage(reference=f"s3://b/{layout.UPLOADS}{digit * 64}", name=f"kitchen/{name}.jpg")
            for digit, name in (("a", "milk"), ("b", "tea"))
        ]
        images.append(JobImage(reference="https://shop.example/a.jpg?signature=5ec2e7", name="row 3"))
        batch = Batch("20270101-120000-abc123-000000", 0, 0, images, "monday")
        with closing(producer_app(stack.settings)) as app:
            send(app, batch.request(RecognizeOptions()), task_id=batch.task_id, queue=BULK_QUEUE, headers=batch.headers)
        wait_until(lambda: shown().get(batch.task_id, {}).get("state") == "SUCCESS", "the end of the batch")
        task = shown()[batch.task_id]
        (argument,) = json.loads(task["args"])
        assert (argument["job"], argument["name"]) == ("20270101-120000-abc123", "monday")
        assert argument["images"] == ["milk.jpg", "tea.jpg", "https://shop.example/a.jpg?…"]
        assert task["result"] == "failed: 1 of 3 photos (1 host_unreachable)"
        assert "5ec2e7" not in json.dumps(shown())
        assert {one["name"] for one in shown().values()} <= {RECOGNIZE, SYNC}
    finally:
        server.stop()


def test_alerts_fire_for_a_killed_worker_a_stale_catalog_an_outage_and_photos_at_fault_and_end_with_them(
    watched: Watched, tmp_path: Path
) -> None:
    stack = watched.stack
    objects = stack.servers.objects
    assert objects is not None
    with prometheus(tmp_path / "prometheus", watched.jobs) as seen, connect(stack.servers, 1) as client:
        wait_until(lambda: seen.value("packsight_fleet_children_ready") == 2, "a fleet")
        answered = 'sum(packsight_photos_total{status="no_match"})'
        assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]

        def settled() -> bool:
            """Whether what was answered before is all counted."""
            one = seen.value(answered)
            time.sleep(3)
            return one is not None and seen.value(answered) == one

        wait_until(settled, "what was answered")
        before = seen.value(answered) or 0
        assert stack.wait(stack.send(["sleep:0.01"] * 6)) == [[None] * 6]
        wait_until(lambda: seen.value(answered) == before + 6, "six photos more")
        assert seen.value('packsight_queue_messages{queue="packsight.recognize"}') == 0

        # The worker is killed, with its children; and the feed is not there, of a catalog whose last good sync was long ago.
        stack.worker.kill()
        wait_until(lambda: (one := syncs.read(client, "default")) and one.ending is Ending.FAILED, "a sync that fails", 200)
        client.hset(keys.sync("default"), "succeeded_at", time.time() - 3600)
        fires(seen, "PacksightWorkerDown", "PacksightNoWorkers", "PacksightCatalogStale", "PacksightSyncFails")
        client.hset(keys.sync("default"), "succeeded_at", time.time() + 3600)
        stack.worker.start()
        is_quiet(seen, "PacksightWorkerDown", "PacksightNoWorkers", "PacksightCatalogStale")
        assert ("packsight_photos_total", "no_match", "") not in scraped.scrape(watched.worker_port), "it begins at nothing"

        # A photo that kills its children, and is put aside for it.
        (deadly,) = stack.send(["kill"])
        assert stack.wait([deadly]) == [["worker_killed"]]
        fires(seen, "PacksightDeadLetters")
        assert seen.value("sum(packsight_child_deaths_total)") == 2
        assert seen.value("sum(packsight_redeliveries_total)") == 2

        # What every batch needs goes away: work waits, and goes on afterwards.
        objects.kill()
        tasks = stack.send(*[[f"stored:{number}"] for number in range(20)])
        fires(seen, "PacksightStoreAway")
        assert seen.value('sum(packsight_outages_total{dependency="object storage"})') == 1
        assert not stack.ledger.results.ended(tasks)
        objects.start()
        assert stack.wait(tasks) == [[None]] * len(tasks)
        is_quiet(seen, "PacksightStoreAway")


def publish(store: ObjectStore, catalog: str, folder: Path, *, days: int = 0, share: float = 0.0) -> None:
    """A small version of so many days ago; with a share beside the one that is current."""
    made = shop(folder, catalog=catalog)[0].manifest
    sealed = seal(folder, made.model_copy(update={"created_at": datetime.now(UTC) - timedelta(days=days), "files": {}}))
    catalogs = CatalogStore(store, catalog, UNCHECKED)
    catalogs.upload(folder.rename(folder.with_name(sealed.version)))
    catalogs.point(sealed.version, expected=catalogs.current(), share=share)


def go_back(store: ObjectStore, catalog: str, *, days: int) -> None:
    """Let the pointer of an unsigned catalog say that somebody went back so many days ago."""
    key = layout.pointer(catalog)
    written = json.loads(store.read(key).data)
    since = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    holds = {recipe: {"gone_back_from": "9", "since": since} for recipe in written["versions"]}
    store.write(key, json.dumps({**written, "holds": holds}).encode())


def test_alerts_fire_for_a_long_canary_a_hold_a_refused_version_drift_wrong_matches_and_a_catalog_that_cannot_be_read(
    watched: Watched, tmp_path: Path
) -> None:
    stack, catalog = watched.stack, "other"
    pointer, feed = layout.pointer(catalog), tmp_path / "feed.xml"
    many_lines, few_lines = ["read:6"] * 24, ["read:1"] * 12
    with closing(ObjectStore(stack.settings.s3)) as store, prometheus(tmp_path / "prometheus", watched.jobs) as seen:
        publish(store, catalog, tmp_path / "current")
        ReviewStore(store, catalog).add([
            verdict(
                kind, catalog=catalog, sha256=f"{number:064x}", offered=Offered.SAMPLE, at=datetime.now(UTC),
                answered=Answered(status=Status.MATCHED, product="1"),
            )
            for number, kind in enumerate([Kind.RIGHT] * 20 + [Kind.ABSENT] * 20)
        ])  # fmt: skip
        offer = '<offer id="p0"><picture>0.jpg</picture></offer>'
        feed.write_text(f"<yml_catalog><shop><offers>{offer}</offers></shop></yml_catalog>")
        with pytest.raises(RefusedError):
            run_sync(SyncRequest(str(feed), catalog=catalog), stack.settings)
        publish(store, catalog, tmp_path / "tried", days=4, share=0.2)
        publish(store, "back", tmp_path / "back")
        go_back(store, "back", days=4)
        fires(seen, "PacksightCanaryLong", "PacksightSyncRefused", "PacksightCatalogHeld")

        # By turns all is read, and little is, while half of the photos fail; what lies COUNTED seconds back is the other way.
        stack.wait(stack.send(["read:1"], ["https://drift.example/first.jpg"]))
        drifts, fired = {"PacksightOutcomesDrift", "PacksightWordsDrift"}, set[str]()
        for turn in range(8):
            if fired >= drifts:
                break
            away = [[f"https://drift.example/{turn}-{batch}-{number}.jpg" for number in range(12)] for batch in range(10)]
            stack.wait(stack.send(*([*few_lines, *failing] if turn % 2 else many_lines for failing in away)))
            ends = time.monotonic() + COUNTED
            while time.monotonic() < ends and not fired >= drifts:
                fired |= seen.alerts()
                time.sleep(0.5)
        assert fired >= drifts
        fires(seen, "PacksightReviewedPrecisionLow")

        whole = store.read(pointer).data
        store.write(pointer, b"{")
        (task,) = stack.send([f"published:{catalog}"])
        fires(seen, "PacksightCatalogUnusable")
        store.write(pointer, whole)
        assert stack.wait([task]) == [[None]]
        is_quiet(seen, "PacksightCatalogUnusable")


def age(client: redis.Redis, queue: str, seconds: float) -> None:
    """Let the one message of a queue have been sent earlier."""
    (place,) = [key for key in lists(queue) if client.llen(key)]
    message = json.loads(str(client.lindex(place, 0)))
    message["headers"][SENT_AT] -= seconds
    client.lset(place, 0, json.dumps(message))


def asks(address: str, key: str) -> int:
    """The status of the answer."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/recognize", b'{"url": "https://away.example/1.jpg"}', headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def give_up_a_webhook(settings: Settings) -> None:
    """Leave the door one to tell that it can sign for nobody, and that was tried as often as it may be but once."""
    about = JobAbout(webhook="https://away.example/ended")
    with Client(settings) as client:
        photos = [JobImage(reference="s3://b/1.jpg", name="1.jpg")]
        made = jobs.create(client.jobs, client.ledger, photos, [], RecognizeOptions(), 16, about)
        client.ledger.jobs.forget(made.id)  # nobody works on it, so it is over
        left = Errand(kind=ErrandKind.WEBHOOK, job=made.id, client="gone", tries=_TRIES - 1)
        Errands(client.ledger.client, settings.queue.result_expires).add(left)


def test_alerts_fire_for_children_that_die_photos_that_fail_a_worker_that_takes_nothing_and_broker_indexer_and_door_that_are_away(
    watched: Watched, tmp_path: Path
) -> None:
    stack, closed = watched.stack, watched.stack.settings.home / "closed"
    with prometheus(tmp_path / "prometheus", watched.jobs) as seen, connect(stack.servers, 0) as client:
        wait_until(lambda: seen.value("packsight_fleet_children_ready") == 2, "a fleet")
        deadly = stack.send(*[["kill"]] * 6)
        each_fires(seen, "PacksightChildrenDie", "PacksightChildrenMissing")
        assert stack.wait(deadly) == [["worker_killed"]] * 6

        assert stack.wait(stack.send(["https://away.example/0.jpg"])) == [["host_unreachable"]]
        unreachable = 'sum(packsight_photos_total{code="host_unreachable"})'
        wait_until(lambda: seen.value(unreachable), "its count")
        stack.wait(stack.send([f"https://away.example/{number}.jpg" for number in range(1, 16)] + ["sleep:0.01"] * 15))
        fires(seen, "PacksightPhotosFail")

        closed.touch()
        task = stack.app.send_task(RECOGNIZE, args=[{"images": ["sleep:0.01"]}], queue=INTERACTIVE_QUEUE).id
        age(client, INTERACTIVE_QUEUE, 100)
        fires(seen, "PacksightQueueOld", "PacksightSick")
        closed.unlink()
        assert stack.wait([task]) == [[None]]
        is_quiet(seen, "PacksightQueueOld", "PacksightSick", "PacksightChildrenMissing")

        # Results have come so close to what their server may take that there is room for little more.
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", used + used // 10)
        fires(seen, "PacksightBrokerFills")
        client.config_set("maxmemory", 0)
        is_quiet(seen, "PacksightBrokerFills")

        _, key = Accounts(stack.settings.home / "door").add_client("shop", frozenset({Right.RECOGNISE}), None)
        wait_until(lambda: asks(watched.address, key) == 200, "a door that answers")
        give_up_a_webhook(stack.settings)
        fires(seen, "PacksightWebhooksGivenUp")

        stack.servers.broker.kill()
        assert asks(watched.address, key) == 503
        away = 'packsight_http_requests_total{endpoint="/v1/recognize",status="503"}'
        wait_until(lambda: seen.value(away), "its count")
        assert [asks(watched.address, key) for _ in range(12)] == [503] * 12
        fires(seen, "PacksightBrokerAway", "PacksightHttpFails")
        stack.servers.broker.start()
        assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]
        is_quiet(seen, "PacksightBrokerAway", "PacksightHttpFails", "PacksightChildrenDie", "PacksightPhotosFail")

        watched.indexer.kill()
        watched.door.kill()
        fires(seen, "PacksightIndexerDown", "PacksightHttpDown")
