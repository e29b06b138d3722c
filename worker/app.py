"""The recognition worker: `celery -A worker.app worker`. Its parent process does plain I/O; the networks live in children."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery.signals import setup_logging, worker_init, worker_process_init, worker_process_shutdown, worker_shutdown

from shared import logs
from shared.celery_app import make_app
from shared.settings import settings
from worker.replica import Replica

app = make_app("packsight-worker", settings(), include=["worker.tasks"])

_replicas: list[Replica] = []


@setup_logging.connect
def _set_up_logging(loglevel: int | None = None, **_: Any) -> None:
    logs.set_up(settings().log_format, loglevel or logging.INFO)


@worker_init.connect
def _start_replica(sender: Any, **_: Any) -> None:
    # Children are spawned, so they read the node's name from the environment.
    os.environ["PACKSIGHT_NODE"] = str(sender.hostname)
    replica = Replica(settings(), str(sender.hostname))
    replica.start()
    _replicas.append(replica)


@worker_shutdown.connect
def _stop_replica(**_: Any) -> None:
    for replica in _replicas:
        replica.stop()


@worker_process_init.connect
def _build_child(**_: Any) -> None:
    from worker.child import child  # noqa: PLC0415 - only children load the networks

    child()


@worker_process_shutdown.connect
def _withdraw_child(**_: Any) -> None:
    from worker.child import child  # noqa: PLC0415

    child().registration.withdraw()
