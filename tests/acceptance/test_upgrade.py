"""Going from one recipe to the next on a running stack: what a former release published, and workers that differ."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from packsight.shared.catalog.signatures import Document
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import SOME_FAILED
from packsight.shared.storage.objects import ObjectStore
from tests.acceptance.local_stack import PRODUCTS, Stack, query
from tests.acceptance.stack import wait_until
from tests.trust import lay_apart

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(900)]


def catalog_store(stack: Stack) -> tuple[ObjectStore, CatalogStore]:
    settings = stack.settings()
    store = ObjectStore(settings.s3)
    return store, CatalogStore(store, "default", Trust.of_reader(settings))


def children(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.status()["children"]
    return found


def _of_second(stack: Stack) -> list[dict[str, Any]]:
    return [child for child in children(stack) if child["node"].startswith("second@")]


def submit(stack: Stack, number: int, name: str) -> list[dict[str, Any]]:
    """Answers to a job with photos that no worker has seen."""
    folder = stack.folder / name
    folder.mkdir()
    for index in range(number):
        photo = query(PRODUCTS[index % len(PRODUCTS)], 5)
        (folder / f"{index:03}.jpg").write_bytes(photo + f"{name}-{index}".encode())
    stack.run("submit", name, "--wait", "--batch-size", "1", "--out", f"{name}.jsonl")
    return [json.loads(line) for line in (stack.folder / f"{name}.jsonl").read_text().splitlines()]


def publish_as_formerly(store: ObjectStore, catalogs: CatalogStore) -> str:
    """Make of what is published what a release left behind that knew no recipes; returns its version."""
    current = catalogs.current()
    assert current is not None
    lay_apart(store, catalogs.manifest(current.version))
    key = f"catalogs/default/versions/{current.version}/manifest.json"
    document = json.loads(Document.split(store.read(key).data).body)
    for field in ("details", "matching", "fit"):
        del document[field]
    store.write(key, json.dumps({**document, "format": 2}).encode())
    store.remove("catalogs/default/CURRENT.json")
    pointer = {"version": current.version, "changed_at": datetime.now(UTC).isoformat()}
    store.write("catalogs/default/CURRENT", json.dumps(pointer).encode())
    return current.version


def publish_unsigned(stack: Stack, name: str) -> str:
    """Publish the default catalog under another name, as a release did that signed nothing; returns the version."""
    store, catalogs = catalog_store(stack)
    with closing(store):
        current = catalogs.current()
        assert current is not None
        for key in [*store.list(f"catalogs/default/versions/{current.version}/"), *store.list("catalogs/default/parts/")]:
            data = store.read(key).data
            if key.endswith("manifest.json"):
                data = json.dumps({**json.loads(Document.split(data).body), "catalog": name}).encode()
            store.write(key.replace("/default/", f"/{name}/"), data)
        pointer = json.loads(Document.split(store.read("catalogs/default/CURRENT.json").data).body)
        del pointer["catalog"]
        store.write(f"catalogs/{name}/CURRENT.json", json.dumps(pointer).encode())
        return current.version


def test_a_catalog_of_a_former_release_is_refused_with_what_to_do_and_one_sync_rebuilds_it_without_describing(
    stack: Stack, answers: list[dict[str, Any]]
) -> None:
    store, catalogs = catalog_store(stack)
    with closing(store):
        unsigned = publish_unsigned(stack, "second")
        former = publish_as_formerly(store, catalogs)
        wait_until(lambda: any("second is not signed" in error for error in stack.status()["errors"]), "a refusal", 60)
        stack.run("down")
        for file in (stack.folder / ".packsight/replica/default").glob("CURRENT*"):
            file.unlink()  # a host that this release is new to
        shutil.rmtree(stack.folder / ".packsight/pointers")  # what such a release does not leave behind
        stack.run("up")
        wait_until(lambda: all(child["catalogs"].get("second") == unsigned for child in children(stack)), "what is signed", 60)
        assert not any("default" in child["catalogs"] for child in children(stack))
        wait_until(lambda: any(child["refused"] for child in children(stack)), "a refusal", 60)
        sentence = f"Version {former} of default was made by an older release (format 2"
        assert any(sentence in error for error in stack.status()["errors"])
        waiting, _ = stack.submitted("submit", "queries", "--wait", "--out", "waited.jsonl")
        log = stack.folder / ".packsight/logs/worker.log"
        wait_until(lambda: "nobody serves catalog default" in log.read_text(), "photos that wait", 60)
        assert "packsight catalog sync --catalog default" in stack.run("doctor", code=1).stdout

        report = " ".join(stack.run("catalog", "sync", "--feed", "shop/feed.xml").stdout.split())
        assert "Published default" in report
        assert "fetched 0 described 0" in report
        assert "serving" in report
        _, errors = waiting.communicate(timeout=120)
        assert waiting.returncode == SOME_FAILED, errors
        waited = [json.loads(line) for line in (stack.folder / "waited.jsonl").read_text().splitlines()]
        assert {row["status"] for row in waited} <= {"matched", "ambiguous", "no_match", "failed"}
        assert [row["name"] for row in waited if row["status"] == "failed"] == ["queries/broken.jpg"]
        for key in list(store.list("catalogs/second/")):
            store.remove(key)
        assert catalogs.former() == former, "workers of the former release keep what they serve while it is kept"
    again = submit(stack, len(PRODUCTS), "afterwards")
    assert {row["status"] for row in again} <= {"matched", "ambiguous", "no_match"}
    assert {row["provenance"]["catalog_version"] for row in again} != {former}
    assert stack.run("doctor").returncode == 0


def test_workers_of_two_recipes_answer_a_job_side_by_side_and_none_fails(
    stack: Stack, answers: list[dict[str, Any]]
) -> None:
    stack.run("catalog", "sync", "--feed", "shop/feed.xml")
    here = children(stack)[0]
    # A processor that does not multiply bfloat16 takes minutes for it: there another embedder makes the recipe.
    other = {"PRECISION": "f32"} if here["precision"] == "bf16" else {"EMBEDDER": "efficientnet-lite2"}
    models = {f"PACKSIGHT_MODELS__{name}": value for name, value in other.items()}
    with stack.worker("second", PACKSIGHT_WORKER__CHILDREN="1", PACKSIGHT_WORKER__SPARE="0", **models) as second:
        wait_until(lambda: second.poll() is not None or _of_second(stack), "a child of the second worker", 180)
        (odd,) = _of_second(stack)
        assert odd["embedder"] != here["embedder"]
        assert any("second@" in note and "embedder" in note for note in stack.status()["notes"]), "named as soon as it is seen"
        wait_until(lambda: any("second@" in error for error in stack.status()["errors"]), "a refusal", 60)
        before = submit(stack, 16, "before")
        assert {row["status"] for row in before} <= {"matched", "ambiguous", "no_match"}
        assert {row["provenance"]["embedder"] for row in before} == {here["embedder"]}
        report = stack.run("catalog", "sync", "--feed", "shop/feed.xml").stdout
        assert "worker processes serving" in report
        served = {child["node"].partition("@")[0]: child["catalogs"]["default"] for child in children(stack)}
        assert served["second"] != served["recognizer"]
        assert not [error for error in stack.status()["errors"] if " of default " in error]
        answered = submit(stack, 16, "beside")
        assert {row["status"] for row in answered} <= {"matched", "ambiguous", "no_match"}
        seen = {(row["provenance"]["embedder"], row["provenance"]["catalog_version"]) for row in answered}
        assert seen == {(here["embedder"], served["recognizer"]), (odd["embedder"], served["second"])}
