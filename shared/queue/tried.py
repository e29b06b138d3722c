"""How photos ended while a canary was tried: those that it answered, and those that the version beside it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, cast

import redis

from packsight.shared.contract.outcomes import Outcome, Status
from packsight.shared.queue import keys

KEPT = 30 * 24 * 3600
"""Seconds for which the counts stay after the last photo: a trial is decided within days."""
Side = Literal["canary", "current"]


def note(client: redis.Redis, catalog: str, canary: str, outcomes: Sequence[Outcome]) -> None:
    """Count photos of a message. One that is delivered again may be counted twice. Raises redis.RedisError."""
    versions = [None if one.provenance is None else one.provenance.catalog_version for one in outcomes]
    sides = [None if version is None else "canary" if version == canary else "current" for version in versions]
    ended = Counter(f"{side}:{one.status}" for side, one in zip(sides, outcomes, strict=True) if side is not None)
    key = keys.tried(catalog, canary)
    with client.pipeline(transaction=False) as pipe:
        for name, count in ended.items():
            pipe.hincrby(key, name, count)
        pipe.expire(key, KEPT)
        pipe.execute()


def read(client: redis.Redis, catalog: str, canary: str) -> dict[Side, dict[str, int]]:
    """Photos by side and ending, both sides; raises redis.RedisError."""
    found: dict[Side, dict[str, int]] = {"canary": {}, "current": {}}
    counts = cast("dict[str, str]", client.hgetall(keys.tried(catalog, canary)))
    for ending in Status:
        for side, known in found.items():
            if count := counts.get(f"{side}:{ending.value}"):
                known[ending.value] = int(count)
    return found
