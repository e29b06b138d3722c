"""What the indexer saw of the whole a moment ago, for `packsight status`: what one look does not show, or needs more rights."""

from __future__ import annotations

from typing import cast

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.shared.queue import keys

TTL = 30
"""Seconds for which it is believed."""


class Overview(BaseModel):
    """Figures of the queues and of all workers."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    photos_per_second: float = 0.0
    """Over the last minute."""
    oldest: dict[str, float] = Field(default_factory=dict)
    """Age in seconds of the oldest message, by queue."""


def write(client: redis.Redis, seen: Overview) -> None:
    """Tell; raises redis.RedisError."""
    client.set(keys.FIGURES, seen.model_dump_json(), ex=TTL)


def read(client: redis.Redis) -> Overview | None:
    """What was told last; None where no indexer tells, or where this user may not ask."""
    try:
        told = cast("str | None", client.get(keys.FIGURES))
        return None if told is None else Overview.model_validate_json(told)
    except (redis.ResponseError, ValidationError):
        return None
