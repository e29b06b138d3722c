"""The tasks around the pipeline. A message carries a batch; the batch is what is acknowledged and delivered again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from packsight.shared.contract.errors import Dependency, MessageError, Outage, StorageError
from packsight.shared.contract.messages import DESCRIBE, RECOGNIZE, DescribeRequest, RecognizeRequest, parse_request
from packsight.shared.contract.outcomes import Described, DescribeResult, Outcome, RecognizeResult
from packsight.shared.contract.references import shown
from packsight.shared.queue.dead_letters import DeadLetter
from packsight.worker.app import worker_app
from packsight.worker.queue.counting import count
from packsight.worker.queue.delivery import A, Batch, BatchKind, R, put_aside
from packsight.worker.queue.putting_off import not_kept, not_served
from packsight.worker.queue.request import BatchTask

if TYPE_CHECKING:
    from packsight.worker.process.child import Child

log = logging.getLogger(__name__)
app = worker_app()


@app.task(name=RECOGNIZE, bind=True, base=BatchTask, typing=False)
def recognize(self: BatchTask, *arguments: Any, **options: Any) -> RecognizeResult:
    """Recognise a batch: one RecognizeRequest in, one RecognizeResult out."""
    outcomes = _answer(self, RECOGNITION, arguments, options)
    _log(self.request.id, outcomes)
    here = _child()
    count(here.ledger.client, here.catalogs.canaries, outcomes)
    return RecognizeResult.of(outcomes)


@app.task(name=DESCRIBE, bind=True, base=BatchTask, typing=False)
def describe(self: BatchTask, *arguments: Any, **options: Any) -> DescribeResult:
    """Describe a batch: one DescribeRequest in, features into the feature store, one DescribeResult out."""
    photos = _answer(self, DESCRIPTION, arguments, options)
    return DescribeResult(models=_child().models, photos=photos)


def _child() -> Child:
    # The parent imports this module too, to know the tasks; the networks' libraries stay out of it.
    from packsight.worker.process.child import child  # noqa: PLC0415

    return child()


def _answer(task: BatchTask, kind: BatchKind[R, A], arguments: tuple[Any, ...], options: dict[str, Any]) -> list[A]:
    here = _child()
    request = _parse(here, task, kind.request, arguments, options)
    batch = Batch(kind, task.request.id, request, here.ledger, here.dead_letters, here.pulse, task.deadline)
    return batch.answer()


def _recognize(request: RecognizeRequest, message: str) -> list[Outcome]:
    here = _child()
    try:
        return here.pipeline.recognize(request, message)
    except Outage as outage:
        raise not_served(here.ledger.client, request.catalog, outage, here.catalogs.versions) from outage


def _describe(request: DescribeRequest, _: str) -> list[Described]:
    here = _child()
    seen = list(here.pipeline.describe(request.images, request.parts))
    found = [item.features for item in seen if item.features is not None]
    away = [item for item in seen if item.outage]
    # A shard is named by its photos: the same batch again writes the same shard, another batch never overwrites it.
    shard = hashlib.sha256("".join(photo.sha256 for photo in found).encode()).hexdigest()[:32]
    try:
        if found:
            with here.pulse.aside():
                here.features.put(shard, found, request.parts)
    except StorageError as error:
        raise not_kept(here.store, error) from error
    described = [
        Described(
            image=item.reference, sha256=item.sha256 or None, pack=shard if item.features else None, failure=item.failure
        )
        for item in seen
    ]
    if away:
        finished = {one.image: one for one, item in zip(described, seen, strict=True) if not item.outage}
        raise Outage(Dependency.STORE, away[0].outage, finished)
    return described


def _check() -> None:
    _child().pipeline.require_networks()


RECOGNITION = BatchKind(RECOGNIZE, RecognizeRequest, Outcome, _recognize, _check)
DESCRIPTION = BatchKind(DESCRIBE, DescribeRequest, Described, _describe, _check)


def _parse(here: Child, task: BatchTask, kind: type[R], arguments: tuple[Any, ...], options: dict[str, Any]) -> R:
    """Validate a message's argument; one that breaks the contract goes to the dead-letter list and fails its task.

    Raises Celery's Reject with an Outage, so that the message comes again, when the list is away.
    """
    try:
        if len(arguments) != 1 or options:
            raise MessageError(message=f"The task takes one argument, an object; got {len(arguments)} and {sorted(options)}")
        request = parse_request(kind, arguments[0])
        if len(request.images) > here.settings.worker.max_batch:
            raise MessageError(
                message=f"The message has {len(request.images)} images; this worker takes up to {here.settings.worker.max_batch}",
                remedy="Send smaller batches or raise PACKSIGHT_WORKER__MAX_BATCH.",
            )
    except MessageError as error:
        dead_letter = DeadLetter(
            code=error.code,
            message=error.message,
            task=task.name,
            task_id=task.request.id,
            payload={"args": list(arguments), "kwargs": options},
            queue=str((task.request.delivery_info or {}).get("routing_key") or ""),
        )
        put_aside(here.dead_letters, dead_letter)
        raise
    return request


def _log(task_id: str, outcomes: Sequence[Outcome]) -> None:
    """One line per outcome: an error only when nobody will come back to it."""
    for outcome in outcomes:
        details = {
            "action": outcome.status.value,
            "task_id": task_id,
            "image": shown(outcome.image),
            "product": outcome.product.id if outcome.product else None,
            "code": outcome.failure.code.value if outcome.failure else None,
            "confidence": round(outcome.confidence, 3),
        }
        log.info("%s: %s", outcome.status.value, shown(outcome.image), extra=details)
