"""The producer's side of the queue: an app that only publishes, and what is said when the broker is away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from redis.exceptions import AuthenticationError, NoPermissionError

from packsight.producer.backoff import UNANSWERED
from packsight.shared import advice
from packsight.shared.contract.errors import StorageAway, UserError
from packsight.shared.contract.messages import (
    BULK_QUEUE,
    PRIORITIES,
    RECOGNIZE,
    WORKER_QUEUES,
    Priority,
    RecognizeRequest,
)
from packsight.shared.contract.references import place
from packsight.shared.queue import refusals
from packsight.shared.queue.app import App, make_app
from packsight.shared.queue.broker import open_broker
from packsight.shared.settings import Settings
from packsight.shared.storage.jobs import Batch, JobManifest

_SIGN_IN = (
    "It runs, and wants another name or password: give them with its address, or by PACKSIGHT_REDIS__USER and "
    "PACKSIGHT_REDIS__PASSWORD."
)


class QueueAway(UserError):
    """Broker or result database do not answer."""


def producer_app(settings: Settings) -> App:
    """Make an app for publishing; workers store results all the same."""
    return make_app("packsight.producer", settings, sends_only=True)


def send(
    app: Celery,
    request: RecognizeRequest,
    *,
    task_id: str,
    queue: str,
    expires: float | None = None,
    priority: Priority = Priority.NORMAL,
    headers: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Put one batch on a queue; an unanswering broker raises at once instead of being tried again.

    `expires`: seconds after which a worker drops the message unseen. `headers`: what people call it (`Batch.headers`).
    """
    argument = request.argument()
    app.send_task(
        RECOGNIZE,
        args=[argument],
        task_id=task_id,
        queue=queue,
        retry=False,
        expires=expires,
        priority=PRIORITIES[priority],
        headers=dict(headers),
    )


def send_batch(app: Celery, manifest: JobManifest, batch: Batch) -> None:
    """Put a batch of a job on the queue of jobs."""
    request = batch.request(manifest)
    send(app, request, task_id=batch.task_id, queue=BULK_QUEUE, priority=manifest.priority, headers=batch.headers)


def queue_is_empty(app: App) -> bool:
    """Tell whether no message for recognition workers is waiting or being worked on."""
    with closing(open_broker(app.settings)) as broker:
        return broker.backlog(WORKER_QUEUES).empty


@contextmanager
def storing(settings: Settings) -> Iterator[None]:
    """Have object storage that does not answer say how to start it."""
    try:
        yield
    except StorageAway as error:
        remedy = advice.start(settings.home, "s3", "PACKSIGHT_S3__ENDPOINT")
        raise StorageAway(error.code, error.message, remedy=remedy) from error


@contextmanager
def answering(settings: Settings, then: str = "") -> Iterator[None]:
    """Turn an unanswering broker or result store into QueueAway; `then` says how the user goes on afterwards.

    Object storage that does not answer says likewise how to start it. A refused right is a UserError that says so.
    """
    try:
        with storing(settings):
            yield
    except NoPermissionError as error:
        what = f"The queue refuses this to the user of these settings: {error}"
        raise UserError(f"{what}. Use the settings of a role that may.") from error
    except UNANSWERED as error:
        places = " or ".join(dict.fromkeys(map(_place, (settings.broker, settings.results))))
        away = advice.start(settings.home, "broker", "PACKSIGHT_BROKER_URL and PACKSIGHT_RESULT_URL")
        remedy = _SIGN_IN if isinstance(error, AuthenticationError) else refusals.remedy(error, away)
        raise QueueAway(
            f"The queue at {places} does not answer ({_cause(error)}). {remedy}{' ' + then if then else ''}"
        ) from error


def _place(url: str) -> str:
    parts = urlsplit(url)
    return place(parts.hostname or "", parts.port or 6379)


def _cause(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
