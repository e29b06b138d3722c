"""Where everything is measured: servers and workers of the benchmark's own, in a folder of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from packsight.deploy.stack import parts, services
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.stack.services import Spec
from packsight.deploy.stack.stopping import FAMILY, kill, still_alive
from packsight.deploy.testbed import Server, Servers, serving, variables
from packsight.shared import launch
from packsight.shared.settings import Settings, load_settings
from packsight.shared.storage.objects import ObjectStore

BUCKET = "bench"
TAKEN_OVER = ("PACKSIGHT_MODELS__", "PACKSIGHT_WORKER__")
"""Settings of the user that are measured too; all others may belong to a stack that must not be touched."""


@dataclass(frozen=True)
class Testbed:
    """Running servers; `environment` is what leads a process to them."""

    folder: Path
    environment: dict[str, str]
    settings: Settings
    running: Servers

    @property
    def pids(self) -> dict[str, int]:
        """The servers' process ids by name."""
        servers = [server for server in (self.running.broker, self.running.objects) if server]
        return {server.spec.name: server.process.pid for server in servers}

    def redis_url(self, database: int) -> str:
        """Address of one of the broker's 16 databases."""
        return self.running.redis_url(database)


@dataclass(frozen=True)
class Running:
    """A worker: its process and the processes under it."""

    pid: int
    log: Path

    def processes(self) -> list[psutil.Process]:
        """The parent first, then its children."""
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]

    def children(self) -> list[int]:
        """Pids of the children that run tasks; beside them stands only the tracker of semaphores."""
        return [one.pid for one in self.processes()[1:] if not any("_tracker import" in word for word in one.cmdline())]

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Freeze the worker, so that its polling takes nothing from what is measured meanwhile."""
        stopped = self.processes()
        for process in stopped:
            process.suspend()
        try:
            yield
        finally:
            for process in stopped:
                process.resume()


@contextmanager
def testbed(folder: Path, models: Path) -> Iterator[Testbed]:
    """Start a broker and an object store; they are stopped at the end, also after a failure or where this process is to end.

    models: cache of compiled networks, kept from run to run.
    """
    with _ended_like_an_interrupt(), serving(folder) as running:
        environment = launch.FRUGAL | variables(running.settings(folder / "home", BUCKET))
        with _environment(environment):
            os.environ.setdefault("PACKSIGHT_MODELS__CACHE_DIR", str(models))
            settings = load_settings()
            with closing(ObjectStore(settings.s3)) as store:
                store.ensure_bucket()
            yield Testbed(folder, environment, settings, running)


@contextmanager
def _ended_like_an_interrupt() -> Iterator[None]:
    """Take SIGTERM for an interrupt, which unwinds what was started; by itself it would leave servers and workers behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def worker(on: Testbed, **changes: str) -> Iterator[Running]:
    """Run `packsight worker` as an operator would; `changes` are added to its environment."""
    spec = parts.recognizer(1, on.settings.home, on.environment | changes)
    with celery_worker(spec, on.folder, on.settings.worker.start_timeout + 60) as running:
        yield running


@contextmanager
def door(on: Testbed, **changes: str) -> Iterator[Server]:
    """Run `packsight serve` until the end of the block; its address is `spec.url`. `changes` are added to its environment."""
    server = Server(parts.http(free_ports(1)[0], on.environment | changes), on.folder)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def celery_worker(spec: Spec, folder: Path, seconds: float) -> Iterator[Running]:
    """Run a worker until the end of the block."""
    log = folder / f"{spec.name}.log"
    process = services.start(spec, log)
    try:
        services.wait_ready(spec, process, log, seconds)
        yield Running(process.pid, log)
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        services.stop(process, 30)
        kill(still_alive(dict.fromkeys(family, FAMILY)))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Lead this process and those that it starts to the benchmark's servers, and to no others."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("PACKSIGHT_") and not name.startswith(TAKEN_OVER):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
