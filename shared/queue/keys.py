"""Every name that packsight gives a Redis key, and the one form of Celery's that it reads; all in the result database.

What grows with work has a time to live, so nothing piles up when its owner goes away. Only dead letters wait for a person.
Senders choose ids of tasks as they like: what is named by one lies in a room of its own, in which nothing else is kept.
The broker's keys are kombu's: `shared.queue.transport.contract`. How workers register: `shared.queue.registry`.
"""

from __future__ import annotations

JOBS = "packsight:jobs"
"""Sorted set of the active jobs by the time at which they are forgotten."""
REMOVALS = "packsight:job:"
"""Hash of what is removed of jobs; its name is that of no job, and whoever may keep jobs may keep it."""
DEAD_LETTERS = "packsight:dead-letters"
"""Hash from a dead letter's id to the dead letter."""
DEAD_LETTERS_ORDER = "packsight:dead-letters:order"
"""Sorted set of these ids by time."""
DEAD_LETTERS_DROPPED = "packsight:dead-letters:dropped"
"""How many were dropped because there were too many."""
COLLECTION_LOCK = "packsight:collection"
RECONCILER_LOCK = "packsight:reconciler"
FIGURES = "packsight:figures"
"""What the indexer saw of the whole a moment ago."""
PROBE = "packsight:probe"
"""Written to see whether the database keeps anything; gone after a second."""


def job(name: str) -> str:
    """Hash with how far an active job has got."""
    return f"packsight:job:{name}"


def missing_candidates(name: str) -> str:
    """Set of a job's batches that the last look missed."""
    return f"packsight:missing:{name}"


def stopped(job: str) -> str:
    """Hash that tells workers not to begin with a job's batches any more, and whoever waits for its outcomes that it was removed.

    job: a part of an id as well, since a worker looks for the mark of whatever the id of a message begins with.
    """
    return f"packsight:deliveries:job:{job}"


def errands(kind: str) -> str:
    """Sorted set of what the HTTP door has still to do, of one kind, by the time at which it is due."""
    return f"packsight:errands:{kind}"


def errands_failed(kind: str) -> str:
    """Sorted set of what it has given up, by time."""
    return f"packsight:errands:failed:{kind}"


def errand(name: str) -> str:
    """What is to be done, JSON."""
    return f"packsight:errand:{name}"


def submission(name: str) -> str:
    """Which job a request stands for that may be sent twice, JSON; among what is to be done, where the HTTP door may write."""
    return errand(f"submission:{name}")


def partial(task_id: str) -> str:
    """Hash with how often a task was begun, what is done of its batch, and who died over which of its images."""
    return f"packsight:partial:{task_id}"


def sync_lock(catalog: str) -> str:
    """Lock that lets one sync of a catalog work at a time."""
    return f"packsight:lock:sync:{catalog}"


def sync(catalog: str) -> str:
    """Hash with how a catalog's syncs ended."""
    return f"packsight:sync:{catalog}"


def tried(catalog: str, canary: str) -> str:
    """Hash with how many photos ended how while a canary of a catalog was tried, by who answered."""
    return f"packsight:tried:{catalog}:{canary}"


def seen(made_by: str) -> str:
    """Hash from a photo's content to what the networks saw, of those `made_by` the same networks under the same limits."""
    return f"packsight:seen:{made_by}"


def task_result(task_id: str) -> str:
    """Celery's record of how a task ended, JSON; a prefix of the record is enough to know whether it has."""
    return f"celery-task-meta-{task_id}"
