"""The indexer. It runs the periodic sync and the reconciler; it holds no model."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from celery.signals import worker_init, worker_shutting_down

from packsight.indexer.watching.reviewed import Reviews
from packsight.indexer.watching.watch import Watch
from packsight.shared.contract.messages import INDEXER_QUEUE, RECONCILE, SYNC
from packsight.shared.metrics import vital_signs
from packsight.shared.queue.app import App, make_app
from packsight.shared.queue.heartbeat import heartbeat
from packsight.shared.queue.process import take_over_logging
from packsight.shared.queue.vitals import Judge, Rules, Vitals
from packsight.shared.settings import Settings, settings

_UNHEARD = {"queue": INDEXER_QUEUE, "ignore_result": True}
"""The clock hears of no result: waiting for one would tie it to the result database."""


def beat_schedule(config: Settings) -> dict[str, dict[str, Any]]:
    """Periodic messages. Each expires with its period, so that a stopped indexer does not find hundreds of them."""
    schedule = {
        "reconcile": {
            "task": RECONCILE,
            "schedule": config.queue.reconcile_seconds,
            "options": {**_UNHEARD, "expires": config.queue.reconcile_seconds},
        }
    }
    if config.catalog.feed:
        schedule["sync"] = {
            "task": SYNC,
            "schedule": config.catalog.sync_seconds,
            "options": {**_UNHEARD, "expires": config.catalog.sync_seconds},
        }
    return schedule


_NAME = "packsight.indexer"
_MISSED_TICKS = 3
"""Of the clock's quickest hand: fewer may be those of another indexer, or a machine under load."""
_stopped: list[Callable[[], None]] = []
"""What is to look no more when this process stops."""
take_over_logging()


@lru_cache(maxsize=1)
def indexer_app() -> App:
    """Return the app of this process, made of its settings at the first call."""
    config = settings()
    return make_app(
        _NAME, config, include=["packsight.indexer.tasks"], beat_schedule=beat_schedule(config)
    )


@worker_init.connect
def _start_threads(sender: Any, **_: Any) -> None:
    if sender.app.main != _NAME:  # signals are of all apps of a process
        return
    config = settings()
    stuck = max(config.queue.stuck_after, _MISSED_TICKS * config.queue.reconcile_seconds)
    judge = Judge(Rules(cold_start=config.worker.start_timeout, stuck=stuck), time.monotonic(), ticks=True)
    vitals = Vitals(config, str(sender.hostname), heartbeat(), judge)
    vitals.start()
    _stopped.append(vitals.stop)
    watch = Watch(config, store=bool(config.metrics.port), reviews=Reviews(config.review).read)
    watch.start()
    _stopped.append(watch.stop)
    if config.metrics.port:
        from packsight.shared.metrics.exporter import Figures  # noqa: PLC0415 - its library is of no use to others

        Figures([], [partial(vital_signs.samples_of, vitals), watch.samples]).serve(config.metrics)


@worker_shutting_down.connect
def _stop_threads(**_: Any) -> None:
    for stop in _stopped:
        stop()
