"""What the parent does when a child dies over a batch, and the base class of the tasks for which it does so."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject
from celery.signals import task_postrun
from celery.worker import state
from celery.worker.request import Request
from redis import RedisError

from packsight.shared.contract.errors import Dependency, ErrorCode, Outage, PutOff, TaskError
from packsight.shared.contract.messages import RECOGNIZE
from packsight.shared.contract.outcomes import Failure, Outcome, RecognizeResult, Result
from packsight.shared.metrics import table
from packsight.shared.metrics.noting import note
from packsight.shared.queue.app import App
from packsight.shared.queue.broker import Leases
from packsight.shared.queue.callbacks import Task
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.pulse import pulse, pulses
from packsight.worker.process.outages import outages
from packsight.worker.queue.delivery import fitting
from packsight.worker.queue.figures import samples_of

log = logging.getLogger(__name__)

IDLE_DEATHS = 10
"""Children that may die with a batch in hand but none of its photos in work, before it is given up: while they read the message
or store the result. No photo can be blamed for these, and that many are no chance. What has an outcome keeps it."""


@task_postrun.connect  # type: ignore[untyped-decorator]
def _fall_silent(sender: Any, **_: Any) -> None:
    """Say that no message is in hand any more, however it ended: what a parent reads when it hands out the next is of that."""
    if isinstance(sender, BatchTask):
        pulse().end()


@lru_cache(maxsize=1)
def _books(app: App) -> tuple[Ledger, DeadLetters]:
    return Ledger(app.settings), DeadLetters(app.settings)


class BatchTask(Task):
    """A task whose message carries a batch: its message comes back when its child dies, and `Batch` does the rest."""

    abstract = True
    Request = "packsight.worker.queue.request:BatchRequest"
    resultrepr_maxsize = 400
    """Characters of a result that go into events: results say in fewer how many photos ended how, and no reference."""

    @property
    def deadline(self) -> datetime | None:
        """When the message in work expires."""
        expires = self.request.expires
        return datetime.fromisoformat(expires) if isinstance(expires, str) else expires

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Say that the message is in hand, before anything is done with it that may hang."""
        pulse().begin(self.app.settings.worker.beside_timeout)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Count what is in the result, now that it is stored; its deliveries were forgotten with that."""
        if self.request.ignore_result:
            self._forget(task_id)
        note(table.ENDINGS.of(self.name, "done"), *(samples_of(retval) if isinstance(retval, Result) else ()))

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Forget the deliveries: a failure is a result too."""
        self._forget(task_id)

    def _forget(self, task_id: str) -> None:
        try:
            _books(self.app)[0].deliveries.end(task_id)
        except RedisError:
            log.warning("the deliveries of %s are left to expire", task_id, exc_info=True)


