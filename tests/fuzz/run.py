"""Many cases in children that may die of them: what came of each, which one took longest, and the inputs of faults kept."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from packsight.shared.launch import FRUGAL
from tests.fuzz.child import case
from tests.fuzz.targets import TARGETS

PATIENCE = 60.0
"""Seconds without a line after which a child hangs; a busy machine takes a hundredth of it for a case."""
SLOW = 5.0
"""Seconds of a processor from which a case counts as a fault: what one photo may take at most."""


@dataclass
class Found:
    """What came of the cases of one target. memory_mb: of the largest child."""

    target: str
    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: int = 0
    memory_mb: float = 0.0
    faults: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many there were."""
        return sum(self.outcomes.values())

    def take(self, line: dict[str, Any]) -> None:
        """Count a case."""
        self.outcomes[line["outcome"]] += 1
        if line["seconds"] > self.slowest_s:
            self.slowest_s, self.slowest = line["seconds"], line["number"]
        self.memory_mb = max(self.memory_mb, line["peak"])
        if "fault" in line or line["seconds"] > SLOW:
            self.faults.append(line)

    def document(self) -> dict[str, Any]:
        """What is written."""
        return {
            "target": self.target, "seed": self.seed, "cases": self.cases, "outcomes": dict(self.outcomes.most_common()),
            "slowest_s": round(self.slowest_s, 2), "slowest": self.slowest, "memory_mb": round(self.memory_mb),
            "faults": len(self.faults),
        }  # fmt: skip


def fuzz(name: str, seed: int, count: int, folder: Path, kept: Path) -> Found:
    """Read `count` cases of a target; the inputs of faults are kept in `kept` by target, seed and number."""
    found, first = Found(name, seed), 0
    folder.mkdir(parents=True, exist_ok=True)
    while first < count:
        begun = first - 1
        for line in _lines(name, folder, seed, first, count):
            if "begins" in line:
                begun = line["begins"]
            else:
                found.take(line)
                first = line["number"] + 1
        if first < count:
            if begun < first:
                raise RuntimeError(f"the child for {name} does not start; its trace is above")
            found.take({"number": begun, "outcome": "fault: process died", "seconds": 0.0, "peak": 0.0, "fault": "died or hung"})
            first = begun + 1
    if found.faults:
        kept.mkdir(parents=True, exist_ok=True)
        target = TARGETS[name](folder)
        for fault in found.faults:
            path = kept / f"{name}-{seed}-{fault['number']}"
            path.write_bytes(case(target, seed, fault["number"]))
            path.with_suffix(".txt").write_text(fault.get("fault", f"{fault['seconds']:.1f} s"))
    return found


def _lines(name: str, folder: Path, seed: int, first: int, last: int) -> Iterator[dict[str, Any]]:
    """What a child says until it ends or hangs."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.child", name, str(folder), str(seed), str(first), str(last)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**FRUGAL, **os.environ}, text=True)
    assert process.stdout is not None
    try:
        yield from map(json.loads, _until_silent(process.stdout))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _until_silent(stream: IO[str]) -> Iterator[str]:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        rest, until = "", time.monotonic() + PATIENCE
        while selector.select(max(0.0, until - time.monotonic())):
            piece = os.read(stream.fileno(), 65536).decode()
            if not piece:
                return
            *whole, rest = (rest + piece).split("\n")
            yield from whole
            until = time.monotonic() + PATIENCE
