"""A job while things change and break around it: new versions, killed children, workers, brokers; real networks."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.local_stack import PRODUCTS, Stack, query
from tests.acceptance.stack import wait_until

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(600)]

BATCH = 2
PHOTOS = 64
"""So many that a job lasts while versions are published and workers killed."""
FEW = 16


@pytest.fixture
def many(stack: Stack) -> Path:
    """A folder of photos that all differ in their bytes, also from those of other tests: photos seen before are quick."""
    return draw(stack.folder / "many", PHOTOS)


def draw(folder: Path, photos: int) -> Path:
    folder.mkdir(exist_ok=True)
    test = secrets.token_hex(4)
    drawn = [query(item, 3) for item in PRODUCTS]
    for number in range(photos):
        # What follows a JPEG's end is ignored by decoders, but makes the file another one.
        (folder / f"{number:03}.jpg").write_bytes(drawn[number % len(drawn)] + f"{test}-{number}".encode())
    return folder


def rows(stack: Stack, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (stack.folder / name).read_text().splitlines()]


def rename_products(stack: Stack, old: str, new: str) -> None:
    feed = stack.folder / "shop/feed.xml"
    text = feed.read_text()
    assert old in text
    feed.write_text(text.replace(old, new))


def test_versions_published_during_a_job_harm_no_photo_and_no_batch_mixes_them(
    stack: Stack, answers: list[dict[str, Any]], many: Path
) -> None:
    command = ["submit", "many", "--wait", "--batch-size", str(BATCH), "--out", "during.jsonl"]
    submitted, job = stack.submitted(*command)
    wait_until(lambda: stack.ended(job) >= BATCH, "the first batch", 120)
    rename_products(stack, "<offers>", "<offers><!-- looked through -->")
    brand = PRODUCTS[0].family.brand
    rename_products(stack, f"<vendor>{brand}</vendor>", f"<vendor>{brand} Ltd</vendor>")
    report = stack.run("catalog", "sync", "--feed", "shop/feed.xml").stdout
    assert "described" in report
    _, errors = submitted.communicate(timeout=300)
    assert submitted.returncode == 0, errors
    answered = rows(stack, "during.jsonl")
    assert len({row["name"] for row in answered}) == len(answered) == PHOTOS
    assert {row["status"] for row in answered} <= {"matched", "ambiguous", "no_match"}
    versions: dict[int, set[str]] = defaultdict(set)
    for row in answered:
        versions[int(Path(row["name"]).stem) // BATCH].add(row["provenance"]["catalog_version"])
    assert all(len(of_batch) == 1 for of_batch in versions.values())

    current = stack.status()["catalogs"][0]["version"]
    assert json.loads(stack.run("recognize", "many/000.jpg").stdout)["provenance"]["catalog_version"] == current
    stack.run("catalog", "rollback")
    before = json.loads(stack.run("recognize", "many/000.jpg").stdout)["provenance"]["catalog_version"]
    assert before == answers[0]["provenance"]["catalog_version"] != current


def has_successor(stack: Stack, part: str, killed: int) -> bool:
    return stack.pids()[part] != killed


def test_a_job_survives_the_death_of_children_worker_and_broker_with_one_outcome_per_photo(
    stack: Stack, answers: list[dict[str, Any]], many: Path
) -> None:
    command = ["submit", "many", "--wait", "--batch-size", str(BATCH), "--out", "killed.jsonl"]
    children = [child["pid"] for child in stack.status()["children"]]  # before: where it is slow to tell, the job would be over
    submitted, job = stack.submitted(*command)
    wait_until(lambda: stack.ended(job) >= BATCH, "the first batch", 120)
    for child in children:
        os.kill(child, signal.SIGKILL)
    seen = stack.ended(job)
    wait_until(lambda: stack.ended(job) > seen, "work after the death of a child", 120)
    for part in ("worker", "valkey"):
        killed = stack.pids()[part]
        os.kill(killed, signal.SIGKILL)
        wait_until(partial(has_successor, stack, part, killed), "its successor")
    _, errors = submitted.communicate(timeout=300)
    assert submitted.returncode == 0, errors
    answered = rows(stack, "killed.jsonl")
    assert len({row["name"] for row in answered}) == len(answered) == PHOTOS
    assert {row["status"] for row in answered} <= {"matched", "ambiguous", "no_match"}


def test_a_store_that_dies_while_a_job_waits_fails_no_photo(stack: Stack, answers: list[dict[str, Any]]) -> None:
    draw(stack.folder / "few", FEW)
    worker, store, supervisor = (stack.pids()[part] for part in ("worker", "seaweedfs", "supervisor"))
    os.kill(supervisor, signal.SIGSTOP)  # so that the store stays away
    try:
        os.kill(worker, signal.SIGSTOP)  # so that no photo is answered before the store is gone
        try:
            job = stack.run("submit", "few", "--batch-size", str(BATCH)).stdout.split()[0]
            os.kill(store, signal.SIGKILL)
        finally:
            os.kill(worker, signal.SIGCONT)
        wait_until(lambda: any("takes no work" in error for error in stack.status()["errors"]), "an outage", 60)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    wait_until(lambda: all("takes no work" in error for error in stack.status()["errors"]), "the store", 60)
    wait_until(lambda: stack.ended(job) == FEW, "the end of the job", 300)
    stack.run("results", job, "--out", "sofar.jsonl")
    answered = rows(stack, "sofar.jsonl")
    assert len({row["name"] for row in answered}) == len(answered) == FEW
    assert {row["status"] for row in answered} <= {"matched", "ambiguous", "no_match"}
    wait_until(lambda: not any("takes no work" in error for error in stack.status()["errors"]), "its end in the status", 60)
