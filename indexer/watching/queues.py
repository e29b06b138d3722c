"""How long the queues are, and for how long their oldest messages have waited."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from packsight.shared.contract.messages import INDEXER_QUEUE, WORKER_QUEUES
from packsight.shared.metrics import table
from packsight.shared.metrics.table import Sample
from packsight.shared.queue.broker import Broker, Waiting

QUEUES = (*WORKER_QUEUES, INDEXER_QUEUE)


class Ages:
    """How long messages have waited that are next in their queues.

    Those of packsight's own programs say when they were sent, and so may others. One that does not has waited at least since it
    was first seen to be next. Nobody is believed who says that he sent it more than `limit` seconds ago.
    """

    def __init__(self, limit: float, clock: Callable[[], float] = time.time) -> None:
        self._limit, self._clock = limit, clock
        self._next_since: dict[tuple[str, str], float] = {}

    def of(self, queue: str, waiting: Sequence[Waiting]) -> float:
        """Seconds for which the one that has done so longest waits; 0 when there is none."""
        now = self._clock()
        since = {(queue, one.tag): self._next_since.get((queue, one.tag), now) for one in waiting}
        self._next_since = {key: at for key, at in self._next_since.items() if key[0] != queue} | since
        return max((self._age(one, since[queue, one.tag], now) for one in waiting), default=0.0)

    def _age(self, one: Waiting, next_since: float, now: float) -> float:
        said = now - one.since if one.since is not None else 0.0
        return max(said if said <= self._limit else 0.0, now - next_since)


class Queues:
    """A look at the broker."""

    def __init__(self, broker: Broker, ages: Ages) -> None:
        self._broker, self._ages = broker, ages
        self.oldest: dict[str, float] = {}
        """Seconds, by queue, of those in which messages wait."""

    def look(self) -> Iterator[Sample]:
        """Figures; raises redis.RedisError when the broker cannot be asked."""
        backlog, following = self._broker.backlog(QUEUES), self._broker.next_in(QUEUES)
        ages = {queue: self._ages.of(queue, following[queue]) for queue in QUEUES}
        self.oldest = {queue: round(ages[queue], 1) for queue in QUEUES if following[queue]}
        for queue in QUEUES:
            yield table.QUEUE.of(queue, value=backlog.waiting[queue])
            yield table.OLDEST.of(queue, value=ages[queue])
        yield table.UNACKED.of(value=backlog.unacked)
        yield table.PARKED.of(value=backlog.parked)
