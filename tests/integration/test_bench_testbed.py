"""What a benchmark starts ends with it, also when somebody ends the benchmark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, time
from pathlib import Path
from bench.testbed import testbed

folder = Path(sys.argv[1])
with testbed(folder / "bed", folder / "models") as on:
    print(*on.pids.values(), flush=True)
    time.sleep(120)
"""


def test_a_bench_that_is_told_to_end_takes_its_servers_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as bench:
        assert bench.stdout is not None
        servers = [psutil.Process(int(pid)) for pid in bench.stdout.readline().split()]
        assert len(servers) == 2 and all(server.is_running() for server in servers)
        bench.terminate()
        assert bench.wait(60) != 0
        left = psutil.wait_procs(servers, timeout=10)[1]
        for server in left:
            server.kill()
        assert left == []
