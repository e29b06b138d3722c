"""Health of real processes: who does no work is sick, who waits for something that is away is not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from packsight.deploy.testbed import serving
from packsight.shared.health import Health, ask
from packsight.shared.queue import registry
from packsight.shared.queue.app import make_app
from packsight.shared.settings import Settings
from tests.acceptance.stack import connect, environment, running, wait_until
from tests.acceptance.test_kills import Stack

pytestmark = pytest.mark.timeout(300)
STUCK_AFTER = "3"


def worker(home: Path) -> Health:
    return ask(home, f"celery@{socket.gethostname()}")


def indexer(home: Path) -> Health:
    return ask(home, f"indexer@{socket.gethostname()}")


def test_a_worker_that_takes_no_message_is_sick_until_it_does_and_one_without_a_broker_waits(tmp_path: Path) -> None:
    variables = {"PACKSIGHT_QUEUE__STUCK_AFTER": STUCK_AFTER}
    with running(tmp_path, visibility_timeout=4, module="standin_judged", variables=variables) as parts:
        stack, closed = Stack(*parts), tmp_path / "closed"
        wait_until(lambda: worker(tmp_path).ready, "a worker with its children")
        assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]
        closed.touch()
        tasks = stack.send(["sleep:0.01"], ["sleep:0.01"])
        wait_until(lambda: "2 messages wait" in worker(tmp_path).text, "a sick worker")
        assert not worker(tmp_path).well
        with connect(stack.servers, 1) as client:
            (entry,) = registry.processes(client)
        assert entry.children == 2 and "2 messages wait" in entry.complaints[0]
        closed.unlink()
        assert stack.wait(tasks) == [[None], [None]]
        wait_until(lambda: worker(tmp_path).well, "a worker that is well")

        stack.servers.broker.kill()
        wait_until(lambda: "broker or result database" in worker(tmp_path).text, "that it waits")
        assert worker(tmp_path).well
        stack.servers.broker.start()
        wait_until(lambda: worker(tmp_path).text.endswith("is well"), "that it works")
        assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]
        stack.worker.kill()
        assert worker(tmp_path).pid is None


@contextmanager
def real_indexer(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], Settings]]:
    with serving(home, objects=False) as servers:
        settings = servers.settings(home)
        variables = {"PACKSIGHT_QUEUE__STUCK_AFTER": STUCK_AFTER, "PACKSIGHT_QUEUE__RECONCILE_SECONDS": "0.5"}
        with (home / "indexer.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "packsight", "indexer"],
                env={**os.environ, **environment(settings), **variables},
                stdout=log,
                stderr=log,
            )
        try:
            yield process, settings
        finally:
            process.terminate()
            process.wait(60)


def test_an_indexer_whose_clock_stands_still_is_sick_until_it_ticks(tmp_path: Path) -> None:
    with real_indexer(tmp_path) as (process, settings):
        wait_until(lambda: indexer(tmp_path).ready, "an indexer")
        node = f"indexer@{socket.gethostname()}"
        inspect = make_app("test", settings).control.inspect([node])
        wait_until(lambda: (inspect.stats() or {}).get(node, {}).get("total"), "what its clock asks for is done")
        wait_until(lambda: indexer(tmp_path).well, "an indexer that is well")
        family = psutil.Process(process.pid).children()  # its clock, and those who do what that asks for
        for child in family:
            child.suspend()
        wait_until(lambda: "clock does not tick" in indexer(tmp_path).text, "a sick indexer")
        for child in family:
            child.resume()
        wait_until(lambda: indexer(tmp_path).well, "an indexer that is well")
        process.terminate()
        wait_until(lambda: indexer(tmp_path).pid is None, "its end")

