"""Processes of an acceptance test: a broker and workers of its own, each stopped by its own process id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis
from pydantic import SecretStr

from packsight.deploy.stack import services
from packsight.deploy.stack.ports import free_ports
from packsight.shared.contract.messages import WORKER_QUEUES
from packsight.shared.settings import Queue, Settings

HERE = Path(__file__).parent
PASSWORD = "acceptance"


class Broker:
    """A Valkey that can be killed and started again on the same data."""

    def __init__(self, home: Path) -> None:
        (self.port,) = free_ports(1)
        self._spec = services.valkey(home / "valkey", self.port, PASSWORD)
        self._log = home / "valkey.log"
        self.start()

    def start(self) -> None:
        self.process = services.start(self._spec, self._log)
        services.wait_ready(self._spec, self.process, self._log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def client(self, database: int) -> redis.Redis:
        return redis.Redis(port=self.port, password=PASSWORD, db=database, decode_responses=True)

    def url(self, database: int) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/{database}"


class StandIn:
    """A stand-in worker in a session of its own."""

    def __init__(self, settings: Settings, home: Path, *, children: int = 2, module: str = "standin") -> None:
        self._settings = settings
        self.log = home / "packsight.worker.log"
        self._command = [sys.executable, "-m", "celery", "-A", module, "worker", "-c", str(children)]
        self._command += ["-Q", ",".join(WORKER_QUEUES), "--without-gossip", "--without-mingle", "-l", "INFO"]
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=HERE,
                env={**os.environ, **environment(self._settings)},
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


def settings_for(broker: Broker, home: Path, *, visibility_timeout: int) -> Settings:
    return Settings(
        _env_file=None,
        broker_url=SecretStr(broker.url(0)),
        result_url=SecretStr(broker.url(1)),
        home=home,
        queue=Queue(visibility_timeout=visibility_timeout, socket_timeout=2),
    )


def environment(settings: Settings) -> dict[str, str]:
    return {
        "PACKSIGHT_STACK_FILE": os.devnull,
        "PACKSIGHT_BROKER_URL": settings.broker_url.get_secret_value(),
        "PACKSIGHT_RESULT_URL": settings.result_url.get_secret_value(),
        "PACKSIGHT_QUEUE__VISIBILITY_TIMEOUT": str(settings.queue.visibility_timeout),
        "PACKSIGHT_QUEUE__SOCKET_TIMEOUT": str(settings.queue.socket_timeout),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)]),
    }


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Return when a condition holds; the limit is only there to end a test that would hang."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen within {seconds:.0f} s: {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def running(home: Path, *, visibility_timeout: int) -> Iterator[tuple[Broker, Settings, StandIn]]:
    """A broker with one worker of two children."""
    broker = Broker(home)
    settings = settings_for(broker, home, visibility_timeout=visibility_timeout)
    worker = StandIn(settings, home)
    try:
        yield broker, settings, worker
    finally:
        worker.stop()
        services.stop(broker.process)
