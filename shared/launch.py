"""How packsight's own processes are started: by module name, with nothing imported from the folder they start in."""

from __future__ import annotations

import os
import socket
import sys
from typing import NoReturn

WORKER_NODE, INDEXER_NODE = "recognizer@%h", "indexer@%h"
"""Celery's names of a worker and of the indexer by default; %h is the host."""

FRUGAL = {
    # Every library counts the whole machine's cores; the networks get their threads from packsight's own settings.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc keeps an arena per thread, and for ever more what once was as large as a photo; Arrow a pool of its own beside it.
    # A child's resident size at most, `python -m bench --soak 960`: 706 and 697 MB without the last two, 668 with the first of
    # them, 634 with both; the photos per second are the same.
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Variables that keep the libraries' threads and memory to what one process of several on a machine needs."""


def shield() -> None:
    """Let no process that this one starts import from the folder it starts in, nor the children that such a one spawns.

    A user's `worker.py` or `queue.py` is nobody's module but theirs.
    """
    os.environ["PYTHONSAFEPATH"] = "1"


def node(name: str) -> str:
    """The full name of a node."""
    return name.replace("%h", socket.gethostname())


def python(module: str, *arguments: str) -> list[str]:
    """Command line that runs a module of this environment, wherever it is started."""
    return [sys.executable, "-m", module, *arguments]


def become(module: str, *arguments: str, environment: dict[str, str]) -> NoReturn:
    """Replace this process by a module's, so that signals reach it itself; what is set already stays as it is."""
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    line = python(module, *arguments)
    os.execv(line[0], line)  # noqa: S606 - our own command line, without a shell
