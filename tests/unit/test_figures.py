"""What is counted, and that it is counted once whatever becomes of the children that tell it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from packsight.indexer.watching.queues import Ages
from packsight.indexer.watching.reviewed import samples_of as reviewed
from packsight.indexer.watching.workers import WINDOW, Pace
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import (
    STAGES,
    Described,
    DescribeResult,
    Failure,
    Outcome,
    RecognizeResult,
    Status,
    WordRead,
)
from packsight.shared.metrics import noting, table
from packsight.shared.metrics.exporter import NOTED, Figures, hear_children
from packsight.shared.metrics.table import METRICS, Kind
from packsight.shared.queue.broker import Waiting
from packsight.shared.shares import Share
from packsight.shared.storage.review_figure import Figure, Promise
from packsight.worker.queue.figures import samples_of
from tests import scraped
from tests.scraped import Values

ROOT = Path(__file__).parents[2]
MISSING = Failure.of_code(ErrorCode.OBJECT_MISSING, "gone")
WORD = WordRead(text="milk", confidence=1.0, box=[])
SEEN = {"fetch": 0.02, "cache": 0.001}
BATCH = RecognizeResult(
    outcomes=[
        Outcome(image="s3://b/1?X-Signature=5ec2e7", status=Status.MATCHED, words=[WORD] * 3, timings=SEEN | {"decode": 0.2}),
        Outcome(image="d", status=Status.MATCHED),
        Outcome(image="b", status=Status.NO_MATCH, words=[WORD], timings=SEEN | {"fetch": 40.0}),
        Outcome.failed("c", MISSING),
    ]
)  # fmt: skip


def values(figures: Figures) -> Values:
    return scraped.values(figures.page()[0])


def test_a_batch_is_counted_by_outcome_code_stage_and_words() -> None:
    figures = Figures(NOTED)
    figures.take(list(samples_of(BATCH)))
    seen = values(figures)
    assert [seen["packsight_photos_total", status, ""] for status in ("matched", "no_match")] == [2, 1]
    assert seen["packsight_photos_total", "failed", "object_missing"] == 1
    assert seen["packsight_photo_words_sum",] == 4 and seen["packsight_photo_words_count",] == 3
    assert seen["packsight_photo_seconds_count", "fetch"] == 2
    assert seen["packsight_photo_seconds_bucket", "fetch", "30.0"] == 1
    assert seen["packsight_photo_seconds_sum", "decode"] == pytest.approx(0.2)
    assert seen["packsight_cache_lookups_total", "yes"] == seen["packsight_cache_lookups_total", "no"] == 1


def test_what_is_described_is_counted_by_why_it_could_not_be() -> None:
    figures = Figures(NOTED)
    photos = [Described(image="a", sha256="1"), Described(image="b", sha256="2"), Described.failed("c", MISSING)]
    figures.take(list(samples_of(DescribeResult(models={}, photos=photos))))
    seen = values(figures)
    assert seen["packsight_described_photos_total", ""] == 2
    assert seen["packsight_described_photos_total", "object_missing"] == 1


def test_labels_have_few_values_and_hold_no_reference() -> None:
    samples = list(samples_of(BATCH))
    known = {*STAGES, *Status, *ErrorCode, "", "yes", "no"}
    assert {label for sample in samples for label in sample.labels} <= {str(one) for one in known}
    assert all(len(sample.labels) == len(METRICS[sample.metric].labels) for sample in samples)
    told = {label for metric in METRICS.values() for label in metric.labels}
    assert told == {"status", "code", "stage", "found", "task", "ending", "cause", "dependency", "kind", "queue", "catalog",
                    "version", "canary", "uptake", "endpoint"}  # fmt: skip


def test_names_are_such_as_prometheus_wants() -> None:
    for metric in METRICS.values():
        assert re.fullmatch(r"packsight_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Figures]:
    """Figures of a parent that hears its children."""
    figures = Figures(NOTED)
    kept = list(noting._kept_by)
    hear_children(tmp_path, figures)
    yield figures
    noting._kept_by[:] = kept
    os.environ.pop(noting.SOCKET, None)


CHILD = """
import os, signal, sys
from packsight.shared.metrics import table
from packsight.shared.metrics.noting import note
note(*[table.PHOTOS.of("matched", "")] * int(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_children_counted_before_they_were_killed_stays_and_is_counted_once(heard: Figures) -> None:
    for count in ("3", "1000"):
        done = subprocess.run([sys.executable, "-c", CHILD, count], check=False, timeout=60)
        assert done.returncode == -9
    noting.note(table.PHOTOS.of("matched", ""))  # and what the parent itself counts
    wait = threading.Event()
    while values(heard).get(("packsight_photos_total", "matched", ""), 0) < 1004:
        wait.wait(0.02)
    wait.wait(0.2)
    assert values(heard)["packsight_photos_total", "matched", ""] == 1004


def test_a_parent_that_does_not_listen_costs_no_figure_and_hears_of_it_later(tmp_path: Path) -> None:
    teller = noting.Teller(tmp_path / "socket")
    teller.tell([table.PHOTOS.of("matched", "", value=2)])
    figures = Figures(NOTED)
    listener = noting.Listener(tmp_path / "socket", figures.take)
    listener.start()
    teller.tell([table.PHOTOS.of("matched", "")])
    while ("packsight_photos_total", "matched", "") not in values(figures):
        threading.Event().wait(0.02)
    assert values(figures)["packsight_photos_total", "matched", ""] == 3
    listener.stop()
    teller.close()


def test_without_anybody_who_scrapes_nothing_is_kept_or_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(noting.SOCKET, raising=False)
    noting._told.cache_clear()
    noting.note(table.PHOTOS.of("matched", ""))
    assert noting._told() is None
    noting._told.cache_clear()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_message_has_the_age_that_its_sender_says_and_without_a_word_that_since_it_is_next() -> None:
    clock = Clock()
    ages = Ages(3600, clock)
    told, silent = Waiting("a", clock.now - 100), Waiting("b", None)
    assert ages.of("q", [told, silent]) == 100
    assert ages.of("q", [silent]) == 0
    clock.now += 30
    assert ages.of("q", [silent]) == 30
    assert ages.of("other", [silent]) == 0, "another queue's"
    assert ages.of("q", [Waiting("c", None)]) == 0, "another message is next"
    assert ages.of("q", []) == 0


@pytest.mark.parametrize("since", [-5e12, 0.0, 2_000_000.0])
def test_nobody_is_believed_who_sent_in_the_future_or_before_results_are_kept(since: float) -> None:
    clock = Clock()
    ages = Ages(3600, clock)
    assert ages.of("q", [Waiting("a", since)]) == 0
    clock.now += 7
    assert ages.of("q", [Waiting("a", since)]) == 7


def test_the_pace_is_that_of_the_last_minute_over_all_children_those_that_were_replaced_too() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.of({("h", 1): 500}) == 0
    clock.now += 10
    assert pace.of({("h", 1): 520}) == 2
    clock.now += 10
    assert pace.of({("h", 2): 10}) == 0.5, "a child that began meanwhile"
    for _ in range(20):
        clock.now += WINDOW / 4
        quiet = pace.of({("h", 2): 10})
    assert quiet == 0


def judged(catalog: str, wrong: int, count: int) -> Figure:
    return Figure(catalog, Share(wrong, count), promised=0.98, unclear=0, disputed=0, elsewhere=0)


def test_the_share_that_people_find_right_is_told_beside_the_promise_and_not_before_anybody_judged() -> None:
    found = {(sample.metric, *sample.labels): sample.value for sample in reviewed([judged("a", 2, 40), judged("b", 0, 0)])}
    assert found["packsight_reviewed_matched_right_ratio", "a"] == 0.95
    assert found["packsight_promised_matched_right_ratio", "a"] == 0.98
    assert ("packsight_reviewed_matched_right_ratio", "b") not in found


def test_a_promise_is_told_broken_exactly_where_the_page_says_so_and_that_is_what_the_alert_asks() -> None:
    figures = [judged(f"{wrong} of {count}", wrong, count) for count in range(101) for wrong in range(min(count, 8) + 1)]
    told = {sample.labels[0]: sample.value for sample in reviewed(figures) if sample.metric == "packsight_promise_broken"}
    assert told == {one.catalog: one.promise is Promise.BROKEN for one in figures}
    assert told["3 of 50"] == 0 and told["5 of 50"] == 1
    rules = (ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8")
    (rule,) = re.findall(r"alert: PacksightReviewedPrecisionLow.*?expr: ([^\n]+)", rules, re.DOTALL)
    assert rule == "packsight_reviewed_matched_right_ratio and packsight_promise_broken == 1"


def test_the_docs_name_every_figure_as_the_code_does() -> None:
    section = (ROOT / "docs/operations.md").read_text(encoding="utf-8").partition("## Watching")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(packsight_[a-z_]+)`(?: [^|]*)? \| (.+?) \|$", section, re.MULTILINE))
    assert rows == {metric.name: f"{metric.where} | {metric.text}" for metric in METRICS.values()}
    order = [section.index(f"`{name}`") for name in METRICS]
    assert all(one < other for one, other in pairwise(order))
