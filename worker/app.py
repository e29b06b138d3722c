"""The recognition worker. Its parent process does plain I/O; the networks live in children."""

from __future__ import annotations

import logging
import os
import time
from contextlib import closing
from functools import lru_cache
from typing import Any

from celery.signals import (
    task_postrun,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_shutdown,
    worker_shutting_down,
)

from packsight.shared import memory
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.contract.messages import BULK_QUEUE, DESCRIBE_QUEUE
from packsight.shared.queue.app import App, make_app
from packsight.shared.queue.heartbeat import heartbeat
from packsight.shared.queue.process import take_over_logging
from packsight.shared.queue.registry import CHILD_TTL, REPLICA_TTL
from packsight.shared.queue.vitals import Judge, Rules, Vitals
from packsight.shared.settings import Precision, settings
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.replica import Replica
from packsight.worker.networks import quantised
from packsight.worker.process.cores import divide, usable_cores
from packsight.worker.process.outages import TAKES, outages, takes
from packsight.worker.process.without_pandas import refuse_pandas

log = logging.getLogger(__name__)
take_over_logging()

_NAME = "packsight-worker"
_replicas: list[Replica] = []
_vitals: list[Vitals] = []


@lru_cache(maxsize=1)
def worker_app() -> App:
    """Return the app of this process, made of its settings at the first call."""
    return make_app(
        _NAME,
        settings(),
        include=["packsight.worker.queue.tasks"],
        takes=TAKES,
        # What is in work of jobs and syncs leaves the spare children to whoever waits for a single photo.
        per_queue_prefetch=(divide(settings().worker, usable_cores())[0], (BULK_QUEUE, DESCRIBE_QUEUE)),
    )


@worker_init.connect
def _start_threads(sender: Any, **_: Any) -> None:
    if sender.app.main != _NAME:  # signals are of all apps of a process
        return
    config, node = settings(), str(sender.hostname)
    # Children are spawned, so they read the node's name from the environment.
    os.environ["PACKSIGHT_NODE"] = node
    if config.models.precision is Precision.INT8:
        _renew_quantised()
    replica = Replica(config, node)
    rules = Rules(cold_start=config.worker.start_timeout + CHILD_TTL, stuck=config.queue.stuck_after)
    vitals = Vitals(
        config,
        node,
        heartbeat(),
        Judge(rules, time.monotonic(), has_children=True),
        outages=outages().told,
        takes=takes,
        replica_age=lambda: replica.age,
        replica_limit=max(REPLICA_TTL, 3 * config.catalog.poll_seconds),
    )
    if config.metrics.port:
        from packsight.worker.process.scraped import show  # noqa: PLC0415 - its library is of no use to others

        show(config.metrics, vitals)
    replica.start()
    _replicas.append(replica)
    vitals.start()
    _vitals.append(vitals)


def _renew_quantised() -> None:
    """Bring newer networks here before there are children, which must all run the same."""
    try:
        with closing(ObjectStore(settings().s3)) as store:
            new = quantised.bring(store, settings().models.cache_dir, renew=True)
        log.info("networks in int8 that are new here: %d", len(new))
    except (PacksightError, UserError, OSError) as error:
        log.error("networks in int8 cannot be renewed, those that are here stay: %s", error)


@worker_shutting_down.connect
def _stop_vitals(**_: Any) -> None:
    for vitals in _vitals:
        vitals.stop()


@worker_shutdown.connect
def _stop_replica(**_: Any) -> None:
    for replica in _replicas:
        replica.stop()


@worker_process_init.connect
def _build_child(**_: Any) -> None:
    refuse_pandas()
    from packsight.worker.process.child import child  # noqa: PLC0415 - only children load the networks

    child()


@worker_process_shutdown.connect
def _withdraw_child(**_: Any) -> None:
    from packsight.worker.process.child import child  # noqa: PLC0415

    child().registration.withdraw()
    child().pulse.close()


@task_postrun.connect
def _give_memory_back(**_: Any) -> None:
    memory.give_back()
