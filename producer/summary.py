"""How a job stands, in counts: from the heads of its results, so that a list of jobs reads none of them whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from packsight.producer.collect import AT_ONCE
from packsight.shared.contract.outcomes import Status
from packsight.shared.pieces import pieces
from packsight.shared.queue.ledger import Ledger
from packsight.shared.storage.jobs import JobManifest, task_ids


class State(StrEnum):
    """Whether anything more happens to a job."""

    RUNNING = "running"
    ENDED = "ended"
    CANCELLED = "cancelled"
    """Nothing more of it is begun; some of it may still be in work."""
    EXPIRED = "expired"
    """Nobody works on it, and outcomes are missing: they are kept for a time only."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of a job. photos: submitted, each gets one outcome; ends: outcomes that there are, by status.

    again: whether failed photos are about to be asked again, whose outcomes are still counted.
    """

    state: State
    photos: int
    ends: Counter[Status]
    batches_ended: int
    again: bool = False

    @property
    def answered(self) -> int:
        """How many photos have their outcome."""
        return self.ends.total()

    @property
    def over(self) -> bool:
        """Whether every photo has its outcome, and keeps it."""
        return self.answered >= self.photos and not self.again

    @property
    def final(self) -> bool:
        """Whether nothing more will be known of the job."""
        return self.over or self.state is State.EXPIRED


def summarise(ledger: Ledger, manifest: JobManifest) -> Summary:
    """Count a job's outcomes; raises redis.RedisError when the result database cannot be reached."""
    names = task_ids(manifest)
    state = ledger.jobs.state(manifest.job)
    cancelled = state is not None and state.cancelled
    counted, never = ledger.ended(names, ledger.results.counted, cancelled=cancelled)
    sizes = {name: min(manifest.batch_size, manifest.images - place * manifest.batch_size) for place, name in enumerate(names)}
    ends = Counter({Status.FAILED: manifest.unopened})
    for counts in counted.values():
        ends.update({Status(status): count for status, count in (counts or {}).items()})
    for part in pieces((name for name, counts in counted.items() if counts is None), AT_ONCE):
        ends.update(_read(ledger, part, sizes))
    ends[Status.FAILED] += sum(sizes[name] for name in never)
    ended = len(counted) + len(never)
    ends = Counter({status: ends[status] for status in Status if ends[status]})
    if cancelled:
        standing = State.CANCELLED
    elif ended == len(names):
        standing = State.ENDED
    else:
        standing = State.RUNNING if state is not None else State.EXPIRED
    return Summary(standing, manifest.images + manifest.unopened, ends, ended)


def _read(ledger: Ledger, names: Sequence[str], sizes: dict[str, int]) -> Counter[Status]:
    """Count what only whole results tell: those of failed tasks, and of workers of an earlier release."""
    found: Counter[Status] = Counter()
    for name, end in ledger.results.read(names).items():
        outcomes = (end.result or {}).get("outcomes")
        if isinstance(outcomes, list) and len(outcomes) == sizes[name]:
            found.update(Status(outcome["status"]) for outcome in outcomes)
        else:
            found[Status.FAILED] += sizes[name]
    return found
