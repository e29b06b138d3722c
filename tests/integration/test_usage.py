"""What processes used while something was measured, with real ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil

from bench.usage import Usage

BUSY = """
import sys, time
def spend(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
spend(0.6)
print("begun", flush=True)
sys.stdin.readline()
spend(0.6)
print("done", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_ends_meanwhile_counts_with_what_it_was_seen_to_use() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        with Usage({"child": [child.pid], "both": [child.pid, os.getpid()]}) as usage:
            print(file=child.stdin, flush=True)
            assert child.stdout.readline() == "done\n"
            before = psutil.Process(child.pid).cpu_times()
            while usage._last[child.pid] < before.user + before.system:  # until it was looked at
                time.sleep(0.05)
            child.stdin.close()
            child.wait()
        assert usage.cpu["both"] >= usage.cpu["child"] >= 0.5, "without what it had used before"


def test_a_process_that_is_gone_already_counts_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    with Usage({"child": [child.pid]}) as usage:
        pass
    assert usage.cpu == {"child": 0}
