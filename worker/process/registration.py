"""Each child says what it is and what it serves, in the registry of workers; meanwhile it takes up what is new."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis

from packsight.shared.queue import registry
from packsight.shared.queue.registry import CHILD_TTL, ChildEntry
from packsight.worker.catalogs.snapshots import Catalogs

log = logging.getLogger(__name__)

_GLANCE, _LOOK = 0.05, 1.0
"""Seconds between two glances whether a version has arrived, and between two looks in any case: at three catalogs a glance takes
0.02 ms of a processor, a look ten times as much."""
_PERIOD = CHILD_TTL / 4


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


class Registration(threading.Thread):
    """Keeps a child's entry alive and its catalogs up to date, also while there is no work.

    The entry's absence is how `up` and `status` tell that no child is ready. `images` counts the photos looked at.
    """

    def __init__(
        self, client: redis.Redis, facts: ChildEntry, catalogs: Catalogs, images: Callable[[], int]
    ) -> None:
        super().__init__(name="registration", daemon=True)
        self._redis = client
        self._facts = facts
        self._catalogs = catalogs
        self._images = images
        self._ended = threading.Event()
        self._glance: object = None

    def announce(self) -> None:
        """Write the entry once; a broker that is away is not this thread's problem."""
        try:
            state = {"images": self._images(), "rss_mb": resident_mb(), **self._served()}
            registry.announce_child(self._redis, self._facts.model_copy(update=state))
        except (redis.RedisError, OSError) as error:
            log.warning("registration: %s", type(error).__name__)

    def _served(self) -> dict[str, dict[str, str]]:
        served = self._catalogs
        return {
            "catalogs": served.versions, "canaries": served.canaries, "latest": served.latest, "refused": served.refused,
        }  # fmt: skip

    def run(self) -> None:
        """Look and announce until the process ends; what is new is announced at once."""
        told, due = self._served(), time.monotonic() + _PERIOD
        while self._await_news():
            try:
                self._catalogs.refresh()
            except Exception:
                log.exception("catalogs cannot be looked for")
            if (served := self._served()) != told or time.monotonic() >= due:
                self.announce()
                told, due = served, time.monotonic() + _PERIOD

    def _await_news(self) -> bool:
        """Wait until there may be something to take up; False at the end."""
        due = time.monotonic() + _LOOK
        while not self._ended.wait(_GLANCE):
            if (glance := self._catalogs.glance()) != self._glance or time.monotonic() >= due:
                self._glance = glance
                return True
        return False

    def withdraw(self) -> None:
        """Remove the entry at an orderly end."""
        self._ended.set()
        if self.is_alive():
            self.join(_PERIOD)  # what it is just writing would outlive the removal
        try:
            registry.withdraw_child(self._redis, self._facts)
        except (redis.RedisError, OSError) as error:
            log.warning("registration: %s", type(error).__name__)
