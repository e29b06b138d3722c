"""docs/message-contract.md against the code that it describes, and its examples against a worker."""

from __future__ import annotations

import base64
import bz2
import json
import lzma
import os
import re
import shutil
import subprocess
import time
import uuid
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from pydantic import BaseModel

from packsight.shared.contract.errors import ADVICE
from packsight.shared.contract.lacking import WANTED
from packsight.shared.contract.messages import (
    DEFAULT_QUEUE,
    INTERACTIVE_QUEUE,
    MAX_IMAGES,
    RECOGNIZE,
    DescribeRequest,
    RecognizeRequest,
)
from packsight.shared.contract.outcomes import (
    Candidate,
    Evidence,
    Failure,
    Outcome,
    Product,
    Provenance,
    RecognizeResult,
    Status,
    WordEvidence,
    WordRead,
)
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Settings, Worker
from tests.pages import ROOT, block, text_of
from tests.recognizer import running

NAME = "docs/message-contract.md"
PAGE = text_of(NAME)
BY_HAND = block("docs/message-contract.md", "In another language", "json")
IN_NODE = block("docs/message-contract.md", "In another language", "js")


def section(heading: str) -> str:
    return PAGE.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


def test_the_table_of_codes_is_that_of_the_code() -> None:
    rows = [f"| `{code.value}` | {'yes' if advice.retryable else 'no'} | {advice.remedy} |" for code, advice in ADVICE.items()]
    table = [line for line in section("### Failure").splitlines() if re.match(r"\| `\w+` \| (yes|no) \|", line)]
    assert table == rows, "put these rows into docs/message-contract.md:\n" + "\n".join(rows)


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("## The argument", RecognizeRequest),
        ("## Describing", DescribeRequest),
        ("### Outcome", Outcome),
        ("### Product", Product),
        ("### Candidate", Candidate),
        ("### Evidence", Evidence),
        ("### Word", WordRead),
        ("### Provenance", Provenance),
    ],
)
def test_every_field_is_described_in_order(heading: str, model: type[BaseModel]) -> None:
    assert first_cells(section(heading)) == list(model.model_fields)


@pytest.mark.parametrize("heading", ["## The argument", "## Describing"])
def test_how_many_images_a_message_may_have_by_the_contract_and_by_workers_is_said(heading: str) -> None:
    (row,) = [line for line in section(heading).splitlines() if line.startswith("| `images` |")]
    assert f"1 to {MAX_IMAGES:,} " in row
    assert f"workers take {Worker().max_batch} of them unless set otherwise" in row


def test_fields_of_failures_and_of_words_of_evidence_are_described() -> None:
    assert first_cells(section("### Failure"))[:5] == list(Failure.model_fields)
    assert all(f"`{name}`" in section("### Evidence") for name in WordEvidence.model_fields)
    assert all(f"- `{status.value}`: " in section("### Outcome") for status in Status)


def test_every_lack_is_described_with_its_cause_and_remedy() -> None:
    rows = [line.strip("| ").split(" | ") for line in section("### Lacking").splitlines() if line.startswith("| `")]
    assert rows == [[f"`{lack}`", f"the photo {want.cause}", want.remedy] for lack, want in WANTED.items()]


def test_the_message_written_by_hand_is_answered(live_settings: Settings) -> None:
    message: dict[str, Any] = json.loads(BY_HAND)
    assert message["properties"]["delivery_info"]["routing_key"] == INTERACTIVE_QUEUE
    task_id = message["headers"]["id"]
    with redis.Redis.from_url(live_settings.broker_url.get_secret_value()) as broker:
        broker.lpush(INTERACTIVE_QUEUE, json.dumps(message))
    assert answer(live_settings, task_id).outcomes[0].image == "s3://photos/shelf/1.jpg"


