"""A real Celery worker in a thread whose task needs no networks: for tests of what stands around recognition."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from celery import Celery, current_task
from celery.contrib.testing.worker import start_worker

from packsight.shared.contract.messages import RECOGNIZE, WORKER_QUEUES, RecognizeRequest
from packsight.shared.contract.outcomes import Outcome, RecognizeResult, Status
from packsight.shared.queue.app import make_app
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.pulse import Pulse
from packsight.shared.settings import Settings
from packsight.worker.queue.delivery import Batch, BatchKind


@dataclass
class StandIn:
    """A worker whose task answers `no_match` to every image, once the gate is open, and keeps the books as workers do.

    References with `crash` in them end the task with an error.
    """

    settings: Settings
    seen: Counter[str] = field(default_factory=Counter)
    tries: Counter[str] = field(default_factory=Counter)
    """Of all that came, also what ended with an error."""
    requests: list[RecognizeRequest] = field(default_factory=list)
    app: Celery = field(init=False)
    books: tuple[Ledger, DeadLetters, Pulse] = field(init=False)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()
        self.app = make_app("stand-in", self.settings)
        self.app.task(name=RECOGNIZE, shared=False, typing=False)(self.recognize)
        self.books = Ledger(self.settings), DeadLetters(self.settings), Pulse()

    def recognize(self, raw: dict[str, Any]) -> RecognizeResult:
        request = RecognizeRequest.model_validate(raw)
        self.tries.update(request.images)
        if any("crash" in image for image in request.images):
            raise RuntimeError("the task broke")
        kind = BatchKind(RECOGNIZE, RecognizeRequest, Outcome, self.look)
        return RecognizeResult.of(Batch(kind, str(current_task.request.id), request, *self.books).answer())

    def look(self, request: RecognizeRequest, _: str) -> list[Outcome]:
        self.gate.wait(30)
        self.seen.update(request.images)
        self.requests.append(request)
        return [Outcome(image=image, status=Status.NO_MATCH, reason="a stand-in") for image in request.images]

    def close(self) -> None:
        for book in self.books:
            book.close()


Kind = TypeVar("Kind", bound=StandIn)


@contextmanager
def running_one_of(kind: type[Kind], settings: Settings) -> Iterator[Kind]:
    """Serve all worker queues by a stand-in of this kind while the context lasts."""
    made = kind(settings)
    queues = list(WORKER_QUEUES)
    with start_worker(made.app, pool="solo", perform_ping_check=False, queues=queues, loglevel="WARNING"):
        yield made
        made.gate.set()
    made.close()


@contextmanager
def running(settings: Settings) -> Iterator[StandIn]:
    """Serve all worker queues while the context lasts."""
    with running_one_of(StandIn, settings) as made:
        yield made
