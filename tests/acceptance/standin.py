"""A worker without networks: the tasks, transport and bookkeeping are the real ones, only looking at a photo is acted.

What is done with an image is written in its reference: `sleep:SECONDS`, `kill` (the process ends itself, as a crash in native
code would), `hang` (a sleep that no Python signal handler ends), `memory` (no memory left; not where `run_batch` could catch it).
"""

from __future__ import annotations

import json
import os
import signal
import time
from functools import lru_cache
from typing import Any

from packsight.shared.contract.messages import RECOGNIZE
from packsight.shared.contract.outcomes import Failure
from packsight.shared.queue.app import make_app
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import settings
from packsight.worker.queue.delivery import run_batch
from packsight.worker.queue.request import BatchTask

app = make_app("standin", settings(), include=["standin"])
RAN = "standin:ran:"


@lru_cache(maxsize=1)
def books() -> tuple[Ledger, DeadLetters]:
    return Ledger(settings()), DeadLetters(settings())


def recognize(self: BatchTask, request: dict[str, Any]) -> dict[str, Any]:
    ledger, dead_letters = books()
    if "memory" in request["images"]:
        raise MemoryError
    ledger.client.rpush(RAN + self.request.id, os.getpid())

    def run(images: list[str]) -> list[dict[str, Any]]:
        return [act(image) for image in images]

    outcomes = run_batch(
        ledger, dead_letters, self.request.id, request["images"], run, failed, json.dumps, json.loads,
        payload=request,
    )  # fmt: skip
    return {"outcomes": outcomes}


app.task(name=RECOGNIZE, bind=True, base=BatchTask)(recognize)


def failed(image: str, failure: Failure) -> dict[str, Any]:
    return {"image": image, "failure": failure.code.value}


def act(image: str) -> dict[str, Any]:
    what, _, value = image.partition(":")
    if what == "sleep":
        time.sleep(float(value))
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
        time.sleep(600)
    return {"image": image, "failure": None}
