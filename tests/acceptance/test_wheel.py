"""The wheel as users install it: all of it in a folder full of files that are called like modules, and its core alone."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from packsight.deploy.stack.parts import PAGE_USER
from tests.acceptance.local_stack import PRODUCTS, Stack, query
from tests.door import Visitor, signed_in
from tests.pages import block, lines_of

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
LIBRARIES = Path(sysconfig.get_path("purelib"))
PROGRAMS = Path(sysconfig.get_path("scripts"))
OF_THE_USER = [
    *("worker", "deploy", "indexer", "producer", "shared/__init__", "packsight_user", "tasks", "settings"),
    *("queue", "types", "logging", "random", "celery", "kombu", "redis", "numpy", "flower", "tornado"),
]
"""Modules that lie in the user's folder: called like our rooms, like modules of Python, like libraries."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the source, since a build leaves its own folders there."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", made, source)
    (file,) = made.iterdir()
    return file


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def environment(folder: Path, wheel: Path) -> Path:
    """A fresh environment with the wheel and none of its libraries; returns the folder that they belong in."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip("--python", folder / "bin/python", "install", "--no-deps", "--no-index", wheel)
    (libraries,) = folder.glob("lib/python*/site-packages")
    return libraries


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """An environment with the wheel and the libraries of this one, but for its editable packsight."""
    folder = tmp_path_factory.mktemp("installed")
    (environment(folder, wheel) / "borrowed.pth").write_text(f"{LIBRARIES}\n")
    return folder


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """An environment as `pip install packsight` makes it: the wheel and what the lock of its core names."""
    folder = tmp_path_factory.mktemp("core")
    libraries = environment(folder, wheel)
    for name in re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", (ROOT / "locks/core.txt").read_text(), re.MULTILINE):
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another system than this one
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (libraries / top).exists():
                (libraries / top).symlink_to(LIBRARIES / top)
    return folder


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Iterator[Stack]:
    """A stack that the wheel started in the user's folder, with a published catalog."""
    folder = tmp_path_factory.mktemp("user")
    for module in OF_THE_USER:
        file = folder / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"raise SystemExit('{module} of the user was imported')\n")
    made = Stack(folder, (str(installed / "bin/packsight"),), variables(installed))
    made.draw_shop()
    table = block("docs/five-minutes.md", "Five minutes to your own photos", "csv")
    (folder / "shop/products.csv").write_text(table, encoding="utf-8")
    (folder / "photos").mkdir()
    for name in ("photo.jpg", "photos/1.jpg"):
        (folder / name).write_bytes(query(PRODUCTS[0], 2))
    try:
        for line in FIVE_MINUTES:
            made.run(*line.split()[1:])
        yield made
    finally:
        stopped = made.run("down").stdout
    assert all(part in stopped for part in ("valkey", "seaweedfs", "worker", "indexer", "flower"))


FIVE_MINUTES = [
    line for line in lines_of(block("docs/five-minutes.md", "Five minutes to your own photos")) if line.startswith("packsight ")
]


