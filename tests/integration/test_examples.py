"""The examples as a user runs them, against a stand-in worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from packsight.producer.client import Client
from packsight.producer.export import Exports, open_export
from packsight.producer.sources import Item
from packsight.shared.settings import Settings
from tests.recognizer import StandIn, running

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def stand_in(live_settings: Settings) -> Iterator[StandIn]:
    with running(live_settings) as made:
        yield made


def run(name: str, *arguments: str, settings: Settings, folder: Path) -> str:
    """Run an example from a folder of the user's; returns what it printed."""
    s3 = settings.s3
    environment = os.environ | {
        "BROKER_URL": settings.broker_url.get_secret_value(),
        "RESULT_URL": settings.result_url.get_secret_value(),
        "PACKSIGHT_BROKER_URL": settings.broker_url.get_secret_value(),
        "PACKSIGHT_RESULT_URL": settings.result_url.get_secret_value(),
        "PACKSIGHT_S3__ENDPOINT": s3.endpoint,
        "PACKSIGHT_S3__ACCESS_KEY": s3.access_key,
        "PACKSIGHT_S3__SECRET_KEY": s3.secret_key.get_secret_value(),
        "PACKSIGHT_S3__BUCKET": s3.bucket,
    }
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_service_asks_over_celery(live_settings: Settings, stand_in: StandIn, tmp_path: Path) -> None:
    photos = ["s3://photos/1.jpg", "https://example.com/2.jpg"]
    said = run("enqueue_from_celery.py", *photos, settings=live_settings, folder=tmp_path)
    assert [line.split("\t")[:2] for line in said.splitlines()] == [[photo, "no_match"] for photo in photos]


def test_a_folder_becomes_a_frame(live_settings: Settings, stand_in: StandIn, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    said = run("job_to_frame.py", ".", settings=live_settings, folder=tmp_path)
    assert [said.count(word) for word in ("a.jpg", "b.png", "no_match")] == [1, 1, 3]


def test_files_of_results_are_looked_into(live_settings: Settings, stand_in: StandIn, tmp_path: Path) -> None:
    photos = [Item("good.jpg", "https://example.com/1.jpg"), Item("bad.jpg", "https://example.com/crash.jpg")]
    with Client(live_settings) as client, Exports() as exports:
        for kind in ("jsonl", "parquet"):
            exports.take(open_export(tmp_path / f"results.{kind}"))
        for row in client.run(client.submit(photos, batch_size=1)):
            exports.add(row)
        exports.finish()
    said = run("analyse_results.py", "results.jsonl", "results.parquet", settings=live_settings, folder=tmp_path)
    lines = [line.split() for line in said.splitlines()]
    assert ["no_match", "1"] in lines, "a photo counts once, in however many files it is"
    assert ["failed", "1"] in lines
    assert "internal" in said


def test_every_example_is_listed() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"]({path.name})" in page for path in EXAMPLES.glob("*.py"))
