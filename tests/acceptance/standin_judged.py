"""The stand-in worker with its health judged. While a file `closed` lies in its home it takes no message and knows no reason."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import redis
from celery.signals import worker_init, worker_process_init
from standin import app  # type: ignore[import-not-found]

from packsight.shared.queue import registry
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.heartbeat import heartbeat
from packsight.shared.queue.vitals import Judge, Rules, Vitals
from packsight.shared.settings import settings
from packsight.worker.process import outages
from packsight.worker.process.scraped import show


def takes(_queue: str) -> bool:
    return not (settings().home / "closed").exists()


app.conf.broker_transport_options |= {"takes": "standin_judged:takes"}
app.conf.include += ["standin_judged"]  # which the children then import too


@worker_init.connect  # type: ignore[untyped-decorator]
def look_after(sender: Any, **_: Any) -> None:
    rules = Rules(cold_start=60, stuck=settings().queue.stuck_after)
    judge = Judge(rules, time.monotonic(), has_children=True)
    vitals = Vitals(settings(), str(sender.hostname), heartbeat(), judge, outages=outages.outages().told, takes=outages.takes)
    if settings().metrics.port:
        show(settings().metrics, vitals)
    vitals.start()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def register(**_: Any) -> None:
    entry = registry.ChildEntry(host=socket.gethostname(), pid=os.getpid(), embedder="", spotter="")

    def announce() -> None:
        with result_database(settings()) as client:
            while True:
                with suppress(redis.RedisError):
                    registry.announce_child(client, entry)
                time.sleep(1)

    threading.Thread(target=announce, daemon=True).start()
