"""A real Prometheus, Debian's, on a free port of loopback."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from packsight.deploy.stack import services
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.stack.services import Spec

COUNTED = 20
"""Seconds over which hastened rules count, and from which to which they compare."""
SHIPPED = Path(__file__).parents[1] / "deploy" / "prometheus"


def program(name: str) -> str:
    """Path of one of its programs; without it a test is skipped, and says what is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} of Debian's prometheus")
    return found


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hastened(rules: str) -> str:
    """The shipped rules, with nothing changed but how long they wait, over how long they count, and how far they look back."""
    hasty = re.sub(r"(?m)^(\s+)for: \w+$", r"\1for: 0s", rules)
    hasty = re.sub(r"(?m)^(\s+)interval: \w+$", r"\1interval: 500ms", hasty)
    return re.sub(r"\[(15m|1h|1d)\]", f"[{COUNTED}s]", hasty).replace("offset 7d", f"offset {COUNTED}s")


class Prometheus:
    """What a running one says."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def _get(self, path: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"{self._address}/{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def alerts(self) -> set[str]:
        """Names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"}

    def value(self, expression: str) -> float | None:
        """What an expression comes to, if it is a single number."""
        found = self._get("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else None

    def metrics(self) -> set[str]:
        return set(self._get("label/__name__/values"))


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, Sequence[int]]) -> Iterator[Prometheus]:
    """Run one that scrapes ports, by the name of their job, twice a second, and goes by the shipped rules, hastened."""
    (port,) = free_ports(1)
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": [f"127.0.0.1:{one}" for one in targets.get(job["job_name"], ())]}]
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "alerts.yml").write_text(hastened((SHIPPED / "alerts.yml").read_text()))
    command = [program("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    spec, log = Spec("prometheus", command, ready), folder / "prometheus.log"
    process = services.start(spec, log)
    try:
        services.wait_ready(spec, process, log, 60)
        yield Prometheus(port)
    finally:
        services.stop(process)
