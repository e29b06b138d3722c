"""The tests of queue and object store against the newest Celery, kombu and MinIO client, whatever range is pinned.

`python -m tests.canary [--pre]` makes an environment in a temporary folder, in which the packages of the present one are
seen too, so that only these and what they need anew are installed. Prints what vanished or changed and what failed; the exit
code is pytest's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEWEST = ("celery[redis]", "kombu", "minio")
"""Packages of which more is used than what they promise to keep."""
TESTS = (
    "unit/test_foreign_names.py",
    "unit/test_delivery_rules.py",
    "integration/test_transport.py",
    "integration/test_transport_states.py",
    "integration/test_delivery.py",
    "integration/test_ledger.py",
    "integration/test_reconcile.py",
    "integration/test_submit.py",
    "integration/test_store.py",
    "integration/test_message_contract.py",
    "acceptance/test_kills.py",
)


def environment(folder: Path) -> Path:
    """Make an environment that also sees the packages of the present one; returns its Python."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    own = Path(subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())
    # Comes after the environment's own packages, with the links of editable installations.
    (own / "present.pth").write_text(f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n")
    return python


def main() -> int:
    """Run the tests; returns the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m tests.canary", description=__doc__)
    arguments.add_argument("--pre", action="store_true", help="take pre-releases too")
    pre = ["--pre"] if arguments.parse_args().pre else []
    with tempfile.TemporaryDirectory(prefix="canary-") as folder:
        python = environment(Path(folder))
        pip: list[str | Path] = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--upgrade", *pre, *NEWEST], check=True)
        versions = (
            "import celery, kombu, minio; "
            "print(f'celery {celery.__version__}, kombu {kombu.__version__}, minio {minio.__version__}', flush=True)"
        )
        subprocess.run([python, "-c", versions], check=True)
        tests = [str(ROOT / "tests" / name) for name in TESTS]
        pytest: list[str | Path] = [python, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *tests]
        # The servers that the tests start are beside the present Python.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
        return subprocess.run(pytest, cwd=ROOT, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
