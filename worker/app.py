"""The recognition worker: `celery -A worker.app worker`. Its parent process does plain I/O; the networks live in children."""

from __future__ import annotations

import os
from typing import Any

from celery.signals import worker_init, worker_process_init, worker_process_shutdown, worker_shutdown

from shared.celery_app import make_app
from shared.settings import settings
from worker.replica import Replica

app = make_app("packsight-worker", settings())
app.conf.include = ["worker.tasks"]
app.conf.worker_consumer = "worker.consumer:Consumer"

_replicas: list[Replica] = []


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
