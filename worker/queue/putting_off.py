"""Batches that come again later though nothing is away: of photos that cannot be had now, of work that cannot be kept now, and of
catalogs that nobody serves now.

Photos of foreign hosts are asked for again in a later delivery, a counted number of times.

Our own storage away is an outage; a stranger's server away is what its photos end with, but not at the first try. Their message
waits in the broker, where it holds no child, with the outcomes of its other photos kept; a host has time to come back meanwhile.
Pauses grow and are spread, so that many batches do not come back at once (Brooker, Exponential Backoff and Jitter, 2015).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis

from packsight.shared.contract.errors import Dependency, ErrorCode, Outage, PutOff, StorageError
from packsight.shared.contract.outcomes import Failure
from packsight.shared.contract.references import scheme
from packsight.shared.queue import registry
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)

_OF_THE_WAY = frozenset({ErrorCode.HTTP_STATUS, ErrorCode.HOST_UNREACHABLE, ErrorCode.FETCH_TIMEOUT, ErrorCode.FETCH_FAILED})
"""Failures on the way to a photo, not of the photo."""


@dataclass(frozen=True, slots=True)
class PauseParameters:
    """Seconds until photos are asked for again."""

    first: float = 5.0
    """After the first delivery: a server that refuses too many requests at once takes the next."""
    factor: float = 4.0
    """Each pause is so many times the one before: 5, 20 and 80 s outlast the restart of a server."""
    most: float = 300.0
    """At most, also where a host asks for more: then its photos have failed, since whoever waits for the batch would wait too."""
    spread: float = 0.25
    """Share by which a pause is longer or shorter by chance."""
    unkept: float = 15.0
    """Until what object storage did not keep is made again: people make room on a disk, and making it anew costs much."""
    unserved: float = 15.0
    """Until somebody may serve a catalog that nobody does: a sync makes a version, and hosts bring it."""
    room: float = 25.0
    """What must be left until a message expires when it comes back: fetching one photo may take 20 s, finding a child some."""


PAUSES = PauseParameters()
"""What a worker goes by."""


def not_kept(store: ObjectStore, error: StorageError) -> Outage | PutOff:
    """What a batch meets whose work object storage did not keep, by whether that still answers.

    A disk that is full is read from as ever: batches that keep nothing go on, and this one comes again until there is room.
    """
    if store.answers():
        log.warning("what was made of photos cannot be kept: %s %s", error.message, error.remedy, extra={"action": "not_kept"})
        return PutOff(f"what was made of its photos is not kept: {error.message}", PAUSES.unkept)
    return Outage(Dependency.STORE, error.message)


def not_served(client: redis.Redis, catalog: str, outage: Outage, served: Collection[str]) -> Outage | PutOff:
    """What a batch meets whose catalog this child cannot serve, by who can; served: the catalogs that this child serves.

    Where another worker serves it, or this one serves none, it goes back at once, and this worker takes no further one. Where
    nobody does, all that this one serves would stand still for it: it comes again until somebody can.
    """
    if outage.dependency is not Dependency.CATALOG or not served or registry.is_served(client, catalog):
        return outage
    return PutOff(f"nobody serves catalog {catalog}: {outage.detail}", PAUSES.unserved)


def can_pass(image: str, failure: Failure | None) -> bool:
    """Whether a photo may be had later that its foreign host did not give now; one that asks for too long a wait does not."""
    if failure is None or not failure.retryable or failure.code not in _OF_THE_WAY or scheme(image) not in {"http", "https"}:
        return False
    return (failure.retry_after or 0.0) <= PAUSES.most


def pause(failures: Iterable[Failure], earlier: int, expires: datetime | None, rules: PauseParameters = PAUSES) -> float | None:
    """Return after how many seconds photos with these failures are asked for again, having been put off `earlier` times.

    None when their message, which expires then, leaves no room for it.
    """
    asked = max((failure.retry_after or 0.0 for failure in failures), default=0.0)
    longest = min(rules.most, rules.first * rules.factor**earlier)
    seconds = max(asked, longest * random.uniform(1 - rules.spread, 1 + rules.spread))  # noqa: S311 - nothing secret
    if expires is not None and datetime.now(UTC) + timedelta(seconds=seconds + rules.room) > expires:
        return None
    return seconds
