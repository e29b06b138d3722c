"""One way to open the result database, for everything that packsight itself keeps there."""

from __future__ import annotations

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from packsight.shared.settings import Settings


def result_database(settings: Settings) -> redis.Redis:
    """Open the result database; answers are text.

    A dropped connection is tried again for about a second; then redis.RedisError is raised. A frozen server raises
    after `queue.socket_timeout` and is not asked again, so that nobody waits a multiple of it.
    """
    return redis.Redis.from_url(
        settings.result_url.get_secret_value(),
        decode_responses=True,
        socket_timeout=settings.queue.socket_timeout,
        socket_connect_timeout=settings.queue.socket_timeout,
        socket_keepalive=True,
        health_check_interval=25,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.1), retries=4, supported_errors=(RedisConnectionError,)),
    )
