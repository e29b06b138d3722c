"""The one way in which packsight itself opens Redis: its databases of results and of the broker."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.retry import Retry

from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Settings

_CLUSTER = (
    "This Redis is a cluster, in which scripts over several keys fail. "
    "Name a single server, or a primary with replicas, in PACKSIGHT_BROKER_URL and PACKSIGHT_RESULT_URL."
)


def result_database(settings: Settings) -> redis.Redis:
    """Open the result database; see `open_redis`."""
    return open_redis(settings.results, timeout=settings.queue.socket_timeout)


def open_redis(url: str, *, timeout: float, text: bool = True, retry: Retry | None = None) -> redis.Redis:
    """Open a Redis database, at the first command; answers are text, or bytes with `text=False`.

    A dropped connection is tried again for about a second, or as `retry` says; then redis.RedisError is raised. A frozen
    server raises after `timeout` seconds and is not asked again, so that nobody waits a multiple of it. A Redis cluster
    raises UserError.
    """
    return redis.Redis.from_url(
        url,
        decode_responses=text,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=True,
        health_check_interval=25,
        retry=retry or Retry(ExponentialBackoff(cap=0.5, base=0.1), retries=4, supported_errors=(RedisConnectionError,)),
        redis_connect_func=_greet,
    )


def refuse_cluster(client: redis.Redis) -> None:
    """Raise UserError when the server is part of a Redis cluster."""
    try:
        facts: dict[str, Any] = client.info("cluster")
    except ResponseError:  # this user may not ask
        return
    if facts.get("cluster_enabled"):
        raise UserError(_CLUSTER)


def _greet(connection: Any) -> None:
    # Without looking whether it is well: it is new, and where PING is refused, each look would connect anew, within this one.
    connection.on_connect_check_health(check_health=False)
    connection.send_command("INFO", "cluster", check_health=False)
    try:
        facts = connection.read_response()
    except ResponseError:
        return
    if "cluster_enabled:1" in (facts if isinstance(facts, str) else facts.decode()):
        connection.disconnect()
        raise UserError(_CLUSTER)
