"""Another program: a plain Celery app with a task on a queue of its own, as `celery -A other_program worker`."""

from __future__ import annotations

import json
import os
from typing import Any

import redis
from celery import Celery

QUEUE = "myapp"
HEARD = "myapp.heard"

app = Celery(
    "other", broker=os.environ.get("PACKSIGHT_BROKER_URL"), backend=os.environ.get("PACKSIGHT_RESULT_URL"), set_as_current=False
)
app.conf.broker_connection_retry_on_startup = True
# Beside the messages that packsight's workers hold: a user of its own may not touch those.
app.conf.broker_transport_options = {name: f"{QUEUE}.{name.removesuffix('_key')}" for name in (
    "unacked_key", "unacked_index_key", "unacked_mutex_key",
)}  # fmt: skip


@app.task(name="myapp.store", shared=False)  # type: ignore[untyped-decorator]
def store(*arguments: Any) -> Any:
    """Note what it is given, and return how much that is."""
    with redis.Redis.from_url(os.environ["PACKSIGHT_RESULT_URL"]) as client:
        client.rpush(HEARD, json.dumps(arguments))
    return [QUEUE, len(arguments)]
