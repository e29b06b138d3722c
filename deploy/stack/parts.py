"""The parts of a local stack: how each is started, and how it is known to be ready."""

from __future__ import annotations

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from celery import Celery

from packsight.deploy.stack.services import Spec
from packsight.deploy.stack.state import StackState
from packsight.shared import launch
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.registry import children
from packsight.shared.settings import Settings

HOST = socket.gethostname()
FLOWER_USER = "packsight"


def recognizer(number: int, settings: Settings, environment: dict[str, str], app: Celery) -> Spec:
    """A recognition worker, ready when as many children as it has have built their networks."""
    node = f"recognizer{'' if number == 1 else number}@{HOST}"
    begun = datetime.now(UTC)

    def ready() -> bool:
        with result_database(settings) as client:
            mine = [child for child in children(client) if child.node == node]
        up = sum(child.ready_at is not None and child.ready_at >= begun for child in mine)
        if up == 0:
            return False
        stats = app.control.inspect([node], timeout=2).stats() or {}
        return node in stats and up >= int(stats[node]["pool"]["max-concurrency"])

    command = launch.python("packsight", "worker", "--name", node)
    return Spec(f"worker{'' if number == 1 else f'-{number}'}", command, ready, environment, stop_seconds=30)


def indexer(environment: dict[str, str], app: Celery) -> Spec:
    """The indexer with its clock; it answers a ping when it is ready."""
    node = f"indexer@{HOST}"
    command = launch.python("packsight", "indexer")
    return Spec("indexer", command, lambda: _pings(app, node), environment, stop_seconds=20)


def _pings(app: Celery, node: str) -> bool:
    return bool(app.control.inspect([node], timeout=2).ping())


def flower(state: StackState, data: Path, environment: dict[str, str]) -> Spec:
    """Flower behind a password, its history kept over restarts."""
    port = state.ports["flower"]
    variables = {
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(port),
        "FLOWER_DB": str(data / "flower"),
        "PACKSIGHT_FLOWER__USER": FLOWER_USER,
        "PACKSIGHT_FLOWER__PASSWORD": state.credentials.flower,
    }
    command = launch.python("packsight.deploy.flower_app", "flower")
    return Spec("flower", command, asks_for_a_password(f"http://127.0.0.1:{port}/healthcheck"), environment | variables)


def asks_for_a_password(url: str) -> Callable[[], bool]:
    """A question whether a page is there and lets nobody in without a password."""

    def ask() -> bool:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - our own loopback address
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == HTTPStatus.UNAUTHORIZED
        except (urllib.error.URLError, OSError):
            return False
        return False

    return ask


def share_of_machine(workers: int, settings: Settings) -> dict[str, str]:
    """Settings that divide the cores among several workers; a single worker divides them itself."""
    if workers == 1:
        return {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    number = settings.worker.children or 1
    threads = settings.worker.threads or max(1, cores // (workers * number))
    return {"PACKSIGHT_WORKER__CHILDREN": str(number), "PACKSIGHT_WORKER__THREADS": str(threads)}
