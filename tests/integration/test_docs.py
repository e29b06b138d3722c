"""The commands of the pages, as they stand there and in their order: real servers, a worker without networks.

Where recognition is the point, `tests/acceptance` runs them; in containers, `make compose-test`. `tests/unit/test_docs.py` holds
that no block is left out.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import current_task
from typer.testing import CliRunner

from packsight.cli import app
from packsight.deploy.testbed import Servers, variables
from packsight.indexer import commands as indexer_commands
from packsight.indexer.fleet import Fleet
from packsight.producer.client import Client
from packsight.shared.contract.errors import SOME_FAILED, ErrorCode
from packsight.shared.contract.messages import DESCRIBE, DescribeRequest, RecognizeRequest
from packsight.shared.contract.outcomes import (
    Candidate,
    DescribeResult,
    Evidence,
    Failure,
    Outcome,
    Product,
    Provenance,
    Status,
)
from packsight.shared.settings import Settings, settings
from packsight.shared.storage.objects import ObjectStore
from tests.door import Visitor
from tests.integration.test_sync import RECIPE, LocalExtractor, Shop, photo, register
from tests.pages import block, inline, lines_of
from tests.recognizer import StandIn, running_one_of
from tests.unit.test_exports import sheet

PHOTOS = 21
"""In the folder that is submitted: as many as the page of reviews counts."""


class Worker(StandIn):
    """Answers both tasks. Every photo shows product 1, more or less surely; those whose hash ends in `unlucky` fail at first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.unlucky = ""
        self.store = ObjectStore(self.settings.s3)
        self.extractor = LocalExtractor(self.store, self.settings)
        self.app.task(name=DESCRIBE, shared=False)(self.describe)

    def describe(self, raw: dict[str, Any]) -> DescribeResult:
        asked = DescribeRequest.model_validate(raw)
        return self.extractor.extract_batch(RECIPE, asked.images, asked.parts, str(current_task.request.id))

    def look(self, request: RecognizeRequest, _: str) -> list[Outcome]:
        self.gate.wait(30)
        return [self._answer(image) for image in request.images]

    def _answer(self, image: str) -> Outcome:
        self.seen[image] += 1
        if self.unlucky and image.endswith(self.unlucky) and self.seen[image] == 1:
            return Outcome.failed(image, Failure.of_code(ErrorCode.FETCH_FAILED, "the transfer broke off"))
        status, confidence = ((Status.MATCHED, 0.99), (Status.AMBIGUOUS, 0.5), (Status.NO_MATCH, 0.1))[len(self.seen) % 3]
        product = Product(id="1", name="Cream number 1")
        return Outcome(
            image=image, status=status, confidence=confidence, sha256=image.rpartition("/")[2], size=(96, 128),
            product=product if status is Status.MATCHED else None, reason="a stand-in",
            candidates=[Candidate(product=product, confidence=confidence, evidence=Evidence())],
            provenance=Provenance(catalog="default", catalog_version="v1", embedder="e", spotter="s"),
        )  # fmt: skip

    def close(self) -> None:
        self.store.close()
        super().close()


def typed(script: str, *, ends: int = 0, answers: str = "", **stands_for: str) -> str:
    """Type the lines of a block one after the other, each of which ends so; returns what was printed.

    answers: what is typed when a command asks; stands_for: what to put in the place of a word, since everybody has their own.
    """
    told = ""
    for word, own in stands_for.items():
        script = re.sub(rf"(?<![\w.]){word}(?![\w.])", own, script)
    for line in lines_of(script):
        program, *words = shlex.split(line)
        assert program == "packsight"
        done = CliRunner().invoke(app, words, input=answers)
        assert done.exit_code == ends, f"{line}: {done.exit_code}\n{done.output}\n{done.exception!r}"
        told += done.output
    return told


def line_of(script: str, start: str) -> str:
    """The line of a block that begins so."""
    (found,) = [line for line in lines_of(script) if line.startswith(start)]
    return found


@dataclass(frozen=True)
class Place:
    """A shop of three products, published, and whoever answers."""

    settings: Settings
    store: ObjectStore
    shop: Shop
    worker: Worker


