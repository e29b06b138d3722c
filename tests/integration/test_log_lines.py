"""What real processes write where every line is to be an object of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from packsight.deploy.testbed import Servers
from packsight.shared import health, launch
from tests.acceptance.stack import environment, wait_until


def test_every_line_of_the_indexer_and_its_children_is_an_object(servers: Servers, tmp_path: Path) -> None:
    settings = servers.settings(tmp_path, "packsight")
    environ = {**os.environ, **environment(settings), "PACKSIGHT_LOG_FORMAT": "json", "PYTHONWARNINGS": "always"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "packsight", "indexer"], env=environ, stdout=output, stderr=output)
    try:
        wait_until(lambda: health.ask(tmp_path, launch.node(launch.INDEXER_NODE)).ready, "a child that has done something")
        written = log.read_text()  # before the end: billiard's tracker of semaphores tells of those that a kill leaves behind
    finally:
        process.kill()
        process.wait()
    lines = [json.loads(line) for line in written.splitlines()]
    assert "celery.apps.worker" in {line["logger"] for line in lines}
