"""The books of the queue, beside each other in the result database: jobs, results, deliveries, removals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.outcomes import NOT_BEGUN
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.deliveries import Deliveries, Stop
from packsight.shared.queue.jobs_ledger import JobsLedger
from packsight.shared.queue.removals import Removals
from packsight.shared.queue.results import Results, TaskEnd
from packsight.shared.settings import Settings

NEVER_BEGUN = TaskEnd("REVOKED", None, NOT_BEGUN, ErrorCode.CANCELLED)
"""How batches of a cancelled job ended that nobody had begun."""

T = TypeVar("T")


class JobRemoved(UserError):
    """A job was removed while somebody queued it, or waited for its outcomes."""

    def __init__(self, job: str) -> None:
        super().__init__(f"Job {job} was removed, with all of its outcomes. Submit its photos again if you need them.")
        self.job = job


class Ledger:
    """Opens the books over one connection pool; make it in the process that uses it.

    Every key in them has a time to live, so nothing piles up when a producer goes away.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = result_database(settings)
        self.jobs = JobsLedger(self.client, settings.queue.result_expires)
        self.results = Results(self.client)
        self.deliveries = Deliveries(self.client, settings.queue.result_expires)
        self.removals = Removals(self.client)

    def cancel(self, job: str, batches: int) -> None:
        """Have nothing more of a job enqueued or begun."""
        with self.client.pipeline() as pipe:  # at once: workers and those who read results are told the same
            self.jobs.cancel(pipe, job, batches)
            self.deliveries.stop(pipe, job, Stop.CANCELLED)
            pipe.execute()

    def let_go_on(self, job: str, batches: int) -> None:
        """Take a job's cancellation back: what waits of it is worked on again."""
        with self.client.pipeline() as pipe:
            self.jobs.let_go_on(pipe, job, batches)
            self.deliveries.let_go_on(pipe, job)
            pipe.execute()

    def is_cancelled(self, job: str) -> bool:
        """Whether a job was cancelled, as long as that is known; raises JobRemoved where it was removed."""
        if self.deliveries.why_stopped(job) is Stop.REMOVED:
            raise JobRemoved(job)
        return self.jobs.is_cancelled(job)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Remove all that is known of these tasks."""
        self.results.forget(*task_ids)
        self.deliveries.end(*task_ids)

    def ends(self, job: str, task_ids: Sequence[str]) -> dict[str, TaskEnd]:
        """Return how a job's tasks ended; those that have not are left out.

        Raises JobRemoved for a job that was removed.
        """
        cancelled = self.is_cancelled(job)
        ends, never = self.ended(task_ids, self.results.read, cancelled=cancelled)
        if cancelled:  # results that were removed in between are not taken for photos that nobody had begun
            self.is_cancelled(job)
        return {**dict.fromkeys(never, NEVER_BEGUN), **ends}

    def ended(
        self, task_ids: Sequence[str], read: Callable[[Sequence[str]], Mapping[str, T]], *, cancelled: bool
    ) -> tuple[Mapping[str, T], list[str]]:
        """Return what `read` knows of the tasks that have a result, and which ended without one: as NEVER_BEGUN.

        read: `results.read` or `results.counted`. cancelled: whether the tasks' job was; those of it that nobody had begun have
        ended then: whoever finds their messages says so.
        """
        begun = self.deliveries.begun(task_ids) if cancelled else task_ids  # before the results: it may get one in between
        found = read(task_ids)
        return found, [one for one in task_ids if one not in begun and one not in found] if cancelled else []

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
