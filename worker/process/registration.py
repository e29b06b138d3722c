"""Each child says what it is and what it serves, in a Redis key that expires with it."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

log = logging.getLogger(__name__)

_TTL = 20
_PERIOD = 5.0


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


class Registration(threading.Thread):
    """Keeps `packsight:child:<host>:<pid>` alive; its absence is how `up` and `status` tell that no child is ready."""

    def __init__(self, client: redis.Redis, facts: dict[str, Any], state: Callable[[], dict[str, Any]]) -> None:
        super().__init__(name="registration", daemon=True)
        self._redis = client
        self._facts = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "ready_at": datetime.now(UTC).isoformat(),
            **facts,
        }
        self._state = state
        self._ended = threading.Event()
        self.key = f"packsight:child:{self._facts['host']}:{self._facts['pid']}"

    def announce(self) -> None:
        """Write the key once; a broker that is away is not this thread's problem."""
        try:
            value = json.dumps({**self._facts, **self._state(), "rss_mb": resident_mb()})
            self._redis.set(self.key, value, ex=_TTL)
        except (redis.RedisError, OSError) as error:
            log.warning("registration: %s", type(error).__name__)

    def run(self) -> None:
        """Announce until the process ends."""
        while not self._ended.wait(_PERIOD):
            self.announce()

    def withdraw(self) -> None:
        """Remove the key at an orderly end."""
        self._ended.set()
        try:
            self._redis.delete(self.key)
        except (redis.RedisError, OSError) as error:
            log.warning("registration: %s", type(error).__name__)