class BatchRequest(Request):  # type: ignore[misc]
    """A batch in work. A child's death is no failure of the task: the message is put back, with a note of who died over what.

    Celery by itself would store a FAILURE for the hard time limit, and deliver for ever for a lost child.
    """

    blameless = False
    """Whether the child is killed for something that no photo can have done."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        worker, images = self._app.settings.worker, _images(self._args)
        # The last net, below what children say of photos and of what they do beside: for a child that never said a word, and for
        # waits that go on, as for a result database that is away. A batch whose photos are run one by one may take as long.
        photos = (min(images, worker.max_batch) + 1) * worker.seconds_for(1)
        self.time_limits = (photos + 2 * worker.beside_timeout, None)

    def maybe_expire(self) -> bool:
        """Tell whether nobody waits for it any longer; Celery would drop whatever comes under its id later, too."""
        return self.expires is not None and datetime.now(UTC) > self.expires

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Count a delivery that a child has begun with."""
        super().on_accepted(pid, time_accepted)
        again = (self.message.delivery_info or {}).get("redelivered") is True
        note(table.DELIVERIES.of(self.name), *([table.REDELIVERIES.of(self.name)] if again else []))

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Log a time limit; `on_failure`, which is called as well, decides what becomes of the message."""
        if soft:
            super().on_timeout(soft, timeout)
        else:
            log.error("a child is killed over %s[%s]", self.name, self.id)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Put the message of a batch back whose child died; everything else is Celery's."""
        error = unwrapped(exc_info.exception)
        if isinstance(error, MemoryError):
            # The child lives and has stored the failure; Celery would end the parent with all other batches.
            state.task_ready(self)
            self.acknowledge()
            self.send_event("task-failed", exception="MemoryError()", traceback=exc_info.traceback)
            note(table.ENDINGS.of(self.name, "failed"))
            return
        if isinstance(error, Reject) and isinstance(error.reason, PutOff):
            state.task_ready(self)
            self._put_off(error.reason)
            return
        if isinstance(error, Reject) and isinstance(error.reason, Outage):
            # A child gave its batch back because something is away that every batch needs: no more work is taken.
            outages().trip(error.reason)
            if error.reason.dependency is Dependency.NETWORKS:
                self._replace_child()
        cause = cause_of(error)
        ours = cause is not None and not (self._already_cancelled or self._already_revoked or state.should_terminate)
        if ours and self._success_was_stored():
            # Celery would send the whole result along with its event, references and all.
            state.task_ready(self)
            self.acknowledge()
            self.send_event("task-succeeded", result="stored before its child died", runtime=None)
            return
        if cause is None or not ours:
            super().on_failure(exc_info, send_failed_event, return_ok)
            if cause is None and not isinstance(error, Ignore):
                note(table.ENDINGS.of(self.name, "handed_back" if isinstance(error, Reject) else "failed"))
            return
        state.task_ready(self)
        note(table.DEATHS.of(cause.value))
        if self._may_come_again(cause):
            note(table.ENDINGS.of(self.name, "put_back"))
            log.warning("the child of %s[%s] died (%s); its message is put back", self.name, self.id, cause)
            self.reject(requeue=True)
            return
        try:
            self._give_up(cause)
        except RedisError:
            log.warning("%s[%s] cannot be given up now; its message is put back", self.name, self.id, exc_info=True)
            self.reject(requeue=True)

    def _replace_child(self) -> None:
        """End a child whose networks answer no more; the next builds its own. It has handed its batch back and holds none."""
        if self.worker_pid:
            with suppress(ProcessLookupError):
                os.kill(self.worker_pid, signal.SIGKILL)

    def _put_off(self, put_off: PutOff) -> None:
        """Leave the message with the broker until its photos are asked for again."""
        note(table.ENDINGS.of(self.name, "put_off"))
        log.info("%s[%s]: %s", self.name, self.id, put_off, extra={"action": "put_off", "task_id": self.id})
        held: Leases = self.message.channel.qos
        try:
            held.put_off(self.message.delivery_tag, put_off.seconds)
        except self._connection_errors:
            log.warning("the broker cannot be told to keep %s for later; it comes back at once", self.id, exc_info=True)
            return  # as every message that is no longer renewed
        self.acknowledged = True

    def _may_come_again(self, cause: ErrorCode) -> bool:
        """Note what the child died over; False when too many have died over nothing that could be set apart."""
        deliveries, pid = _books(self.app)[0].deliveries, self.worker_pid
        holder, work = pulses().holder(pid), pulses().work(pid)
        late = work.late_part if work and cause is ErrorCode.TIME_LIMIT else None
        # By the last net, photos may have begun just now.
        in_time = work is not None and cause is ErrorCode.TIME_LIMIT and not work.overdue
        pulses().forget(pid)
        try:
            if self.blameless:
                deliveries.hand_back(self.id, holder)
                return True
            span = late or (work.span if work else None)
            return deliveries.record_death(self.id, holder, cause, span, proven=late is None and not in_time) <= IDLE_DEATHS
        except RedisError:
            log.warning("the death of a child cannot be noted", exc_info=True)
            return True

    def _give_up(self, cause: ErrorCode) -> None:
        ledger, dead_letters = _books(self.app)
        text = f"{IDLE_DEATHS} children and more that held this batch died before or after its photos ({cause}); it is put aside"
        dead_letter = DeadLetter(
            code=cause,
            message=text,
            task=self._type,
            task_id=self.id,
            payload={"args": list(self.args), "kwargs": dict(self.kwargs)},
            deliveries=ledger.deliveries.count(self.id),
        )
        dead_letters.put(dead_letter)
        kept = ledger.deliveries.kept(self.id) if self._type == RECOGNIZE else {}
        if kept:
            self._end_with(kept, Failure.of_code(cause, text))
            return
        error = TaskError(cause, text)
        self.task.backend.mark_as_failure(self.id, error, request=self._context, store_result=self.store_errors)
        ledger.deliveries.end(self.id)
        self.acknowledge()
        self.send_event("task-failed", exception=repr(error), traceback="")
        note(table.ENDINGS.of(self.name, "failed"))

    def _end_with(self, kept: Mapping[int, str], failure: Failure) -> None:
        """Answer a batch, as a child would, with the outcomes that it has by place; its other photos fail."""
        images = self.args[0]["images"]
        found = fitting(Outcome, kept, images)
        outcomes = [found.get(place) or Outcome.failed(image, failure) for place, image in enumerate(images)]
        result = RecognizeResult.of(outcomes)
        self.task.follow(self._context, result)
        self.task.backend.mark_as_done(self.id, result, request=self._context, store_result=not self.ignore_result)
        _books(self.app)[0].deliveries.end(self.id)  # where nobody wants the result, too
        self.task.on_success(result, self.id, self.args, self.kwargs)
        self.acknowledge()
        self.send_event("task-succeeded", result=repr(result), runtime=None)


def _images(arguments: Any) -> int:
    """How many photos a message names, 1 where it does not say."""
    argument = arguments[0] if arguments else {}
    images = argument.get("images") if isinstance(argument, dict) else None
    return len(images) if isinstance(images, list) else 1


def unwrapped(error: Any) -> Any:
    """Return the error itself: from a child it comes wrapped together with its traceback."""
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def cause_of(error: BaseException) -> ErrorCode | None:
    """Tell what ended a child; None when it lives and the task itself raised."""
    error = unwrapped(error)
    if isinstance(error, TimeLimitExceeded):
        return ErrorCode.TIME_LIMIT
    # A child that is told to exit inside a task reports SystemExit before it goes.
    if isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt):
        return ErrorCode.WORKER_KILLED
    return None