@pytest.fixture(scope="module")
def published(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("docs")
    own = servers.settings(folder / "home", f"docs-{secrets.token_hex(3)}")
    with pytest.MonkeyPatch.context() as patched, closing(ObjectStore(own.s3)) as store:
        store.ensure_bucket()
        for name, value in variables(own).items():
            patched.setenv(name, value)
        patched.setattr(indexer_commands, "WAIT_SECONDS", 0.0)  # a stand-in takes no catalog up
        shop = Shop(folder / "shop", own, store)
        for identity in list(shop.names)[3:]:
            shop.remove(identity)
        shop.sync()
        with running_one_of(Worker, own) as worker:
            yield Place(own, store, shop, worker)


@pytest.fixture
def place(published: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The same, and a folder of one's own to type commands in, with photos that nobody has seen."""
    (tmp_path / "photos").mkdir()
    for number in range(PHOTOS):
        (tmp_path / "photos" / f"{number:02}.jpg").write_bytes(photo(3000 + number))
    (tmp_path / "photo.jpg").write_bytes(photo(4000))
    monkeypatch.chdir(tmp_path)
    published.worker.seen.clear()
    published.worker.unlucky = ""
    settings.cache_clear()
    yield published
    settings.cache_clear()


def submitted() -> str:
    """A job of all photos of the folder, which has ended."""
    with Client() as client:
        job = client.submit(["photos"])
        list(client.run(job))
        return job.id


def states() -> dict[str, str]:
    told = CliRunner().invoke(app, ["jobs", "--json"]).stdout
    return {job["job"]: job["state"] for job in map(json.loads, told.splitlines())}


def test_what_the_page_of_jobs_says_of_a_folder(place: Place) -> None:
    place.worker.unlucky = hashlib.sha256(Path("photos/00.jpg").read_bytes()).hexdigest()[-1]
    first = typed(block("docs/jobs.md", "Jobs: many photos at once"), ends=SOME_FAILED)
    with Path("results.csv").open(encoding="utf-8-sig") as file:
        failed = [row["failure_code"] for row in csv.DictReader(file)].count("fetch_failed")
    assert 0 < failed < PHOTOS
    assert "fetch_failed" in Path("report.html").read_text(encoding="utf-8")
    job = first.split()[0]
    assert states()[job] == "ended"

    script = block("docs/jobs.md", "When something stops")
    typed(line_of(script, "packsight submit --resume"), ends=SOME_FAILED, JOB=job)
    typed(line_of(script, "packsight jobs retry"), JOB=job)
    typed(f"packsight results {job} --follow")
    typed("\n".join(line for line in lines_of(script) if line.startswith("packsight results")), JOB=job)
    assert "fetch_failed" not in Path("report.html").read_text(encoding="utf-8")
    assert max(place.worker.seen.values()) == 2, "only what had failed was asked about again"

    place.worker.gate.clear()
    second = typed("packsight submit photos/").split()[0]
    script = block("docs/jobs.md", "All jobs")
    typed(line_of(script, "packsight jobs cancel"), JOB=second)
    place.worker.gate.set()
    assert states()[second] == "cancelled"
    typed(line_of(script, "packsight jobs delete"), answers="y\n", JOB=job)
    assert job not in states()
    assert second in typed(lines_of(script)[0])


def test_what_the_page_of_jobs_says_of_folders_that_are_watched(place: Place) -> None:
    Path("photos").rename("inbox")
    for file in Path("inbox").iterdir():
        os.utime(file, (1e9, 1e9))
    place.store.write("incoming/shelf.jpg", photo(5000))
    script = block("docs/jobs.md", "A folder that is watched")
    # Each until all is answered, though two of them would go on.
    lines = [line if line.endswith("--once") else f"{line} --once" for line in lines_of(script)]
    typed("\n".join(dict.fromkeys(lines)).replace("s3://packsight/", f"s3://{place.store.bucket}/"))
    assert len(list(Path("inbox").glob("*.packsight.json"))) == PHOTOS
    (answer,) = Path("answers").rglob("*.packsight.json")
    assert json.loads(answer.read_text())["status"] in {"matched", "ambiguous", "no_match"}


def test_what_the_page_of_jobs_says_of_one_photo(place: Place) -> None:
    Path("photo.jpg").rename("photo.heic")
    Path("photos").rename("queries")
    with Client() as client:
        job = client.submit(["."])
        list(client.run(job))
    # No test needs the internet.
    script = block("docs/jobs.md", "One photo").replace("https://example.com/photo.jpg", "photo.heic")
    assert '"status"' in typed(script, JOB=job.id)
    assert Path("why.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_page_of_jobs_says_of_python(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.store.write("incoming/more/1.jpg", photo(5000))
    source = block("docs/jobs.md", "From Python", "python", "with Client")
    source = source.replace("s3://bucket/", f"s3://{place.store.bucket}/incoming/")
    exec(compile(source, "docs/jobs.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 1 + PHOTOS + 1
    source = block("docs/jobs.md", "From Python", "python", "AsyncClient")
    exec(compile(source, "docs/jobs.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 1 + PHOTOS


def test_what_the_page_of_reviews_says(place: Place) -> None:
    job = submitted()
    script = block("docs/review.md", "Reviewing answers").replace("101518", "2")
    before, undo, after = script.partition(line_of(script, "packsight review undo"))
    typed(before, JOB=job)
    given = [json.loads(line) for line in typed("packsight review show --json").splitlines()]
    assert [(one["verdict"], one["product_id"]) for one in reversed(given)] == [
        ("right", "1"), ("other", "2"), ("not_listed", ""), ("bad_photo", ""),
    ]  # fmt: skip
    typed(undo, ID=given[0]["id"])
    assert "Cream number 3" in typed(after, shiseido="cream", ultimune="3")

    typed(block("docs/review.md", "Products and the health of a catalog"), FILE="twins.csv")
    assert Path("twins.csv").read_text("utf-8").startswith("\ufeffid,"), "Excel takes it for UTF-8"


def test_what_the_page_of_evaluation_says(place: Place) -> None:
    rows = [f"{number:02}.jpg,{1 if number % 2 else 2}" for number in range(PHOTOS)]
    Path("labels.csv").write_text("\n".join(["image,product_id", *rows]))
    assert "Automation" in typed(block("docs/evaluate.md", "Measuring how well a catalog is recognised"))
    assert len(json.loads(Path("measures.json").read_text())["rows"]) == PHOTOS


def test_what_the_page_of_feeds_says(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    table = [["Артикул", "Снимок", "Название"], *([str(one), f"main/{one}.jpg", f"Cream number {one}"] for one in range(1, 4))]
    Path("price.xlsx").write_bytes(sheet(table))
    shutil.copytree(place.shop.folder / "main", "main")
    monkeypatch.setenv("PACKSIGHT_CATALOG__MAX_LOSS", "1")  # the extra photos are gone
    Path("feed.xml").write_text(Path(place.shop.write()).read_text())
    with closing(Fleet(place.settings)) as fleet:
        register(fleet, RECIPE)
    # No test needs the internet.
    lines = lines_of(block("docs/feeds.md", "Feeds and tables").replace("https://shop.example/", ""))
    assert len(lines) == 3
    assert "products" in typed(lines[0])
    typed("\n".join(lines[1:]))


LOOKS = (
    *("catalog show", "catalog versions", "catalog report", "catalog product ID"),
    *("storage", "storage collect", "dead-letters list"),
)


@pytest.mark.parametrize("command", LOOKS)
def test_what_the_page_of_operations_has_one_look_at_is_there(place: Place, command: str) -> None:
    named = [code for code in inline("docs/operations.md") if code.startswith(f"packsight {command}")]
    assert named
    assert typed(f"packsight {command}", ID="1")


def test_what_the_page_of_operations_says_of_backups(place: Place) -> None:
    take, check, restore = lines_of(block("docs/operations.md", "Backup and restore").replace("/backups/", "backups/"))
    typed(f"{take}\n{check}")
    kept = {key: place.store.read(key).data for key in place.store.list("") if not key.startswith("uploads/")}
    for key in list(place.store.list("")):
        place.store.remove(key)
    typed(restore)
    assert {key: place.store.read(key).data for key in place.store.list("")} == kept


def test_what_the_page_of_the_page_says(place: Place) -> None:
    add, serve = lines_of(block("docs/page.md", "The page"))
    typed(add, answers="a long password\n")
    command = [sys.executable, "-P", "-m", *shlex.split(serve)]
    own = os.environ | {"PACKSIGHT_HTTP__PORT": "0"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=own) as server:
        assert server.stderr is not None
        base = next(found[0] for line in server.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        who = {"name": "ann", "password": "a long password"}
        assert Visitor(base).post("/v1/session", json=who).json["rights"] == ["recognise", "review"]
        server.send_signal(signal.SIGTERM)
