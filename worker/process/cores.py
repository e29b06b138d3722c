"""How much of the machine a worker may use, and how it is divided among children."""

from __future__ import annotations

import math
import os
from pathlib import Path

from packsight.shared.settings import Worker

CHILD_BYTES = 1.5e9
"""Memory to have for each child: its networks take half of it, large photos, the catalog and the servers beside it the rest."""


def _quota(root: Path) -> float:
    """CPU quota of this control group in cores (cgroup v2 `cpu.max`, v1 `cpu.cfs_…`), infinity when there is none."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
        return math.inf if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota = int((root / "cpu/cpu.cfs_quota_us").read_text())
        return math.inf if quota < 0 else quota / int((root / "cpu/cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return math.inf


def usable_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may keep busy: the smaller of its affinity and its container's quota, at least one.

    The networks' runtimes look at the machine instead and would start more threads than a container may run.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, math.floor(_quota(root))) if _quota(root) < math.inf else affinity)


def usable_memory(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes that this process's container or machine has in all."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return float(min(machine, int((root / name).read_text())))
        except (OSError, ValueError):  # `max`: no limit
            continue
    return float(machine)


def divide(worker: Worker, cores: int, memory: float | None = None) -> tuple[int, int]:
    """Return (children, threads per child) such that children × threads fills the cores but never exceeds them.

    A child per core answers a quarter more photos than half as many with two threads each, which wait for each other and for
    the next batch; so there are as many as `memory` (default usable_memory()) has room for.
    """
    children = worker.children or max(1, min(cores, _room(memory)))
    return children, worker.threads or max(1, cores // children)


def processes(worker: Worker, cores: int, memory: float | None = None) -> int:
    """Children in all: those of `divide`, which jobs may keep busy, and the spare ones that there is memory for."""
    children, _ = divide(worker, cores, memory)
    return children + max(0, min(worker.spare, _room(memory) - children))


def _room(memory: float | None) -> int:
    return int((usable_memory() if memory is None else memory) // CHILD_BYTES)
