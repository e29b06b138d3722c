"""Looks at the whole again and again, from threads: who asks for the page gets what was seen last, whatever is away meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator

import redis

from packsight.indexer.fleet import Fleet
from packsight.indexer.watching import reviewed
from packsight.indexer.watching.catalogs import Catalogs
from packsight.indexer.watching.queues import Ages, Queues
from packsight.indexer.watching.workers import Pace, Workers
from packsight.shared.contract.errors import PacksightError
from packsight.shared.metrics import table
from packsight.shared.metrics.table import Sample
from packsight.shared.queue import overview
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.overview import Overview
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.review_figure import Figure

log = logging.getLogger(__name__)

PERIOD = 5.0
"""Seconds between two looks: a third of what Prometheus is usually told to wait between two scrapes. A catalog costs two or three
small reads of object storage, as it does each worker's host every two seconds."""

Look = Callable[[], Iterable[Sample]]


class Part(threading.Thread):
    """What one thing that may be away is asked. What it said is forgotten when it can no longer be asked."""

    def __init__(self, dependency: str, look: Look, period: float) -> None:
        super().__init__(name=f"watch {dependency}", daemon=True)
        self._dependency, self._look, self._period = dependency, look, period
        self._seen: list[Sample] | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        self.look()
        while not self._ended.wait(self._period):
            self.look()

    def look(self) -> None:
        """Look once; what is away is a figure too."""
        try:
            self._seen = [*self._look(), table.DEPENDENCY.of(self._dependency, value=1)]
        except (redis.RedisError, PacksightError, OSError) as error:
            if not self._is_away:
                log.warning("%s cannot be asked: %s", self._dependency, type(error).__name__)
            self._seen = [table.DEPENDENCY.of(self._dependency, value=0)]
        except Exception:
            log.exception("%s cannot be looked at", self._dependency)
            self._seen = None

    @property
    def _is_away(self) -> bool:
        return self._seen == [table.DEPENDENCY.of(self._dependency, value=0)]

    def samples(self) -> list[Sample]:
        """Figures of the last look."""
        return self._seen or []

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()


class Watch:
    """All parts. reviews: what people find of answers, where they are asked."""

    def __init__(
        self, settings: Settings, *, store: bool = True, reviews: Callable[[ObjectStore], Iterable[Figure]] | None = None
    ) -> None:
        self._fleet = Fleet(settings)
        self._queues = Queues(open_broker(settings), Ages(settings.queue.result_expires))
        self._workers = Workers(self._fleet.redis, DeadLetters(settings), Pace())
        self.parts = [Part("broker", self._queues.look, PERIOD), Part("result database", self._look_at_workers, PERIOD)]
        if store:
            objects = ObjectStore(settings.s3)
            self.parts.append(Part("object storage", Catalogs(settings, objects, Fleet(settings)).look, PERIOD))
            if reviews is not None:
                self.parts.append(Part("reviews", lambda: reviewed.samples_of(reviews(objects)), 12 * PERIOD))

    def start(self) -> None:
        """Look from threads."""
        for part in self.parts:
            part.start()

    def stop(self) -> None:
        """Look no more."""
        for part in self.parts:
            part.stop()

    def samples(self) -> Iterator[Sample]:
        """Figures of the last looks."""
        for part in self.parts:
            yield from part.samples()

    def _look_at_workers(self) -> Iterator[Sample]:
        yield from self._workers.look()
        memory = self._fleet.redis.info("memory")
        yield table.MEMORY.of(value=memory["used_memory"])
        if memory.get("maxmemory"):
            yield table.MEMORY_LIMIT.of(value=memory["maxmemory"])
        pace = round(self._workers.photos_per_second, 3)
        overview.write(self._fleet.redis, Overview(photos_per_second=pace, oldest=self._queues.oldest))
