"""How the syncs of a catalog ended, whoever ran them: kept where whoever watches can ask without a look at the catalog."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import redis

from packsight.shared.contract.references import plain
from packsight.shared.queue import keys

KEPT = 400 * 24 * 3600
"""Seconds for which they stay after the last sync: a catalog that nobody has synced for a year is not served by mistake."""
_WHY = 300


class Ending(StrEnum):
    """How a sync ended. `held_back`: a canary is tried or somebody went back, and nothing is published until a person decides."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"
    HELD_BACK = "held_back"


GOOD = frozenset({Ending.PUBLISHED, Ending.UNCHANGED})


@dataclass(frozen=True, slots=True)
class Syncs:
    """Those of a catalog. Times are in seconds since 1970, 0 where there was none."""

    ending: Ending
    """Of the last one."""
    ended_at: float
    seconds: float
    """What it took."""
    why: str = ""
    """The first line of why it failed or was refused."""
    succeeded_at: float = 0.0
    """When the last one ended that did what it should."""
    feed_changed_at: float = 0.0
    """When one last found that the shop's offers had changed."""
    counts: dict[Ending, int] = field(default_factory=dict)
    """How many ended how."""


def note(
    client: redis.Redis, catalog: str, ending: Ending, seconds: float, *, why: str = "", feed_changed: bool = False
) -> None:
    """Note how a sync ended just now; raises redis.RedisError."""
    key, now = keys.sync(catalog), f"{time.time():.3f}"
    lines = why.splitlines()
    why = plain(lines[0]) if lines else ""
    if len(why) > _WHY:
        why = f"{why[:_WHY].rpartition(' ')[0] or why[:_WHY]} …"
    told = {"ending": ending.value, "ended_at": now, "seconds": f"{seconds:.3f}", "why": why}
    if ending in GOOD:
        told["succeeded_at"] = now
    if feed_changed:
        told["feed_changed_at"] = now
    with client.pipeline() as pipe:
        for name, value in told.items():
            pipe.hset(key, name, value)
        pipe.hincrby(key, f"count:{ending.value}", 1)
        pipe.expire(key, KEPT)
        pipe.execute()


def forget(client: redis.Redis, catalog: str) -> None:
    """Nothing is told of a catalog's syncs any more; raises redis.RedisError."""
    client.expire(keys.sync(catalog), 0)  # the right to which whoever notes them has


def read(client: redis.Redis, catalog: str) -> Syncs | None:
    """Those of a catalog; None where none ended yet that was noted. Raises redis.RedisError."""
    fields = cast("dict[str, str]", client.hgetall(keys.sync(catalog)))
    if fields.get("ending") not in set(Ending):
        return None
    return Syncs(
        Ending(fields["ending"]),
        float(fields["ended_at"]),
        float(fields["seconds"]),
        fields.get("why", ""),
        float(fields.get("succeeded_at", 0)),
        float(fields.get("feed_changed_at", 0)),
        {ending: int(fields.get(f"count:{ending.value}", 0)) for ending in Ending},
    )
