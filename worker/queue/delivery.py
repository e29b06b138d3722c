"""What happens to a batch whose worker dies: it is run again, half of it at a time, until the photo at fault stands alone.

A batch is run whole. Photos that were in work together when that came to no end, for whatever reason, are halved for the next
delivery, and those that were not stay together: so one that kills its worker is alone after as many runs as its batch can be
halved. Photos at which a stage stood still, while others were in work, are set apart at once. What has an outcome keeps it.

A photo is condemned only for what was seen of it alone: children that died over it, or were killed since it took too long, while
their parent lived to see it; or very many parents of which nothing was heard again. It is then failed with the cause, put on the
dead-letter list and not run any more. Brokers and databases that go away, connections that are lost and messages that come twice
condemn nothing, however often they come.

Of a job that was cancelled, what has no outcome yet gets one that says so.

A message under whose id the result database holds what no worker put there is refused: it concerns no other.

An outage is not the batch's doing: what is finished is kept, the message goes back, and the delivery does not count. Photos whose
foreign hosts do not give them now come back in a later delivery: see `putting_off`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from celery.exceptions import Ignore, Reject, Retry
from pydantic import ValidationError
from redis import RedisError, ResponseError

from packsight.shared.contract.errors import Dependency, ErrorCode, MessageError, Outage, PacksightError, PutOff
from packsight.shared.contract.messages import DescribeRequest, RecognizeRequest
from packsight.shared.contract.outcomes import NOT_BEGUN, Described, Failure, Outcome
from packsight.shared.contract.references import plain
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.queue.deliveries import Delivery, Progress, Span, Stop
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.pulse import Pulse
from packsight.shared.queue.refusals import is_spoilt
from packsight.worker.queue.putting_off import can_pass, pause

log = logging.getLogger(__name__)

R = TypeVar("R", RecognizeRequest, DescribeRequest)
A = TypeVar("A", Outcome, Described)

DEATHS_ALONE = 2
"""Deaths of children over a photo alone that condemn it: the first may have been someone else's doing, an operator's or the
system's that was short of memory."""
LOST_ALONE = 10
"""Parents that must be lost, each with the photo alone in work, to condemn it. A photo that takes its whole container along, as
one for which memory does not suffice may, would otherwise do so for ever. Nobody saw those deaths, and machines are killed for
reasons of their own; but ten of them over the one photo, whose work takes a second or two, are no chance any more."""


_SIGNALS = (Ignore, Reject, Retry, RedisError, Outage, PutOff)
"""What is raised of a batch that is not at fault."""


class AlreadyEnded(Ignore):  # type: ignore[misc]
    """The task has its result; the message is acknowledged and the result stays as it is."""


@dataclass(frozen=True)
class BatchKind(Generic[R, A]):
    """One kind of batch: what its message asks for, and what each of its images is answered with."""

    task: str
    request: type[R]
    outcome: type[A]
    run: Callable[[R, str], list[A]]
    """One outcome per image of the request, in order; the other argument is the id of its message."""
    check: Callable[[], None] = lambda: None
    """Raises an Outage where it is not the photo that failed, but whatever is run here."""


