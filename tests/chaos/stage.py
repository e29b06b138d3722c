"""What the events happen to: a broker, an object store, workers, and a job that goes through them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, cast

import redis

from packsight.shared.queue import keys
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings
from tests.chaos.parts import Part

PATIENCE = 1.0
"""Seconds that a question to a broker may take, which may stand still just then."""


@dataclass(frozen=True)
class Answer:
    """What is compared of an outcome.

    version: of the catalog that it came from; empty where none was asked. code: of a failure.
    """

    status: str
    product: str = ""
    confidence: float = 0.0
    code: str = ""
    version: str = ""

    def differs(self, other: Answer, tolerance: float) -> bool:
        """Whether something other than the confidence within `tolerance` differs."""
        same = (self.status, self.product, self.code) == (other.status, other.product, other.code)
        return not same or abs(self.confidence - other.confidence) > tolerance


@dataclass(frozen=True)
class Judgement:
    """What became of a job's photos: each list names some of those that it counts."""

    photos: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    versions: Mapping[str, int] = field(default_factory=dict)
    """Photos by the catalog version that answered them."""

    @property
    def holds(self) -> bool:
        """Whether every photo has exactly the outcome that it should have."""
        return not (self.lost or self.doubled or self.differing)


class Stage(Protocol):
    """A job under way, and what it needs."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """What can be hit."""

    @property
    def tasks(self) -> Sequence[str]:
        """Ids of the job's batches."""

    @property
    def settings(self) -> Settings:
        """What leads to the servers."""

    def publish(self) -> None:
        """Change the catalog."""

    def sent(self) -> bool:
        """Whether all batches have been queued."""

    def judge(self, say: Callable[[str], None]) -> Judgement:
        """Compare the job's outcomes with those of a quiet run; every part runs again by then."""


class Watch:
    """Looks at the results without waiting for a broker that stands still."""

    def __init__(self, stage: Stage) -> None:
        queue = stage.settings.queue.model_copy(update={"socket_timeout": PATIENCE})
        self._ledger = Ledger(stage.settings.model_copy(update={"queue": queue}))
        self._open = list(stage.tasks)
        self._tasks = stage.tasks

    @property
    def ended(self) -> int:
        """Batches that were seen to have ended."""
        return len(self._tasks) - len(self._open)

    def look(self) -> int:
        """Count again; an absent broker is no progress."""
        try:
            done = self._ledger.results.ended(self._open)
        except redis.RedisError:
            return self.ended
        self._open = [task for task in self._open if task not in done]
        return self.ended

    def ends(self) -> list[float]:
        """When each batch ended by the workers' clock, in seconds since the epoch, in order."""
        records = cast("list[str | None]", self._ledger.client.mget([keys.task_result(task) for task in self._tasks]))
        return sorted(datetime.fromisoformat(json.loads(record)["date_done"]).timestamp() for record in records if record)

    def close(self) -> None:
        """Close the connections."""
        self._ledger.close()