def test_the_example_in_python_is_answered(live_settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    broker, backend = (url.get_secret_value() for url in (live_settings.broker_url, live_settings.result_url))
    address = "redis://producer:PASSWORD@HOST:6379"
    source = block("docs/message-contract.md", "In Python", "python")
    source = source.replace(f"{address}/0", broker).replace(f"{address}/1", backend)
    with running(live_settings):
        exec(compile(source, NAME, "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "s3://photos/shelf/1.jpg no_match None",
        "https://example.com/2.jpg no_match None",
    ]


def test_the_few_lines_of_the_readme_are_answered(live_settings: Settings) -> None:
    source = block("README.md", "packsight", "python")
    for setting, url in (("broker", live_settings.broker), ("backend", live_settings.results)):
        source = source.replace(f'{setting}="redis://…"', f'{setting}="{url}"')
    with running(live_settings) as worker:
        exec(compile(source, "README.md", "exec"), {})
    assert dict(worker.seen) == {"s3://packsight/incoming/photo.jpg": 1}


def test_the_example_in_node_is_answered(live_settings: Settings, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Debian's nodejs")
    package = tmp_path / "node_modules" / "redis"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "tests/redis.mjs", package)
    (package / "package.json").write_text('{"exports": "./redis.mjs"}')
    (tmp_path / "ask.mjs").write_text(IN_NODE, encoding="utf-8")
    told = {"BROKER_URL": live_settings.broker, "RESULT_URL": live_settings.results}
    photos = ["s3://photos/shelf/1.jpg", "https://example.com/2.jpg"]

    def run(*images: str) -> subprocess.CompletedProcess[str]:
        command = [node, "ask.mjs", *images]
        return subprocess.run(command, cwd=tmp_path, env=os.environ | told, capture_output=True, text=True, check=False)

    with running(live_settings):
        done, refused = run(*photos), run()
    assert done.stdout.splitlines() == [f"{photo} no_match a stand-in" for photo in photos], done.stderr
    assert refused.returncode == 1
    assert "Error: FAILURE: {" in refused.stderr


def test_the_example_in_another_language_writes_the_same_message() -> None:
    message, source = json.loads(BY_HAND), IN_NODE
    names = [*message, *message["headers"], *message["properties"]]
    assert [name for name in names if not re.search(rf'[\s{{,]"?{re.escape(name)}"?[:,]', source)] == []


def test_a_message_with_only_what_the_contract_asks_for_reaches_the_default_queue(live_settings: Settings) -> None:
    message: dict[str, Any] = json.loads(BY_HAND)
    task_id = message["headers"]["id"] = str(uuid.uuid4())
    message["properties"]["delivery_info"]["routing_key"] = DEFAULT_QUEUE
    with redis.Redis.from_url(live_settings.broker_url.get_secret_value()) as broker:
        broker.lpush(DEFAULT_QUEUE, json.dumps(message))
    assert len(answer(live_settings, task_id).outcomes) == 1


@pytest.mark.parametrize(
    ("kind", "pack"),
    [("application/x-gzip", zlib.compress), ("application/x-bz2", bz2.compress), ("application/x-lzma", lzma.compress)],
    ids=["zlib", "bzip2", "lzma"],
)
def test_a_message_written_by_hand_says_its_expiry_its_priority_and_how_it_is_packed(
    live_settings: Settings, kind: str, pack: Callable[[bytes], bytes]
) -> None:
    message: dict[str, Any] = json.loads(BY_HAND)
    task_id = message["headers"]["id"] = str(uuid.uuid4())
    (example,) = re.findall(r'\(`("packsight.recognize.*")`\)', PAGE)
    message["headers"] |= {"expires": (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "compression": kind}
    message["body"] = base64.b64encode(pack(base64.b64decode(message["body"]))).decode()
    message["properties"]["priority"] = 3
    with redis.Redis.from_url(live_settings.broker_url.get_secret_value()) as broker:
        broker.lpush(json.loads(example), json.dumps(message))
    assert len(answer(live_settings, task_id).outcomes) == 1


def test_a_message_whose_id_is_too_long_is_put_aside_and_its_task_is_told_nothing(live_settings: Settings) -> None:
    message: dict[str, Any] = json.loads(BY_HAND)
    task_id = message["headers"]["id"] = "x" * 257
    with (
        redis.Redis.from_url(live_settings.broker_url.get_secret_value()) as broker, closing(Ledger(live_settings)) as ledger,
        closing(DeadLetters(live_settings)) as letters, running(live_settings),
    ):  # fmt: skip
        broker.lpush(INTERACTIVE_QUEUE, json.dumps(message))
        while not (found := letters.list()):
            time.sleep(0.05)
        assert "id: String should have at most 256 characters" in found[0].message
        assert ledger.results.read([task_id]) == {}


def answer(settings: Settings, task_id: str) -> RecognizeResult:
    ledger = Ledger(settings)
    with running(settings):
        for _ in range(600):
            if end := ledger.results.read([task_id]).get(task_id):
                ledger.close()
                return RecognizeResult.model_validate(end.result)
            time.sleep(0.05)
    raise AssertionError("no answer")


def test_what_ended_under_an_id_stands_until_it_is_forgotten(live_settings: Settings) -> None:
    broker, results = (url.get_secret_value() for url in (live_settings.broker_url, live_settings.result_url))
    app = Celery(broker=broker, backend=results, set_as_current=False)

    def send(image: str) -> str:
        answer = app.send_task(RECOGNIZE, args=[{"images": [image]}], task_id="mine", queue=INTERACTIVE_QUEUE)
        app.send_task(RECOGNIZE, args=[{"images": ["after"]}], queue=INTERACTIVE_QUEUE).get(timeout=30)
        answer.get(timeout=30, propagate=False)
        return str(app.AsyncResult("mine").state)

    with running(live_settings):
        assert send("crash") == "FAILURE"
        assert send("good") == "FAILURE"
        app.AsyncResult("mine").forget()
        assert send("good") == "SUCCESS"
        assert send("crash") == "SUCCESS"
