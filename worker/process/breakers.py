"""A circuit breaker for each thing that batches need: while one is open, this worker takes no work that needs it.

A child that cannot go on hands its batch back and says why (Outage). The parent then takes no further message: others that can
serve it find it in the broker. It looks again and again whether what was away is back, and goes on. One line in the log for each
change of state (Nygard, Release It!, 2007).
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from packsight.shared.contract.errors import Dependency, Outage
from packsight.shared.metrics import table
from packsight.shared.metrics.noting import note
from packsight.shared.queue import registry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BreakerParameters:
    """How long a breaker stays open before it is looked again."""

    first: float = 1.0
    """Seconds before the first look: a server that restarts is back after some."""
    most: float = 30.0
    """Seconds between two looks at most; each is twice the one before."""
    steady: float = 60.0
    """Seconds for which work went on, after which an outage counts as a new one, and not as the same that was not over."""


@dataclass(slots=True)
class _Breaker:
    """One that is open, or was open lately."""

    detail: str
    since: float
    pause: float
    look_at: float
    open: bool = True
    closed_at: float = 0.0


class Breakers:
    """The breakers of one worker; safe for several threads. probes: by dependency, tells whether it is back."""

    def __init__(
        self,
        probes: Mapping[Dependency, Callable[[], bool]],
        changed: Callable[[], None] = lambda: None,
        parameters: BreakerParameters = BreakerParameters(),
    ) -> None:
        self._probes, self._changed, self._parameters = probes, changed, parameters
        self._breakers: dict[Dependency, _Breaker] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def away(self) -> set[Dependency]:
        """What cannot be used now."""
        return {name for name, breaker in list(self._breakers.items()) if breaker.open}

    def told(self) -> dict[str, str]:
        """What is away, and how that was seen."""
        return {name.value: breaker.detail for name, breaker in list(self._breakers.items()) if breaker.open}

    def trip(self, outage: Outage) -> None:
        """Take no work until what is away is back; of several batches that meet the same outage the first one counts."""
        now, rules = time.monotonic(), self._parameters
        with self._lock:
            before = self._breakers.get(outage.dependency)
            if before is not None and before.open:
                return
            again = before is not None and now - before.closed_at < rules.steady
            pause = min(2 * before.pause, rules.most) if before is not None and again else rules.first
            self._breakers[outage.dependency] = _Breaker(outage.detail, now, pause, now + _spread(pause))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="breakers", daemon=True)
                self._thread.start()
        meanwhile = registry.idleness(outage.dependency)
        log.error("%s: this worker %s until it can be used again", outage, meanwhile, extra={"action": "outage_began"})
        note(table.OUTAGES.of(outage.dependency.value))
        self._changed()

    def _look(self) -> None:
        """Look after what is away until nothing is."""
        while True:
            with self._lock:
                due = [(breaker.look_at, name) for name, breaker in self._breakers.items() if breaker.open]
                if not due:
                    self._thread = None
                    return
            at, name = min(due)
            time.sleep(max(0.0, at - time.monotonic()))
            self._try(name)

    def _try(self, name: Dependency) -> None:
        breaker, rules = self._breakers[name], self._parameters
        try:
            back = self._probes[name]()
        except Exception:
            log.exception("whether the %s can be used again is not known", name)
            back = False
        now = time.monotonic()
        if not back:
            breaker.pause = min(2 * breaker.pause, rules.most)
            breaker.look_at = now + _spread(breaker.pause)
            return
        breaker.closed_at, breaker.open = now, False
        log.warning("%s: work is taken again after %.0f s", name, now - breaker.since, extra={"action": "outage_ended"})
        self._changed()


def _spread(seconds: float) -> float:
    """A pause that differs from worker to worker, so that not all ask at the same moment."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311 - nothing secret
