"""What happens to a batch whose worker dies: it is run again, then image by image, until the one at fault stands alone.

The first deliveries of a message run the whole batch at once. From delivery `max_deliveries - 1` on, its images are run one
by one; which one is in work is noted before, its outcome after. An image that was in work alone on two deliveries that came
to no end is not run a third time: it is failed with the cause of the last death and put on the dead-letter list, and its
neighbours get their outcomes. A message that comes back even more often than all its images together could explain is
answered in the same way without running anything. So every batch ends, after a number of deliveries that is known before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from celery.exceptions import Ignore, Reject, Retry
from redis import RedisError

from packsight.shared.contract.errors import ADVICE, ErrorCode, PacksightError
from packsight.shared.contract.messages import RECOGNIZE
from packsight.shared.contract.outcomes import Failure
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.queue.ledger import Ledger

log = logging.getLogger(__name__)

T = TypeVar("T")

DEATHS_ALONE = 2
"""Deliveries that an image may end alone: the first may have been someone else's doing, an operator's or a neighbour's."""


class Mode(Enum):
    """How a delivery is worked on."""

    WHOLE = auto()
    SINGLY = auto()
    GIVE_UP = auto()


def ceiling(max_deliveries: int, images: int) -> int:
    """Return the number of deliveries that a batch can need if each of its images ends its worker."""
    return max_deliveries + DEATHS_ALONE * images


def mode_of(count: int, max_deliveries: int, images: int) -> Mode:
    """Decide how delivery number `count`, from 1, of a batch of so many images is worked on."""
    if count > ceiling(max_deliveries, images):
        return Mode.GIVE_UP
    return Mode.SINGLY if count >= max(2, max_deliveries - 1) else Mode.WHOLE


class AlreadyEnded(Ignore):  # type: ignore[misc]
    """The task has its result; the message is acknowledged and the result stays as it is."""


def run_batch(
    ledger: Ledger,
    dead_letters: DeadLetters,
    task_id: str,
    images: list[str],
    run: Callable[[list[str]], list[T]],
    fail: Callable[[str, Failure], T],
    encode: Callable[[T], str],
    decode: Callable[[str], T],
    *,
    task: str = RECOGNIZE,
    payload: Mapping[str, Any] | None = None,
) -> list[T]:
    """Run a batch and return one outcome per image, in order, whatever its earlier deliveries ended with.

    `run` answers images, `fail` makes the outcome of one that cannot be answered, `encode` and `decode` carry an outcome
    from one delivery to the next. `payload` is the message's argument; a dead letter is the same with one image.

    Raises AlreadyEnded when the task has its result, and Celery's Reject, so that the message comes again, when the result
    database cannot be reached.
    """
    batch = _Batch(ledger, dead_letters, task_id, images, run, fail, encode, decode, task, dict(payload or {}))
    try:
        return batch.deliver()
    except RedisError as error:
        log.warning("the result database cannot be reached; the batch goes back", exc_info=True)
        raise Reject(error, requeue=True) from error


@dataclass(frozen=True)
class _Batch(Generic[T]):
    ledger: Ledger
    dead_letters: DeadLetters
    task_id: str
    images: list[str]
    run: Callable[[list[str]], list[T]]
    fail: Callable[[str, Failure], T]
    encode: Callable[[T], str]
    decode: Callable[[str], T]
    task: str
    payload: dict[str, Any]

    def deliver(self) -> list[T]:
        delivery = self.ledger.begin(self.task_id)
        if delivery.ended:
            raise AlreadyEnded(f"task {self.task_id} has its result")
        mode = mode_of(delivery.count, self.ledger.settings.worker.max_deliveries, len(self.images))
        if mode is Mode.WHOLE:
            try:
                return self.answer(self.images)
            except (Ignore, Reject, Retry, RedisError):
                raise
            except Exception:
                log.exception("a batch failed as a whole and is run image by image", extra={"task_id": self.task_id})
        return self.one_by_one(delivery.count, run=mode is not Mode.GIVE_UP)

    def answer(self, images: list[str]) -> list[T]:
        outcomes = self.run(images)
        if len(outcomes) != len(images):
            raise RuntimeError(f"{len(outcomes)} outcomes for {len(images)} images")
        return outcomes

    def one_by_one(self, count: int, *, run: bool) -> list[T]:
        before = self.ledger.partial(self.task_id)
        outcomes: list[T] = []
        for index, image in enumerate(self.images):
            if index in before.done:
                outcomes.append(self.decode(before.done[index]))
                continue
            if run and before.begun.get(index, 0) < DEATHS_ALONE:
                self.ledger.begin_image(self.task_id, index)
                outcome = self.alone(image)
            else:
                outcome = self.bury(image, before.cause, count)
            self.ledger.end_image(self.task_id, index, self.encode(outcome))
            outcomes.append(outcome)
        return outcomes

    def alone(self, image: str) -> T:
        try:
            return self.answer([image])[0]
        except (Ignore, Reject, Retry, RedisError):
            raise
        except PacksightError as error:
            return self.fail(image, Failure.of(error))
        except Exception as error:
            log.exception("an image failed", extra={"task_id": self.task_id, "image": image})
            return self.fail(image, Failure.unexpected(error))

    def bury(self, image: str, cause: ErrorCode, count: int) -> T:
        failure = failure_of(cause, self.ledger.settings.worker.time_limit)
        letter = DeadLetter(
            code=cause,
            message=failure.message,
            task=self.task,
            task_id=self.task_id,
            payload={**self.payload, "images": [image]},
            image=image,
            deliveries=count,
        )
        name = self.dead_letters.put(letter)
        details = {"action": "image_buried", "task_id": self.task_id, "image": image, "letter": name}
        log.error("an image was given up: %s", failure.message, extra=details)
        return self.fail(image, failure)


def failure_of(cause: ErrorCode, time_limit: int) -> Failure:
    """Say what an image did to its workers."""
    text = (
        f"this photo was worked on for more than {time_limit} s each time"
        if cause is ErrorCode.TIME_LIMIT
        else "the worker process died each time it worked on this photo"
    )
    return Failure(code=cause, message=text, remedy=ADVICE[cause].remedy, retryable=ADVICE[cause].retryable)
