"""What may be away of all that this worker's batches need, and how it is told that it is back."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

import redis

from packsight.shared.contract.errors import Dependency
from packsight.shared.contract.messages import DESCRIBE_QUEUE, WORKER_QUEUES
from packsight.shared.queue import keys, registry
from packsight.shared.queue.connection import result_database
from packsight.shared.settings import Settings, settings
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.process.breakers import Breakers


@lru_cache(maxsize=1)
def outages() -> Breakers:
    """The breakers of this process, a worker's parent."""
    return _breakers(settings())


def takes(queue: str) -> bool:
    """Whether messages of a queue are taken now; what is no work, such as questions to the worker, always is."""
    if queue not in WORKER_QUEUES:
        return True
    # Describing asks no catalog: it is how the version is made that recognition waits for.
    return not outages().away - ({Dependency.CATALOG} if queue == DESCRIBE_QUEUE else set())


TAKES = f"{__name__}:{takes.__name__}"
"""How the transport is told of it."""


def _breakers(config: Settings) -> Breakers:
    store, results = ObjectStore(config.s3), result_database(config)

    def keeps_results() -> bool:
        with suppress(redis.RedisError):
            return bool(results.set(keys.PROBE, 1, ex=1))
        return False

    def look_for_catalogs() -> None:
        # A version that was missing may be there, or one that came meanwhile was missed.
        with suppress(redis.RedisError):
            registry.hint(results, "")

    def is_known_when_asked() -> bool:
        # A catalog's version may have come by then, and a child with new networks be there.
        return True

    probes = {Dependency.STORE: store.answers, Dependency.RESULTS: keeps_results}
    return Breakers(dict.fromkeys(Dependency, is_known_when_asked) | probes, look_for_catalogs)
