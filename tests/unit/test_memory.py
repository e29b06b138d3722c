"""Freed memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import psutil
from packsight.shared.memory import give_back
held = [bytes(60_000) for _ in range(3000)]
last = bytes(60_000)  # above them, so that the heap cannot shrink by itself
del held
process = psutil.Process()
before = process.memory_info().rss
give_back()
print(before - process.memory_info().rss)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can be asked")
def test_what_was_freed_is_given_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) > 100_000_000
