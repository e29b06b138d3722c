"""The indexer: `celery -A indexer.app worker -B`. It runs the periodic sync and the reconciler; it holds no model."""

from __future__ import annotations

from typing import Any

from shared.celery_app import make_app
from shared.messages import INDEXER_QUEUE, RECONCILE, SYNC
from shared.settings import Settings, settings


def beat_schedule(config: Settings) -> dict[str, dict[str, Any]]:
    """Periodic messages. Each expires with its period, so that a stopped indexer does not find hundreds of them."""
    schedule = {
        "reconcile": {
            "task": RECONCILE,
            "schedule": config.queue.reconcile_seconds,
            "options": {"queue": INDEXER_QUEUE, "expires": config.queue.reconcile_seconds},
        }
    }
    if config.catalog.feed:
        schedule["sync"] = {
            "task": SYNC,
            "schedule": config.catalog.sync_seconds,
            "options": {"queue": INDEXER_QUEUE, "expires": config.catalog.sync_seconds},
        }
    return schedule


app = make_app("packsight.indexer", settings(), include=["indexer.tasks"])
app.conf.beat_schedule = beat_schedule(settings())
# In memory: a schedule file that cannot be written would end the beat, and losing it costs but part of a period.
app.conf.beat_scheduler = "celery.beat:Scheduler"
