"""The parts of a local stack: how each is started, and how it is known to be ready."""

from __future__ import annotations

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from packsight.deploy.stack.services import Spec
from packsight.deploy.stack.state import StackState
from packsight.shared import health, launch
from packsight.shared.settings import Settings

HOST = socket.gethostname()
FLOWER_USER = "packsight"
PAGE_USER = "packsight"
"""Who signs in at the page of the HTTP door: the stack's owner."""


def worker_name(number: int) -> str:
    """What the stack calls a recognition worker, counted from 1."""
    return "worker" if number == 1 else f"worker-{number}"


def recognizer(number: int, home: Path, environment: dict[str, str]) -> Spec:
    """A recognition worker, ready when all of its children have built their networks."""
    suffix = "" if number == 1 else str(number)
    node = f"recognizer{suffix}@{HOST}"
    command = launch.python("packsight", "worker", "--name", node)
    return Spec(worker_name(number), command, lambda: health.ask(home, node).ready, environment, stop_seconds=30, node=node)


def indexer(home: Path, environment: dict[str, str]) -> Spec:
    """The indexer with its clock, ready when it listens to it."""
    node = f"indexer@{HOST}"
    command = launch.python("packsight", "indexer")
    return Spec("indexer", command, lambda: health.ask(home, node).ready, environment, stop_seconds=20, node=node)


def shows_figures(spec: Spec, port: int) -> Spec:
    """A part that Prometheus can scrape at a port of loopback."""
    variables = {"PACKSIGHT_METRICS__PORT": str(port), "PACKSIGHT_METRICS__ADDRESS": "127.0.0.1"}
    return replace(spec, environment={**spec.environment, **variables}, url=spec.url or f"http://127.0.0.1:{port}/metrics")


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
    address = f"http://127.0.0.1:{port}"
    return Spec("flower", command, asks_for_a_password(f"{address}/healthcheck"), environment | variables, url=address)


def http(port: int, environment: dict[str, str]) -> Spec:
    """The HTTP door at a port of loopback, ready when broker and object storage answer it."""
    address = f"http://127.0.0.1:{port}"
    variables = {"PACKSIGHT_HTTP__HOST": "127.0.0.1", "PACKSIGHT_HTTP__PORT": str(port)}
    command = launch.python("packsight", "serve")
    return Spec("http", command, _answers(f"{address}/readyz"), environment | variables, stop_seconds=30, url=address)


def _answers(url: str) -> Callable[[], bool]:
    """A question whether a page is there."""

    def ask() -> bool:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own loopback address
        except (urllib.error.URLError, OSError):
            return False
        return True

    return ask


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
