"""A real Prometheus scrapes a real queue with real workers, whose networks alone are acted, and a real indexer: what fires, when."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from packsight.deploy.stack.ports import free_ports
from packsight.shared.contract.messages import INDEXER_QUEUE
from packsight.shared.queue import keys, syncs
from packsight.shared.queue.syncs import Ending
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from tests import scraped
from tests.acceptance.stack import connect, environment, running, wait_until
from tests.acceptance.test_kills import Stack
from tests.prometheus import Prometheus, program, prometheus

pytestmark = pytest.mark.timeout(300)


@contextmanager
def indexer(settings: Settings, home: Path, port: int) -> Iterator[None]:
    """A real indexer that follows a feed which is not there, every second."""
    variables = {
        "PACKSIGHT_HOME": str(home / "indexer"),
        "PACKSIGHT_METRICS__PORT": str(port),
        "PACKSIGHT_CATALOG__FEED": str(home / "no-feed.xml"),
        "PACKSIGHT_CATALOG__SYNC_SECONDS": "1",
    }
    with (home / "indexer.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "packsight", "indexer"],
            env={**os.environ, **environment(settings), **variables}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def fires(seen: Prometheus, *names: str) -> None:
    wait_until(lambda: seen.alerts() >= set(names), f"{', '.join(names)}; what fires: {sorted(seen.alerts())}", 90)


def is_quiet(seen: Prometheus, *names: str) -> None:
    wait_until(lambda: not seen.alerts() & set(names), f"an end of {', '.join(names)}", 90)


def test_alerts_fire_for_a_killed_worker_a_stale_catalog_an_outage_and_photos_at_fault_and_end_with_them(tmp_path: Path) -> None:
    program("prometheus")
    worker_port, indexer_port = free_ports(2)
    variables = {"PACKSIGHT_METRICS__PORT": str(worker_port)}
    with running(tmp_path, visibility_timeout=4, objects=True, module="standin_judged", variables=variables) as parts:
        stack = Stack(*parts)
        objects = stack.servers.objects
        assert objects is not None
        ObjectStore(stack.settings.s3).ensure_bucket()
        jobs = {"packsight-worker": [worker_port], "packsight-indexer": [indexer_port]}
        with indexer(stack.settings, tmp_path, indexer_port), prometheus(tmp_path / "prometheus", jobs) as seen:
            wait_until(lambda: seen.value("packsight_fleet_children_ready") == 2, "a fleet")
            assert stack.wait(stack.send(["sleep:0.01"] * 6)) == [[None] * 6]
            wait_until(lambda: seen.value('sum(packsight_photos_total{status="no_match"})') == 6, "what was answered")
            assert seen.value('packsight_queue_messages{queue="packsight.recognize"}') == 0

            # A catalog whose last good sync was long ago: the feed that it follows is not there.
            with connect(stack.servers, 1) as client:
                client.hset(keys.sync("default"), "succeeded_at", time.time() - 3600)
                wait_until(lambda: (one := syncs.read(client, "default")) and one.ending is Ending.FAILED, "a sync that fails")
                fires(seen, "PacksightCatalogStale", "PacksightSyncFails")
                client.hset(keys.sync("default"), "succeeded_at", time.time() + 3600)
                is_quiet(seen, "PacksightCatalogStale")

            # Photos that kill their child, and one that is put aside for it.
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

            # The worker is killed, with its children, and started again.
            stack.worker.kill()
            fires(seen, "PacksightWorkerDown", "PacksightNoWorkers")
            stack.worker.start()
            is_quiet(seen, "PacksightWorkerDown", "PacksightNoWorkers")
            before = scraped.scrape(worker_port)
            assert ("packsight_photos_total", "no_match", "") not in before, "a new parent begins at nothing"
            assert seen.value(f'packsight_queue_messages{{queue="{INDEXER_QUEUE}"}}') is not None
