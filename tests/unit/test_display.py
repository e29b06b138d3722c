"""What the producer's commands show, on a terminal of 80 columns."""

from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from packsight.deploy.display import started, status
from packsight.deploy.stack.state import Part, StackFolder, StackState
from packsight.deploy.status import CatalogSeen, Observation
from packsight.producer import display
from packsight.producer.rows import Row
from packsight.producer.summary import State, Summary
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import Priority
from packsight.shared.contract.outcomes import Candidate, Evidence, Failure, Outcome, Product, Status, WordEvidence
from packsight.shared.queue.registry import ChildEntry
from packsight.shared.storage.jobs import JobKind, JobManifest


def page(width: int = 80) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=width, highlight=False, color_system=None), file


def failed(name: str, code: ErrorCode) -> Row:
    return Row("job", 0, name, Outcome.failed(f"s3://b/{name}", Failure.of_code(code, f"something about {name}")))


def test_failures_are_told_with_the_names_of_their_photos_and_none_is_left_out() -> None:
    tally = display.Tally()
    codes = [code for code in ErrorCode if code not in {ErrorCode.INTERNAL, ErrorCode.FILE_EMPTY}][:6]
    for place, code in enumerate(codes):
        for number in range(6 - place):
            tally.add(failed(f"a very long name of a folder/with photos in it/{code}-{number}.jpg", code))
    console, file = page()
    tally.show(console)
    text = file.getvalue()
    names = ", ".join(f"a very long name of a folder/with photos in it/{codes[0]}-{number}.jpg" for number in range(3))
    assert f"  {names} and 3 more\n" in text, "on one line, so that it can be copied"
    assert all(f"× {code}" in text for code in codes)
    assert f"and 1 more: 1 × {codes[5]}\n" in text


def test_a_list_of_jobs_fits_into_80_columns() -> None:
    ends = Counter({Status.MATCHED: 98_765, Status.AMBIGUOUS: 10_000, Status.NO_MATCH: 20_000, Status.FAILED: 1_000})
    made = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    long = JobManifest(
        job="20260304-050607-abcdef", images=200_000, created_at=made, name="spring shelf", source="photos/ (200,000 photos)" * 5,
        priority=Priority.HIGH, kind=JobKind.EVALUATION,
    )  # fmt: skip
    short = JobManifest(job="20260304-050607-abcde0", images=3, created_at=made, kind=JobKind.EVALUATION, priority=Priority.LOW)
    console, file = page()
    none: Counter[Status] = Counter()
    display.job_lines(
        console, [(long, Summary(State.RUNNING, 200_000, ends, 7)), (short, Summary(State.CANCELLED, 3, none, 0))]
    )
    head, *lines = file.getvalue().splitlines()
    assert max(map(len, (head, *lines))) <= 80
    assert lines[0].split() == ["20260304-050607-abcdef", "running", "64%", "200,000", "98,765", "10,000", "20,000", "1,000"]
    assert lines[1].startswith("  2026-03-04 05:06 UTC · evaluation · high priority · spring shelf · catalog d")
    assert lines[1].endswith("…")
    assert lines[2].split() == ["20260304-050607-abcde0", "cancell", "0%", "3", "0", "0", "0", "0"]
    assert lines[3] == "  2026-03-04 05:06 UTC · evaluation · low priority · catalog default"


def test_what_up_prints_is_copied_from_80_columns_whole(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "a folder whose name is long, so that its path takes more than the 80 columns" / ".packsight")
    part = Part(name="worker", pid=7, started=0.0, log=folder.logs / "worker.log", url="http://127.0.0.1:5555")
    console, file = page()
    started(console, folder, StackState(parts=(part,)))
    lines = file.getvalue().splitlines()
    assert f"Logs: {folder.logs}" in lines
    assert f"In terminals elsewhere: export PACKSIGHT_STACK_FILE='{folder.env_file}'" in lines
    assert lines[-2:] == ["  packsight catalog sync --feed FEED", "  packsight submit PHOTOS --wait"]
    assert any(line.split() == ["worker", "http://127.0.0.1:5555", "7", "worker.log"] for line in lines)


def test_versions_are_copied_whole_from_the_status_on_80_columns() -> None:
    names = "default", "a_shop_with_a_long_name", "n" * 63
    served = {name: f"2026030{day}T050607-1a2b3c" for day, name in enumerate(names, 4)}
    recipe = {"embedder": "resnet50-thin-70519094ef71", "spotter": "ppocr-731225c49d0c"}
    child = ChildEntry(node="recognizer@a-host-with-a-name", host="host", pid=123456, catalogs=served, images=98_765, **recipe)
    seen = [
        CatalogSeen(
            name=name, version=version, format=1, products=100_000, photos=234_567, details="details-3-42fbc49dcd29",
            matching="matching-5-fc0ca6f13f9b", created_at=datetime(2026, 3, 4, 5, 6, tzinfo=UTC), **recipe,
        )
        for name, version in served.items()
    ]  # fmt: skip
    console, file = page()
    status(console, Observation(home=".packsight", children=[child], catalogs=seen))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert all(sum(version in line for line in lines) == 2 for version in served.values()), file.getvalue()
    assert all(any(number in line for line in lines) for number in ("123456", "98,765")), "nothing else is broken for it"


@pytest.mark.parametrize("width", [30, 80])
def test_the_evidence_for_a_candidate_is_read_from_top_to_bottom_on_a_terminal_of_any_width(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    console, file = page(width)
    monkeypatch.setattr(display, "page", console)
    words = [WordEvidence(read="Day", expected="day", rarity=2.0, similarity=1.0)]
    evidence = [
        Evidence(
            visual_similarity=0.42, word_score=0.5, words=words, missing_words=["[serum]"], inliers=82, barcode="4006381333931"
        ),
        Evidence(word_score=0.0),
    ]
    candidates = [
        Candidate(product=Product(id=f"p{number}", name=f"Cream {number}"), confidence=0.9 - 0.8 * number, evidence=one)
        for number, one in enumerate(evidence)
    ]
    display.show_outcome("a.jpg", Outcome(image="a.jpg", status=Status.MATCHED, candidates=candidates))
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    first, second = lines.index("0.90  Cream 0  p0"), lines.index("0.10  Cream 1  p1")
    told = " ".join(line.strip() for line in lines[first + 1 : second])
    assert told == "looks 0.42 · words 0.50 · 82 details in place · barcode 4006381333931 read: Day not read: [serum]"
    assert lines[second + 1 :] == ["      words 0.00"], "nothing is said of what was not looked at"
