"""Processes of an acceptance test: a broker and workers of its own, each stopped by its own process id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import redis

from packsight.deploy.stack.credentials import Role
from packsight.deploy.testbed import Servers, serving, variables
from packsight.shared.contract.messages import WORKER_QUEUES
from packsight.shared.settings import Queue, Settings, Worker

HERE = Path(__file__).parent


class StandIn:
    """A stand-in worker in a session of its own."""

    def __init__(
        self, settings: Settings, home: Path, *, children: int = 2, module: str = "standin", name: str = "celery",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self._environment = {**environment(settings), **variables}
        self.log = home / "packsight.worker.log"
        self._command = [sys.executable, "-m", "celery", "-A", module, "worker", "-c", str(children), "-n", f"{name}@%h"]
        self._command += ["-Q", ",".join(WORKER_QUEUES), "--without-gossip", "--without-mingle", "-l", "INFO"]
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=HERE,
                env={**os.environ, **self._environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill the parent; the kernel kills its children with it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()


def environment(settings: Settings) -> dict[str, str]:
    return {
        **variables(settings),
        "PACKSIGHT_QUEUE__VISIBILITY_TIMEOUT": str(settings.queue.visibility_timeout),
        "PACKSIGHT_QUEUE__SOCKET_TIMEOUT": str(settings.queue.socket_timeout),
        "PACKSIGHT_WORKER__TIME_LIMIT": str(settings.worker.time_limit),
        "PACKSIGHT_WORKER__IMAGE_SECONDS": str(settings.worker.image_seconds),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)]),
    }


def connect(servers: Servers, database: int) -> redis.Redis:
    return redis.Redis.from_url(servers.redis_url(database), decode_responses=True)


def write_to_disk(client: redis.Redis) -> None:
    """Return when all that the broker was told is in its append-only file, which is otherwise synced once a second."""
    client.set("tests:written", 1)
    assert client.waitaof(1, 0, 30_000) == [1, 0]


def wait_until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Return when a condition holds; the limit is only there to end a test that would hang."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {seconds:.0f} s: {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def running(
    home: Path, *, visibility_timeout: int, worker: Worker | None = None, objects: bool = False,
    module: str = "standin", variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[tuple[Servers, Settings, StandIn]]:  # fmt: skip
    """A broker with one worker of two children, with the limits of `worker` or the default ones."""
    with serving(home, objects=objects) as servers:
        queue = Queue(visibility_timeout=visibility_timeout, socket_timeout=2)
        limits = worker or Worker()
        settings = servers.settings(home, "outages", queue=queue, worker=limits)
        of_worker = servers.settings(home, "outages", Role.WORKER, queue=queue, worker=limits)
        process = StandIn(of_worker, home, module=module, variables={"STANDIN_NOTES": servers.redis_url(1), **variables})
        try:
            yield servers, settings, process
        finally:
            process.stop()
