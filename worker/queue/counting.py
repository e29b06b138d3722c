"""How photos ended while a version is tried on a share of the messages."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import redis

from packsight.shared.contract.outcomes import Outcome
from packsight.shared.queue import tried

log = logging.getLogger(__name__)


def count(client: redis.Redis, canaries: Mapping[str, str], outcomes: Sequence[Outcome]) -> None:
    """Count a batch's outcomes while its catalog has a canary; a database that is away costs the counts and no answer.

    canaries: versions that are tried, by catalog.
    """
    catalog = next((one.provenance.catalog for one in outcomes if one.provenance is not None), "")
    if canary := canaries.get(catalog):
        try:
            tried.note(client, catalog, canary, outcomes)
        except redis.RedisError as error:
            log.warning("photos are not counted: %s", type(error).__name__)
