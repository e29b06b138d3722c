"""`python -m tests.fuzz.child TARGET FOLDER SEED FIRST LAST`: read the cases of a range under limits, one line of JSON for each.

A line is written before each case too, so that whoever reads them knows which one ended the process.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS, Target

MEMORY = 4 * 2**30
"""Bytes of address space: what a case makes a reader ask for beyond it raises MemoryError, which is a fault."""
PROCESSOR = 600
"""Seconds of the whole process."""


def case(target: Target, seed: int, number: int) -> bytes:
    """The input of this number; the same for the same seed."""
    return target.case(random.Random(f"{target.name} {seed} {number}"))


def read(target: Target, data: bytes) -> dict[str, Any]:
    """Let a target read a case; says how it ended, with the end of the trace for a fault."""
    began = time.process_time()
    try:
        ended: dict[str, Any] = {"outcome": target.ask(data)}
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        name = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
        ended = {"outcome": f"fault: {name}", "fault": traceback.format_exc(limit=-4)[-1500:]}
    return ended | {"seconds": time.process_time() - began}


def peak() -> float:
    """Most resident memory of this process so far, MB."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def main() -> None:
    """Read the cases."""
    name, folder, seed, first, last = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR))
    target = TARGETS[name](Path(folder))
    for number in range(int(first), int(last)):
        print(json.dumps({"begins": number}), flush=True)
        print(json.dumps({"number": number, **read(target, case(target, int(seed), number)), "peak": peak()}), flush=True)


if __name__ == "__main__":
    main()
