"""What happens to a batch whose worker dies: it is run again, then image by image, until the one at fault stands alone.

The first deliveries of a message run the whole batch at once. From delivery `max_deliveries - 1` on, its images are run one
by one; which one is in work is noted before, its outcome after. An image that was in work alone on two deliveries that came
to no end is not run a third time: it is failed with the cause of the last crash and put on the dead-letter list, and its
neighbours get their outcomes. A message that comes back even more often than all its images together could explain is
answered in the same way without running anything. So every batch ends, after a number of deliveries that is known before.

An outage is not the batch's doing: what is finished is kept, the message goes back, and the delivery does not count.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from celery.exceptions import Ignore, Reject, Retry
from redis import RedisError

from packsight.shared.contract.errors import Dependency, ErrorCode, Outage, PacksightError
from packsight.shared.contract.messages import DescribeRequest, RecognizeRequest
from packsight.shared.contract.outcomes import Described, Failure, Outcome
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.queue.ledger import Ledger

log = logging.getLogger(__name__)

R = TypeVar("R", RecognizeRequest, DescribeRequest)
A = TypeVar("A", Outcome, Described)

CRASHES_ALONE = 2
"""Crashes that an image may cause alone: the first may have been someone else's doing, an operator's or a neighbour's."""


class Mode(Enum):
    """How a delivery is worked on."""

    WHOLE = auto()
    SINGLY = auto()
    GIVE_UP = auto()


def max_total_deliveries(max_deliveries: int, images: int) -> int:
    """Return the number of deliveries that a batch can need if each of its images ends its worker."""
    return max_deliveries + CRASHES_ALONE * images


def mode_of(count: int, max_deliveries: int, images: int) -> Mode:
    """Decide how delivery number `count`, from 1, of a batch of so many images is worked on."""
    if count > max_total_deliveries(max_deliveries, images):
        return Mode.GIVE_UP
    return Mode.SINGLY if count >= max(2, max_deliveries - 1) else Mode.WHOLE


class AlreadyEnded(Ignore):  # type: ignore[misc]
    """The task has its result; the message is acknowledged and the result stays as it is."""


@dataclass(frozen=True)
class BatchKind(Generic[R, A]):
    """One kind of batch: what its message asks for, and what each of its images is answered with."""

    task: str
    request: type[R]
    outcome: type[A]
    run: Callable[[R], list[A]]
    """One outcome per image of the request, in order."""


@dataclass(frozen=True)
class Batch(Generic[R, A]):
    """A batch that was delivered, with the books that remember its earlier deliveries."""

    kind: BatchKind[R, A]
    task_id: str
    request: R
    ledger: Ledger
    dead_letters: DeadLetters

    def answer(self) -> list[A]:
        """Return one outcome per image, in order, whatever the earlier deliveries ended with.

        Raises AlreadyEnded when the task has its result, and Celery's Reject with an Outage, so that the message comes again,
        when something that every batch needs is away.
        """
        try:
            return self._deliver()
        except RedisError as error:
            outage = Outage(Dependency.RESULTS, f"{type(error).__name__}: {error}")
            raise Reject(outage, requeue=True) from error

    def _deliver(self) -> list[A]:
        delivery = self.ledger.deliveries.begin(self.task_id)
        if delivery.ended:
            raise AlreadyEnded(f"task {self.task_id} has its result")
        mode = mode_of(delivery.count, self.ledger.settings.worker.max_deliveries, len(self.request.images))
        if mode is Mode.WHOLE:
            try:
                return self._whole(resumed=delivery.resumed)
            except Outage as outage:
                self._keep(outage)
                self.ledger.deliveries.hand_back(self.task_id)
                raise Reject(outage, requeue=True) from outage
            except (Ignore, Reject, Retry, RedisError):
                raise
            except Exception:
                log.exception("a batch failed as a whole and is run image by image", extra={"task_id": self.task_id})
        return self._one_by_one(delivery.count, run=mode is not Mode.GIVE_UP)

    def _whole(self, *, resumed: bool) -> list[A]:
        """Run what is left of the batch at once."""
        done = self.ledger.deliveries.partial(self.task_id).done if resumed else {}
        images = self.request.images
        left = [index for index in range(len(images)) if index not in done]
        new = self._run(self.request.model_copy(update={"images": [images[index] for index in left]})) if left else []
        found = dict(zip(left, new, strict=True))
        return [found[i] if i in found else self.kind.outcome.model_validate_json(done[i]) for i in range(len(images))]

    def _keep(self, outage: Outage) -> None:
        """Keep what was finished, so that it is not done again."""
        for index, image in enumerate(self.request.images):
            outcome = outage.finished.get(image)
            if isinstance(outcome, self.kind.outcome):
                self.ledger.deliveries.end_image(self.task_id, index, outcome.model_dump_json())

    def _run(self, request: R) -> list[A]:
        outcomes = self.kind.run(request)
        if len(outcomes) != len(request.images):
            raise RuntimeError(f"{len(outcomes)} outcomes for {len(request.images)} images")
        return outcomes

    def _one_by_one(self, count: int, *, run: bool) -> list[A]:
        book = self.ledger.deliveries
        before = book.partial(self.task_id)
        outcomes: list[A] = []
        for index, image in enumerate(self.request.images):
            if index in before.done:
                outcomes.append(self.kind.outcome.model_validate_json(before.done[index]))
                continue
            if run and before.begun.get(index, 0) < CRASHES_ALONE:
                book.begin_image(self.task_id, index)
                try:
                    outcome = self._isolate(image)
                except Outage as outage:
                    book.hand_back(self.task_id, index)
                    raise Reject(outage, requeue=True) from outage
            else:
                outcome = self._dead_letter(image, before.cause, count)
            book.end_image(self.task_id, index, outcome.model_dump_json())
            outcomes.append(outcome)
        return outcomes

    def _isolate(self, image: str) -> A:
        try:
            return self._run(self._only(image))[0]
        except (Ignore, Reject, Retry, RedisError, Outage):
            raise
        except PacksightError as error:
            return self.kind.outcome.failed(image, Failure.of(error))
        except Exception as error:
            log.exception("an image failed", extra={"task_id": self.task_id, "image": image})
            return self.kind.outcome.failed(image, Failure.unexpected(error))

    def _dead_letter(self, image: str, cause: ErrorCode, count: int) -> A:
        failure = failure_of(cause, self.ledger.settings.worker.time_limit)
        dead_letter = DeadLetter(
            code=cause,
            message=failure.message,
            task=self.kind.task,
            task_id=self.task_id,
            payload=self._only(image).model_dump(mode="json"),
            image=image,
            deliveries=count,
        )
        self.dead_letters.put(dead_letter)
        return self.kind.outcome.failed(image, failure)

    def _only(self, image: str) -> R:
        return self.request.model_copy(update={"images": [image]})


def failure_of(cause: ErrorCode, time_limit: int) -> Failure:
    """Say what an image did to its workers."""
    return Failure.of_code(
        cause,
        f"this photo was worked on for more than {time_limit} s each time"
        if cause is ErrorCode.TIME_LIMIT
        else "the worker process died each time it worked on this photo",
    )
