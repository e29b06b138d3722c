"""Where everything is measured: services and workers of the benchmark's own, in a folder of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from packsight.deploy.stack import parts, services
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.stack.services import Spec
from packsight.shared import launch
from packsight.shared.queue.app import make_app
from packsight.shared.settings import Settings, load_settings
from packsight.shared.storage.objects import ObjectStore

BUCKET = "bench"
TAKEN_OVER = ("PACKSIGHT_MODELS__", "PACKSIGHT_WORKER__")
"""Settings of the user that are measured too; all others may belong to a stack that must not be touched."""


@dataclass(frozen=True)
class Ground:
    """Running services; `environment` is what leads a process to them.

    servers: pids by name.
    """

    folder: Path
    environment: dict[str, str]
    settings: Settings
    servers: dict[str, int]
    broker: str

    def redis_url(self, database: int) -> str:
        """Address of one of the broker's 16 databases."""
        return f"{self.broker}/{database}"


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
def ground(folder: Path, models: Path) -> Iterator[Ground]:
    """Start a broker and an object store; they are stopped at the end, also after a failure.

    models: cache of compiled networks, kept from run to run.
    """
    valkey_port, *weed_ports = free_ports(1 + services.SEAWEED_PORTS)
    password, access, secret = (secrets.token_hex(12) for _ in range(3))
    specs = [
        services.valkey(folder / "valkey", valkey_port, password),
        services.seaweed(folder / "seaweedfs", weed_ports, access, secret),
    ]
    broker = f"redis://:{password}@127.0.0.1:{valkey_port}"
    environment = {
        **launch.ONE_THREAD,
        "PACKSIGHT_STACK_FILE": str(folder / "no-stack.env"),
        "PACKSIGHT_BROKER_URL": f"{broker}/0",
        "PACKSIGHT_RESULT_URL": f"{broker}/1",
        "PACKSIGHT_HOME": str(folder / "home"),
        "PACKSIGHT_S3__ENDPOINT": f"127.0.0.1:{weed_ports[0]}",
        "PACKSIGHT_S3__ACCESS_KEY": access,
        "PACKSIGHT_S3__SECRET_KEY": secret,
        "PACKSIGHT_S3__BUCKET": BUCKET,
    }
    with _environment(environment), ExitStack() as stack:
        os.environ.setdefault("PACKSIGHT_MODELS__CACHE_DIR", str(models))
        settings = load_settings()
        servers = {spec.name: stack.enter_context(_serving(spec, folder)) for spec in specs}
        store = ObjectStore(settings.s3)
        store.ensure_bucket()
        store.close()
        yield Ground(folder, environment, settings, servers, broker)


@contextmanager
def worker(on: Ground, **variables: str) -> Iterator[Running]:
    """Run `packsight worker` as an operator would; `variables` are added to its environment."""
    settings = on.settings
    app = make_app("bench-up", settings)
    spec = parts.recognizer(1, settings, on.environment | variables, app)
    with celery_worker(spec, on.folder, settings.worker.start_timeout + 60) as running:
        yield running
    app.close()


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
        for child in psutil.wait_procs(family, timeout=2)[1]:
            child.kill()


@contextmanager
def _serving(spec: Spec, folder: Path) -> Iterator[int]:
    process = services.start(spec, folder / f"{spec.name}.log")
    try:
        services.wait_ready(spec, process, folder / f"{spec.name}.log", 60)
        yield process.pid
    finally:
        services.stop(process)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Lead this process and those that it starts to the benchmark's services, and to no others."""
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
