"""The tasks around the pipeline. A message carries a batch; the batch is what is acknowledged and delivered again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from packsight.shared.contract.errors import MessageError
from packsight.shared.contract.messages import DESCRIBE, RECOGNIZE, DescribeRequest, RecognizeRequest, parse_request
from packsight.shared.contract.outcomes import Described, DescribeResult, Failure, Outcome, RecognizeResult, Status
from packsight.shared.queue.dead_letters import DeadLetter
from packsight.worker.app import app
from packsight.worker.queue.delivery import run_batch
from packsight.worker.queue.request import BatchTask

if TYPE_CHECKING:
    from packsight.worker.process.child import Child

log = logging.getLogger(__name__)


@app.task(name=RECOGNIZE, bind=True, base=BatchTask, typing=False)
def recognize(self: BatchTask, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Recognise a batch: one RecognizeRequest in, one RecognizeResult out."""
    here = _child()
    request = _parse(here, self, RecognizeRequest, arguments, options)

    def fail(image: str, failure: Failure) -> Outcome:
        return Outcome(image=image, status=Status.FAILED, reason=failure.message, failure=failure)

    outcomes = run_batch(
        here.ledger,
        here.dead_letters,
        self.request.id,
        list(request.images),
        run=lambda images: here.pipeline.recognize(request.model_copy(update={"images": images})),
        fail=fail,
        encode=Outcome.model_dump_json,
        decode=Outcome.model_validate_json,
        task=RECOGNIZE,
        payload=request.model_dump(mode="json"),
    )
    _log(self.request.id, outcomes)
    return RecognizeResult(outcomes=outcomes).model_dump(mode="json", exclude_none=True)


@app.task(name=DESCRIBE, bind=True, base=BatchTask, typing=False)
def describe(self: BatchTask, *arguments: Any, **options: Any) -> dict[str, Any]:
    """Describe a batch: one DescribeRequest in, features into the feature store, one DescribeResult out."""
    here = _child()
    request = _parse(here, self, DescribeRequest, arguments, options)
    photos = run_batch(
        here.ledger,
        here.dead_letters,
        self.request.id,
        list(request.images),
        run=lambda images: _describe(here, images),
        fail=lambda image, failure: Described(image=image, failure=failure),
        encode=Described.model_dump_json,
        decode=Described.model_validate_json,
        task=DESCRIBE,
        payload=request.model_dump(mode="json"),
    )
    models = {"embedder": here.pipeline.embedder_name, "spotter": here.pipeline.spotter_name}
    return DescribeResult(models=models, photos=photos).model_dump(mode="json", exclude_none=True)


def _child() -> Child:
    # The parent imports this module too, to know the tasks; the networks' libraries stay out of it.
    from packsight.worker.process.child import child  # noqa: PLC0415

    return child()


def _describe(here: Child, images: Sequence[str]) -> list[Described]:
    seen = list(here.pipeline.describe(images))
    found = [item.features for item in seen if item.features is not None]
    # A pack is named by its photos: the same batch again writes the same pack, another batch never overwrites it.
    pack = hashlib.sha256("".join(photo.sha256 for photo in found).encode()).hexdigest()[:32]
    if found:
        here.features.put(pack, found)
    return [
        Described(
            image=item.reference, sha256=item.sha256 or None, pack=pack if item.features else None, failure=item.failure
        )
        for item in seen
    ]


def _parse(here: Child, task: BatchTask, kind: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Validate a message's argument; one that breaks the contract goes to the dead-letter list and fails its task."""
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
        letter = DeadLetter(
            code=error.code,
            message=error.message,
            task=task.name,
            task_id=task.request.id,
            payload={"args": list(arguments), "kwargs": options},
            queue=str((task.request.delivery_info or {}).get("routing_key") or ""),
        )
        name = here.dead_letters.put(letter)
        log.error("message put aside: %s", error.message, extra={"action": "message_refused", "letter": name})
        raise
    return request


def _log(task_id: str, outcomes: Sequence[Outcome]) -> None:
    """One line per outcome: an error only when nobody will come back to it."""
    for outcome in outcomes:
        details = {
            "action": outcome.status.value,
            "task_id": task_id,
            "image": outcome.image,
            "product": outcome.product.id if outcome.product else None,
            "code": outcome.failure.code.value if outcome.failure else None,
            "confidence": round(outcome.confidence, 3),
        }
        log.info("%s: %s", outcome.status.value, outcome.image, extra=details)
