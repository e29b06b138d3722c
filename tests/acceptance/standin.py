"""A worker without networks: the tasks, transport and bookkeeping are the real ones, only looking at a photo is acted.

What is done with an image is written in its reference: `sleep:SECONDS`, `stored:…` (it is answered if object storage is there),
`kept:…` (something is written there first, as features are), `published:CATALOG` (it is answered if the catalog can be read),
`served:CATALOG` (it is answered once somebody serves the catalog), `stuck:NUMBER` (so many children stand still when they store
the result of its batch), `lose` (the first that has it answers no photo any more, as a
process whose device was lost), `read:NUMBER` (so many lines are read on it), `kill` (the process ends itself, as a crash in
native code would), `hang` (a sleep that no Python signal handler ends), `memory` (no memory left; not where `Batch` could catch
it), `https://…` (its host is away the first time that it is asked).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from redis import Redis, RedisError

from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, Dependency, ErrorCode, Outage, StorageError
from packsight.shared.contract.messages import RECOGNIZE, RecognizeRequest, parse_request
from packsight.shared.contract.outcomes import Failure, Outcome, RecognizeResult, Status, WordRead
from packsight.shared.queue import registry
from packsight.shared.queue.app import make_app
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.pulse import pulse
from packsight.shared.settings import settings
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.process.outages import TAKES
from packsight.worker.queue.delivery import Batch, BatchKind
from packsight.worker.queue.putting_off import not_kept, not_served
from packsight.worker.queue.request import BatchTask

app = make_app("standin", settings(), include=["standin"], takes=TAKES)
RAN = "standin:ran:"
LINE = WordRead(text="soap", confidence=0.9, box=[(0, 0), (9, 0), (9, 9), (0, 9)])


@lru_cache(maxsize=1)
def books() -> tuple[Ledger, DeadLetters]:
    return Ledger(settings()), DeadLetters(settings())


@lru_cache(maxsize=1)
def notes() -> Redis:
    return Redis.from_url(os.environ.get("STANDIN_NOTES", settings().result_url.get_secret_value()))


def recognize(self: BatchTask, argument: dict[str, Any]) -> RecognizeResult:
    ledger, dead_letters = books()
    request = parse_request(RecognizeRequest, argument)
    if "memory" in request.images:
        raise MemoryError
    with suppress(RedisError):  # a note for the test alone
        notes().rpush(RAN + self.request.id, os.getpid())
    outcomes = Batch(KIND, self.request.id, request, ledger, dead_letters, pulse(), self.deadline).answer()
    return Stuck.of(outcomes) if stands_still(request.images) else RecognizeResult.of(outcomes)


class Stuck(RecognizeResult):
    """A result over which whoever writes it stands still."""

    def stored(self) -> str:
        hang()
        return super().stored()


def stands_still(images: Sequence[str]) -> bool:
    for image in images:
        what, _, times = image.partition(":")
        if what == "stuck" and notes().incr("standin:stored:" + image) <= int(times):
            return True
    return False


app.task(name=RECOGNIZE, bind=True, base=BatchTask)(recognize)


def look_at_photo(image: str) -> Outcome:
    with pulse().part([image]):
        return act(image)


def act(image: str) -> Outcome:
    what, _, value = image.partition(":")
    if what == "sleep":
        time.sleep(float(value))
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "https" and notes().incr("standin:asked:" + image) == 1:
        return Outcome.failed(image, Failure.of_code(ErrorCode.HOST_UNREACHABLE, "no route"))
    elif what == "stuck":
        notes().incr("standin:seen:" + image)
    elif what == "hang":
        hang()
    lines = [LINE] * int(value) if what == "read" else []
    return Outcome(image=image, status=Status.NO_MATCH, words=lines)


def hang() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    time.sleep(600)


@lru_cache(maxsize=1)
def store() -> ObjectStore:
    return ObjectStore(settings().s3)


def keep(image: str) -> None:
    try:
        store().write(layout.FEATURES + image, bytes(300_000))
    except StorageError as error:
        raise not_kept(store(), error) from error


def look_at(catalog: str) -> None:
    try:
        CatalogStore(store(), catalog, Trust.of_reader(settings())).current()
    except CatalogError as error:
        raise Outage(Dependency.CATALOG, error.message) from error


def find_served(catalog: str) -> None:
    if not registry.is_served(notes(), catalog):
        raise not_served(notes(), catalog, Outage(Dependency.CATALOG, "of another recipe"), ["other"])


LOST = list[str]()


def check() -> None:
    if LOST:
        raise Outage(Dependency.NETWORKS, "the device is lost")


def run(request: RecognizeRequest, _: str) -> list[Outcome]:
    if "lose" in request.images and notes().set("standin:lost", os.getpid(), nx=True):
        LOST.append("device")
    if LOST:
        raise RuntimeError("the device is lost")
    for image in request.images:
        if image.startswith("kept:"):
            keep(image)
        elif image.startswith("published:"):
            look_at(image.removeprefix("published:"))
        elif image.startswith("served:"):
            find_served(image.removeprefix("served:"))
    away = [image for image in request.images if image.startswith("stored:") and not store().answers()]
    answered = {image: look_at_photo(image) for image in request.images if image not in away}
    if away:
        raise Outage(Dependency.STORE, f"{away[0]} cannot be read", answered)
    return [answered[image] for image in request.images]


KIND = BatchKind(RECOGNIZE, RecognizeRequest, Outcome, run, check)
