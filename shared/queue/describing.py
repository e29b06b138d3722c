"""Have workers describe photos by the task `packsight.describe`: batches over the queue, a few of them on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from celery import Celery
from pydantic import ValidationError

from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.messages import DESCRIBE, DESCRIBE_QUEUE, MAKERS, PARTS, DescribeRequest, Part
from packsight.shared.contract.outcomes import Described, DescribeResult, Failure
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.results import TaskEnd

IN_FLIGHT = 8
"""Batches on their way: enough to keep a handful of workers busy, few enough that a customer's job waits for little."""

T = TypeVar("T")


class Wait(Protocol):
    """What happens between two looks at the results."""

    def __call__(self, *, progress: bool) -> bool:
        """Wait a while, shorter after progress; True when what is on its way must be lost and is to be sent again."""


def at_once(call: Callable[[], T]) -> T:
    """Call the queue without patience for an outage."""
    return call()


def describe(
    images: Sequence[str],
    made_by: Mapping[Part, str],
    *,
    run: str,
    size: int,
    app: Celery,
    ledger: Ledger,
    wait: Wait,
    foreign: Callable[[Mapping[str, str]], None],
    parts: Sequence[Part] = PARTS,
    call: Callable[[Callable[[], Any]], Any] = at_once,
) -> Iterator[tuple[int, DescribeResult]]:
    """Send photos in batches of `size`; yield each result, its features durable, with the place of its first photo.

    made_by: fingerprints of what has to make the parts. Several kinds of workers may serve the queue, during an upgrade:
    what one of another kind has answered is sent again.
    foreign: told the fingerprints of such a worker; raises when no other can be hoped for.
    run: a name that no other run has, from which those of the tasks follow.
    call: how the queue is called, once or patiently.

    A task that fails gives failures for all of its photos. Raises UserError when workers answer in another form, and
    whatever `wait` raises.
    """
    starts = iter(range(0, len(images), size))
    flying: dict[str, int] = {}

    def batch(start: int) -> Sequence[str]:
        return images[start : start + size]

    def send(task: str) -> None:
        request = DescribeRequest(images=list(batch(flying[task])), parts=list(parts))
        call(partial(_send, app, task, request))

    while True:
        while len(flying) < IN_FLIGHT and (start := next(starts, None)) is not None:
            task = f"{run}-{start:06d}"
            flying[task] = start
            send(task)
        if not flying:
            return
        progress = False
        for task, end in call(partial(ledger.results.read, list(flying))).items():
            result = _result(end, batch(flying[task]))
            call(partial(ledger.results.forget, task))  # it has been read, and the task's name may be needed again
            if _is_foreign(end, result, made_by, parts):
                foreign(result.models)
                send(task)
                continue
            progress = True
            yield flying.pop(task), result
        if wait(progress=progress):
            # The same task under the same name writes the same shard, so sending it again is safe.
            for task in flying:
                send(task)


def _send(app: Celery, task: str, request: DescribeRequest) -> None:
    # Workers of the release before know no parts.
    argument = request.model_dump(mode="json", exclude={"parts"} if request.parts == list(PARTS) else None)
    app.send_task(DESCRIBE, args=[argument], task_id=task, queue=DESCRIBE_QUEUE)


def _is_foreign(end: TaskEnd, result: DescribeResult, made_by: Mapping[Part, str], parts: Sequence[Part]) -> bool:
    if end.result is None:
        return end.code is ErrorCode.BAD_MESSAGE  # a worker of the release before, which knows no parts
    return any(result.models.get(MAKERS[part]) != made_by[part] for part in parts)


def _result(end: TaskEnd, images: Sequence[str]) -> DescribeResult:
    if end.result is None:
        message = f"The task of this photo ended as {end.state}: {end.error or 'no reason given'}"
        # Not the task's own code: what ended a batch says nothing about each of its photos.
        failure = Failure.of_code(ErrorCode.INTERNAL, message)
        return DescribeResult(models={}, photos=[Described.failed(image, failure) for image in images])
    try:
        result = DescribeResult.model_validate(end.result)
    except ValidationError:
        raise UserError(
            "The workers' result does not follow the contract. Run the same release of packsight here and there."
        ) from None
    if len(result.photos) != len(images):
        raise UserError(f"The workers described {len(result.photos)} of {len(images)} photos. Run the same release.")
    return result