@dataclass(frozen=True)
class Batch(Generic[R, A]):
    """A batch that was delivered, with the books that remember its earlier deliveries.

    pulse: by which this process's parent knows what it has in work. expires: when nobody waits for the batch any longer.
    """

    kind: BatchKind[R, A]
    task_id: str
    request: R
    ledger: Ledger
    dead_letters: DeadLetters
    pulse: Pulse
    expires: datetime | None = None

    def answer(self) -> list[A]:
        """Return one outcome per image, in order, whatever the earlier deliveries ended with.

        Raises AlreadyEnded when the task has its result, and Celery's Reject, so that the message comes again: with an Outage
        when something that every batch needs is away, with PutOff when photos of foreign hosts are to be had later, or what was
        made of photos can be kept later. MessageError when what is kept under its id is not what a worker keeps there.
        """
        try:
            try:
                return self._deliver()
            except ResponseError as error:
                if is_spoilt(error):
                    raise self._refusal(error) from error
                raise
        except RedisError as error:
            self.ledger.deliveries.leave_open(self.task_id)
            raise _without_results(error) from error

    def _deliver(self) -> list[A]:
        book, images = self.ledger.deliveries, self.request.images
        delivery = book.begin(self.task_id, self.pulse.holder, len(images))
        if delivery.ended:
            book.end(self.task_id)
            raise AlreadyEnded(f"task {self.task_id} has its result")
        if delivery.stop is Stop.REMOVED:
            book.end(self.task_id)
            raise AlreadyEnded(f"the job of task {self.task_id} was removed")
        progress = delivery.progress
        state = _State(fitting(self.kind.outcome, progress.done, images))
        if delivery.stop is Stop.CANCELLED:
            failure = Failure.of_code(ErrorCode.CANCELLED, NOT_BEGUN)
            return [state.outcomes.get(place) or self.kind.outcome.failed(image, failure) for place, image in enumerate(images)]
        groups = deque(list(group) for group in halved(len(images), progress.broken))
        while groups:
            if not (group := [place for place in groups.popleft() if place not in state.outcomes]):
                continue
            self.pulse.renew()
            try:
                self._work(group, delivery, state, more=bool(groups))
            except Outage as outage:
                self._keep(outage)
                book.hand_back(self.task_id, self.pulse.holder)
                raise Reject(outage, requeue=True) from outage
            except PutOff as later:
                book.hand_back(self.task_id, self.pulse.holder)
                raise Reject(later, requeue=True) from later
            except _SIGNALS:
                raise
            except Exception:
                log.exception("photos failed together and are run apart", extra={"task_id": self.task_id})
                middle = (len(group) + 1) // 2
                groups.extendleft((group[middle:], group[:middle]))
        if state.open:
            self._put_off(state, progress.attempts)
        return [state.outcomes[place] for place in range(len(images))]

    def _work(self, group: Sequence[int], delivery: Delivery, state: _State[A], *, more: bool) -> None:
        """Give some photos their outcomes, and keep these if the batch needs more than they, or if storing may have killed."""
        if len(group) == 1 and (cause := cause_alone(group[0], delivery.progress)):
            found = [self._dead_letter(group[0], cause, delivery.count)]
        else:
            found = self._run(group)
        state.add(dict(zip(group, found, strict=True)))
        if more or state.open or delivery.progress.idle_deaths:
            finished = {place: state.outcomes[place].model_dump_json() for place in group if place not in state.open}
            self.ledger.deliveries.keep(self.task_id, finished, self.pulse.holder)

    def _run(self, group: Sequence[int]) -> list[A]:
        """Run some photos together; an error of the program is raised where they are several, and the outcome of one alone."""
        try:
            return self._together(group)
        except _SIGNALS:
            raise
        except Exception as error:
            if len(group) > 1:
                raise
            image = self.request.images[group[0]]
            if isinstance(error, PacksightError):
                return [self.kind.outcome.failed(image, Failure.of(error))]
            log.exception("an image failed", extra={"task_id": self.task_id, "image": image})
            return [self.kind.outcome.failed(image, Failure.unexpected(error))]

    def _together(self, group: Sequence[int]) -> list[A]:
        """Run some photos, noted so that whoever comes after a death knows which they were."""
        span: Span = (group[0], group[-1] + 1)
        if span != (0, len(self.request.images)):  # which is what the book says from the beginning
            self.ledger.deliveries.begin_part(self.task_id, self.pulse.holder, span)
        request = self.request.model_copy(update={"images": [self.request.images[place] for place in group]})
        places = dict(zip(request.images, group, strict=True))
        with self.pulse.working(*span, self.ledger.settings.worker.seconds_for, places):
            outcomes = self._tried(request)
        if len(outcomes) != len(group):
            raise RuntimeError(f"{len(outcomes)} outcomes for {len(group)} images")
        return outcomes

    def _tried(self, request: R) -> list[A]:
        """Run photos; where one alone meets an error of the program, it is seen whether any could be answered."""
        try:
            return self.kind.run(request, self.task_id)
        except (*_SIGNALS, PacksightError):
            raise
        except Exception:
            if len(request.images) == 1:
                with self.pulse.aside():
                    self.kind.check()
            raise

    def _keep(self, outage: Outage) -> None:
        """Keep what was finished in spite of an outage, so that it is not done again."""
        found = [outage.finished.get(image) for image in self.request.images]
        finished = {
            place: outcome.model_dump_json()
            for place, outcome in enumerate(found)
            if isinstance(outcome, self.kind.outcome) and not can_pass(outcome.image, outcome.failure)
        }
        self.ledger.deliveries.keep(self.task_id, finished)

    def _put_off(self, state: _State[A], earlier: int) -> None:
        """Let photos of foreign hosts come again; raises nothing when what they have is final."""
        if earlier + 1 >= self.ledger.settings.fetch.attempts:
            return
        failures = [failure for place in state.open if (failure := state.outcomes[place].failure)]
        seconds = pause(failures, earlier, self.expires)
        if seconds is None:
            return
        self.ledger.deliveries.hand_back(self.task_id, self.pulse.holder, attempted=True)
        raise Reject(PutOff(f"{len(failures)} photos of foreign hosts are not to be had", seconds), requeue=True)

    def _refusal(self, error: ResponseError) -> MessageError:
        """Put the message aside: what its id names is of no use, however often it comes, while others can be answered."""
        text = f"What the result database holds under this id is not packsight's: {plain(str(error))}"
        payload = {"args": [self.request.model_dump(mode="json")], "kwargs": {}}
        dead_letter = DeadLetter(
            code=ErrorCode.BAD_MESSAGE, message=text, task=self.kind.task, task_id=self.task_id, payload=payload
        )
        self.dead_letters.put(dead_letter)
        return MessageError(message=text, remedy="Send it again under an id of its own.")

    def _dead_letter(self, place: int, cause: ErrorCode, count: int) -> A:
        image = self.request.images[place]
        failure = failure_of(cause, self.ledger.settings.worker.seconds_for(1))
        dead_letter = DeadLetter(
            code=cause,
            message=failure.message,
            task=self.kind.task,
            task_id=self.task_id,
            payload=self.request.model_copy(update={"images": [image]}).model_dump(mode="json"),
            image=image,
            deliveries=count,
        )
        self.dead_letters.put(dead_letter)
        return self.kind.outcome.failed(image, failure)


