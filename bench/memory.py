"""What a part of a run takes of the processor and of memory of its own."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.02
"""Seconds between two looks at the memory."""
_OWN = re.compile(r"RssAnon:\s+(\d+) kB")


def own_mb() -> float:
    """Resident memory of this process that no file stands behind: what the system cannot take back without losing it."""
    found = _OWN.search(Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


@dataclass
class Meter:
    """Parts of a run, by name: processor seconds of all threads, without those that `aside` counted, and the most memory."""

    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    aside: float = 0.0
    """Processor seconds that belong to the measurement, not to what is measured."""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure what is done meanwhile."""
        begun, aside, most, done = time.process_time(), self.aside, [own_mb()], threading.Event()

        def look() -> None:
            while not done.wait(EVERY):
                most.append(max(most.pop(), own_mb()))

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        try:
            yield
        finally:
            spent = time.process_time() - begun - (self.aside - aside)
            done.set()
            looking.join()
            self.parts[name] = {"cpu_seconds": round(spent, 2), "peak_mb": round(max(most[0], own_mb()))}
