"""Who uses processor and memory while something is measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
import psutil

_LOOK = 0.5
"""Seconds between looks at what processes used: so much is lost of one that ends meanwhile."""


@dataclass
class Usage:
    """Watches processes by group name during a `with` block.

    every: seconds between samples of memory; 0 = only at both ends.
    """

    groups: Mapping[str, Sequence[int]]
    every: float = 0.0
    busy_per_core: list[float] = field(default_factory=list)
    """Share of each core that was busy, 0 to 1, whoever used it."""
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """Processor seconds by group, of its processes alone; of one that ended, as seen last."""
    memory: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """Seconds since the start, and resident MB of the largest process of each group."""

    def __enter__(self) -> Usage:
        self._ended = threading.Event()
        self._cores = psutil.cpu_times(percpu=True)
        self._begun = time.monotonic()
        self._first = {pid: spent for pids in self.groups.values() for pid in pids if (spent := _seconds(pid)) is not None}
        self._last = dict(self._first)
        self._sample()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self.seconds = time.monotonic() - self._begun
        self._sample()
        self._look()
        self.cpu = {
            name: round(sum(self._last[pid] - self._first[pid] for pid in pids if pid in self._first), 3)
            for name, pids in self.groups.items()
        }
        self.busy_per_core = [
            round(_busy(before, after), 3)
            for before, after in zip(self._cores, psutil.cpu_times(percpu=True), strict=True)
        ]

    def _watch(self) -> None:
        due = self._begun + self.every
        while not self._ended.wait(min(self.every, _LOOK) or _LOOK):
            self._look()
            if self.every and time.monotonic() >= due:
                self._sample()
                due += self.every

    def _sample(self) -> None:
        largest = {name: max(map(_resident, pids), default=0.0) for name, pids in self.groups.items()}
        self.memory.append((round(time.monotonic() - self._begun, 1), largest))

    def _look(self) -> None:
        for pid, last in self._last.items():
            self._last[pid] = max(last, _seconds(pid) or 0.0)

    def document(self) -> dict[str, Any]:
        """For the JSON."""
        return {
            "seconds": round(self.seconds, 2),
            "busy_per_core": self.busy_per_core,
            "busy": round(float(np.mean(self.busy_per_core)), 3),
            "cpu_seconds": self.cpu,
            "resident_mb": self.memory[-1][1],
        }


def _busy(before: Any, after: Any) -> float:
    spent = np.subtract(after, before)
    idle = sum(after._asdict().get(name, 0.0) - before._asdict().get(name, 0.0) for name in ("idle", "iowait"))
    total = float(spent.sum())
    return float(1 - float(idle) / total) if total else 0.0


def _seconds(pid: int) -> float | None:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return None
    return float(times.user + times.system)


def _resident(pid: int) -> float:
    try:
        return float(round(psutil.Process(pid).memory_info().rss / 1e6, 1))
    except psutil.NoSuchProcess:
        return 0.0