@dataclass
class _State(Generic[A]):
    """Outcomes by place; `open` are those that may yet be others."""

    outcomes: dict[int, A]
    open: set[int] = field(default_factory=set)

    def add(self, found: dict[int, A]) -> None:
        self.outcomes |= found
        self.open |= {place for place, outcome in found.items() if can_pass(outcome.image, outcome.failure)}


def fitting(kind: type[A], kept: Mapping[int, str], images: Sequence[str]) -> dict[int, A]:
    """Outcomes of earlier deliveries, by place: of these photos, as another message under the same id may have others there.

    What another release has written and this one cannot read is left out.
    """
    found: dict[int, A] = {}
    for place, image in enumerate(images):
        with suppress(ValidationError):
            if place in kept and (outcome := kind.model_validate_json(kept[place])).image == image:
                found[place] = outcome
    return found


def put_aside(dead_letters: DeadLetters, dead_letter: DeadLetter) -> None:
    """Put a message on the list whose task is to fail; raises Celery's Reject, so that it comes again, when the list is away."""
    try:
        dead_letters.put(dead_letter)
    except RedisError as error:
        raise _without_results(error) from error


def _without_results(error: RedisError) -> Reject:
    return Reject(Outage(Dependency.RESULTS, f"{type(error).__name__}: {error}"), requeue=True)


def halved(images: int, broken: Set[Span]) -> list[range]:
    """Cut a batch of so many images into groups none of which holds all that once came to no end together.

    Depends on nothing but what happened, so that whoever takes the message next, and whatever order word came in, cuts alike.
    """
    return list(_halved(range(images), broken))


def _halved(group: range, broken: Set[Span]) -> Iterator[range]:
    inside = {(start, stop) for start, stop in broken if group.start <= start and stop <= group.stop}
    if not inside or len(group) == 1:
        yield group
        return
    middle = (group.start + group.stop + 1) // 2
    yield from _halved(range(group.start, middle), inside)
    yield from _halved(range(middle, group.stop), inside)


def cause_alone(place: int, progress: Progress) -> ErrorCode | None:
    """Why a photo is not run any more; None when it is."""
    if progress.deaths.get(place, 0) >= DEATHS_ALONE:
        return progress.causes[place]
    return ErrorCode.WORKER_LOST if progress.lost.get(place, 0) >= LOST_ALONE else None


def failure_of(cause: ErrorCode, seconds: float) -> Failure:
    """Say what an image did to its workers; seconds: what it may take alone."""
    texts = {
        ErrorCode.TIME_LIMIT: f"this photo was worked on alone for more than {seconds:g} s each time",
        ErrorCode.WORKER_LOST: f"{LOST_ALONE} workers were not heard of again while they had this photo alone in work",
    }
    return Failure.of_code(cause, texts.get(cause, "the worker process died each time it worked on this photo alone"))