def test_five_minutes_end_with_an_answer_by_terminal_and_by_page(stack: Stack) -> None:
    with (stack.folder / "results.csv").open(encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert (row["name"], row["status"], row["product_id"]) == ("photos/1.jpg", "matched", PRODUCTS[0].id)
    assert "data:image/webp" in (stack.folder / "report.html").read_text()
    state = stack.state
    door = Visitor(f"http://127.0.0.1:{state['ports']['http']}")
    person = signed_in(door, PAGE_USER, state["credentials"]["page"])
    photo = (stack.folder / "photos/1.jpg").read_bytes()
    form = {"csrf": person.headers["X-CSRF-Token"], "catalog": "default", "photo": ("1.jpg", photo)}
    asked = person.post("/ask", fields=form, redirect=False)
    assert row["product_name"] in person.get(asked.headers["Location"]).data.decode()
    readme = lines_of(block("README.md", "packsight", holding="packsight up"))
    typed = [line.replace("shop/feed.xml", "shop/products.csv") for line in readme if line.startswith("packsight ")]
    assert typed == [*FIVE_MINUTES, "packsight down"]


def variables(environment: Path) -> dict[str, str]:
    """Neither the checkout nor its environment on any path, but for the programs of the libraries."""
    return {"PATH": os.pathsep.join([str(environment / "bin"), str(PROGRAMS), os.defpath]), "PYTHONPATH": ""}


def test_the_wheel_is_what_is_imported(stack: Stack, installed: Path) -> None:
    code = "import packsight, packsight.worker.app; print(packsight.__file__, packsight.worker.app.__file__)"
    run = subprocess.run(
        [installed / "bin/python", "-P", "-c", code],
        cwd=stack.folder,
        env=os.environ | stack.variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(Path(file).is_relative_to(installed) for file in run.stdout.split())


def test_the_wheel_says_that_it_is_typed(installed: Path) -> None:
    assert list(installed.glob("lib/python*/site-packages/packsight/py.typed"))


def test_a_photo_is_recognised_among_files_that_are_called_like_modules(stack: Stack) -> None:
    outcome = json.loads(stack.run("recognize", "photo.jpg").stdout)
    assert (outcome["status"], outcome["product"]["id"]) == ("matched", PRODUCTS[0].id)
    seen = json.loads(stack.run("status", "--json").stdout)
    assert {part["name"] for part in seen["parts"] if part["up"]} >= {"worker", "indexer", "flower"}
    for log in (stack.folder / ".packsight/logs").iterdir():
        assert "of the user was imported" not in log.read_text(errors="replace")


@pytest.fixture
def producer(stack: Stack, core: Path, tmp_path: Path) -> Stack:
    """The command line of the core alone, in another folder, told where the stack is."""
    (tmp_path / "labels.csv").write_text(f"image,product_id\nphoto.jpg,{PRODUCTS[0].id}\n")
    (tmp_path / "photo.jpg").write_bytes((stack.folder / "photo.jpg").read_bytes())
    told = {
        "PACKSIGHT_STACK_FILE": str(stack.folder / ".packsight/stack.env"),
        "PACKSIGHT_HOME": str(tmp_path / "home"),
    }
    return Stack(tmp_path, (str(core / "bin/packsight"),), variables(core) | told)


def test_the_core_alone_submits_a_job_and_writes_its_results(producer: Stack) -> None:
    producer.run(
        "submit", "photo.jpg", "--wait", "--out", "results.csv", "--out", "results.jsonl", "--report", "r.html"
    )
    (row,) = [json.loads(line) for line in (producer.folder / "results.jsonl").read_text().splitlines()]
    assert row["product"]["id"] == PRODUCTS[0].id
    assert "data:image/webp" in (producer.folder / "r.html").read_text()
    job = json.loads(producer.run("jobs", "--json").stdout.splitlines()[0])
    assert (job["state"], job["ends"]["matched"]) == ("ended", 1)
    assert "Automation" in producer.run("evaluate", "labels.csv").stdout
    assert "no dead letters" in producer.run("dead-letters", "list").stdout
    assert producer.run("status", "--json").stdout


def test_the_core_alone_recognises_a_photo_from_a_program(producer: Stack, core: Path) -> None:
    code = "from packsight import Client\nwith Client() as client: print(client.recognize('photo.jpg').product.id)"
    run = subprocess.run(
        [core / "bin/python", "-c", code],
        cwd=producer.folder,
        env=os.environ | producer.variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == PRODUCTS[0].id


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["worker"], "worker"),
        (["models", "quantise"], "worker"),
        (["indexer"], "indexer"),
        (["catalog", "versions"], "indexer"),
        (["catalog", "sync", "--feed", "feed.xml"], "indexer"),
        (["evaluate", "labels.csv", "--ablation"], "analysis"),
        (["submit", "photo.jpg", "--out", "results.parquet"], "analysis"),
        (["explain", "photo.jpg", "--out", "why.png"], "analysis"),
        (["up"], "stack"),
        (["demo"], "stack"),
    ],
)
def test_a_command_whose_part_is_missing_says_in_one_line_what_to_install(
    producer: Stack, command: list[str], extra: str
) -> None:
    refused = producer.run(*command, code=2)
    (line,) = refused.stderr.strip().splitlines()
    assert line.endswith(f"pip install 'packsight[{extra}]'.")
