"""What the parent does when a child dies over a batch, and the base class of the tasks for which it does so."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import Reject
from celery.worker import state
from celery.worker.request import Request
from redis import RedisError

from packsight.shared.contract.errors import ErrorCode, Outage, TaskError
from packsight.shared.queue.app import App
from packsight.shared.queue.callbacks import Task
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.worker.process.outages import outages
from packsight.worker.queue.delivery import max_total_deliveries

log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def _books(app: App) -> tuple[Ledger, DeadLetters]:
    return Ledger(app.settings), DeadLetters(app.settings)


class BatchTask(Task):
    """A task whose message carries a batch: its message comes back when its child dies, and `Batch` does the rest."""

    abstract = True
    Request = "packsight.worker.queue.request:BatchRequest"
    resultrepr_maxsize = 1
    """Of a result Flower gets the brackets alone: it is full of references, which may carry signatures."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Forget the deliveries, now that the result is stored."""
        self._forget(task_id)

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Forget the deliveries: a failure is a result too."""
        self._forget(task_id)

    def _forget(self, task_id: str) -> None:
        try:
            _books(self.app)[0].deliveries.end(task_id)
        except RedisError:
            log.warning("the deliveries of %s are left to expire", task_id, exc_info=True)


class BatchRequest(Request):  # type: ignore[misc]
    """A batch in work. A child's death is no failure of the task while deliveries remain: the message is put back.

    Celery by itself would store a FAILURE for the hard time limit, and deliver for ever for a lost child.
    """

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Log a time limit; `on_failure`, which is called as well, decides what becomes of the message."""
        if soft:
            super().on_timeout(soft, timeout)
        else:
            log.error("hard time limit (%s s) exceeded by %s[%s]", timeout, self.name, self.id)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Put the message of a batch back whose child died; everything else is Celery's."""
        if isinstance(unwrapped(exc_info.exception), MemoryError):
            # The child lives and has stored the failure; Celery would end the parent with all other batches.
            state.task_ready(self)
            self.acknowledge()
            self.send_event("task-failed", exception="MemoryError()", traceback=exc_info.traceback)
            return
        self._note_outage(unwrapped(exc_info.exception))
        cause = cause_of(exc_info.exception)
        ours = cause is not None and not (self._already_cancelled or self._already_revoked or state.should_terminate)
        if cause is None or not ours or self._success_was_stored():
            super().on_failure(exc_info, send_failed_event, return_ok)
            return
        state.task_ready(self)
        if self._may_come_again(cause):
            log.warning("the child of %s[%s] died (%s); its message is put back", self.name, self.id, cause)
            self.reject(requeue=True)
        else:
            self._give_up(cause)

    def _note_outage(self, error: Any) -> None:
        """Take no more work where a child gave its batch back because something is away that every batch needs."""
        if isinstance(error, Reject) and isinstance(error.reason, Outage):
            outages().trip(error.reason)

    def _may_come_again(self, cause: ErrorCode) -> bool:
        ledger, _ = _books(self.app)
        try:
            return ledger.deliveries.record_crash(self.id, cause) <= self._most_deliveries()
        except RedisError:
            log.warning("the death of a child cannot be noted", exc_info=True)
            return True

    def _give_up(self, cause: ErrorCode) -> None:
        # Children that die before they begin with the batch: nothing could be noted, and nobody can be blamed but the batch.
        ledger, dead_letters = _books(self.app)
        text = f"every child that was given this batch died ({cause}); the batch is on the dead-letter list"
        dead_letter = DeadLetter(
            code=cause,
            message=text,
            task=self._type,
            task_id=self.id,
            payload={"args": list(self.args), "kwargs": dict(self.kwargs)},
            deliveries=self._most_deliveries() + 1,
        )
        dead_letters.put(dead_letter)
        error = TaskError(cause, text)
        self.task.backend.mark_as_failure(self.id, error, request=self._context, store_result=self.store_errors)
        ledger.deliveries.end(self.id)
        self.acknowledge()
        self.send_event("task-failed", exception=repr(error), traceback="")

    def _most_deliveries(self) -> int:
        argument = self.args[0] if self.args else {}
        images = argument.get("images") if isinstance(argument, dict) else None
        count = len(images) if isinstance(images, list) else 1
        return max_total_deliveries(self.app.settings.worker.max_deliveries, count)


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
