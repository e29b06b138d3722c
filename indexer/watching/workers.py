"""Who works: the workers that give signs of life, their children, and how many photos these look at in a second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import redis

from packsight.shared.metrics import table
from packsight.shared.metrics.table import Sample
from packsight.shared.queue import registry
from packsight.shared.queue.dead_letters import DeadLetters

WINDOW = 60.0
"""Seconds over which photos are counted: several batches of a slow worker, and soon gone when work ends."""
Child = tuple[str, int]


class Pace:
    """Photos per second, of what the children say that they have looked at since they began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, Mapping[Child, int]]] = deque()

    def of(self, images: Mapping[Child, int]) -> float:
        """Of the last minute, or of the time since the first look; a child that was not there then began at nothing."""
        now = self._clock()
        self._seen.append((now, images))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()
        began, before = self._seen[0]
        done = sum(max(0, count - before.get(child, 0)) for child, count in images.items())
        return done / (now - began) if now > began else 0.0


class Workers:
    """A look at the registry and at the dead letters."""

    def __init__(self, client: redis.Redis, dead_letters: DeadLetters, pace: Pace) -> None:
        self._client, self._dead_letters, self._pace = client, dead_letters, pace
        self.photos_per_second = 0.0

    def look(self) -> Iterator[Sample]:
        """Figures; raises redis.RedisError when the result database cannot be asked."""
        children = registry.children(self._client)
        parents = [one for one in registry.processes(self._client) if one.children]
        self.photos_per_second = self._pace.of({(child.host, child.pid): child.images for child in children})
        yield table.WORKERS.of(value=len(parents))
        yield table.FLEET_EXPECTED.of(value=sum(parent.children for parent in parents))
        yield table.FLEET_READY.of(value=len(children))
        yield table.DEAD_LETTERS.of(value=self._dead_letters.count())
