"""`python -m tests.audit`: ask pip-audit for known vulnerabilities of the releases in locks/dev.txt, which holds all others.

pip-audit runs in an environment of its own, which uv makes. Exit code 0: none is known; 1: some are, and are named; 2: that could
not be found out, since pip-audit or the advisories cannot be reached from here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "locks/dev.txt"
UNKNOWN = 2


class Vulnerability(NamedTuple):
    """An advisory for a release. mended: the releases that are said to be without it."""

    package: str
    version: str
    id: str
    mended: list[str]


def command(lock: Path) -> list[str]:
    """What runs pip-audit over a lock; releases and hashes stand in it, so nothing is resolved."""
    uv = Path(sys.executable).with_name("uv")
    line = [str(uv), "tool", "run", "--quiet", "pip-audit", "--requirement", str(lock), "--require-hashes", "--disable-pip"]
    return [*line, "--format", "json", "--progress-spinner", "off"]


def vulnerabilities(report: dict[str, Any]) -> list[Vulnerability]:
    """The advisories of pip-audit's report."""
    return [
        Vulnerability(one["name"], one["version"], advisory["id"], advisory.get("fix_versions", []))
        for one in report["dependencies"]
        for advisory in one.get("vulns", [])
    ]


def audit(line: list[str]) -> int:
    """Run pip-audit and say what it found; returns the exit code."""
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as error:
        return _unknown(str(error))
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        return _unknown(next(iter(done.stderr.strip().splitlines()[::-1]), "nothing"))
    releases = report["dependencies"]
    skipped = [one for one in releases if "skip_reason" in one]
    found = vulnerabilities(report)
    for one in found:
        print(f"{one.package} {one.version}: {one.id}, mended in {', '.join(one.mended) or 'no release'}")
    print(f"{len(releases) - len(skipped)} of {len(releases)} releases looked up, {len(found)} vulnerabilities known")
    if skipped and not found:
        return _unknown(skipped[0]["skip_reason"])
    return 1 if found else 0


def _unknown(told: str) -> int:
    print("Whether vulnerabilities are known could not be found out: pip-audit or its advisories cannot be reached from here.")
    print(f"It said: {told}. Run `make audit` where PyPI is reachable.")
    return UNKNOWN


if __name__ == "__main__":
    sys.exit(audit(command(LOCK)))
