"""A version's report as lines and as a page: nothing of the shop is taken for markup, long lists are cut and say so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import pyarrow as pa

from packsight.indexer.gate.rules import Refusal
from packsight.indexer.gate.tables import Levels
from packsight.indexer.version_report.keeping import Reports, lines_of
from packsight.indexer.version_report.page import SHOWN, page, page_of_lines
from packsight.indexer.version_report.summary import Summary, Verdict
from packsight.shared.catalog.told import QUERY, Answer, Asked, Photo
from packsight.shared.storage.layout import reports as place
from tests.trust import Shelf

EVIL = "<script>alert('1')</script> & \"quoted\" <img src=x onerror=alert(2)>"


def told(lists: dict[str, pa.Table], version: str = "v1", verdict: Verdict = Verdict.REFUSED) -> Summary:
    return Summary(
        catalog="default", version=version, parent="v0", made_at=datetime.now(UTC), verdict=verdict,
        reasons=(Refusal(gate="lost", text=EVIL),), levels=Levels(products=3, photos=5), notes=(EVIL,), compared=(EVIL,),
        counts={name: len(table) for name, table in lists.items()},
    )  # fmt: skip


def renamed(count: int) -> dict[str, pa.Table]:
    return {"renamed": pa.table({"id": [EVIL] * count, "name": [f"n{n}" for n in range(count)], "name_before": [""] * count})}


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_nothing_of_the_shop_becomes_markup() -> None:
    lists = renamed(2)
    drawn = page(told(lists), lists)
    seen = _Seen()
    seen.feed(drawn)
    assert not {"script", "img", "a", "link"} & seen.tags
    assert seen.text.count(EVIL) == 2 + 2 and any(EVIL in text for text in seen.text if text.startswith(":"))
    assert "default-src 'none'" in drawn


def test_a_page_is_the_same_of_tables_and_of_lines_and_says_what_it_leaves_out() -> None:
    lists = renamed(SHOWN + 7)
    summary = told(lists)
    drawn = page(summary, lists)
    assert page_of_lines(summary, (json.loads(line) for line in lines_of(lists))) == drawn
    assert drawn.count("<td>n") == SHOWN
    assert "and 7 more" in drawn


def test_reports_are_kept_read_again_and_removed_with_what_they_are_about() -> None:
    store = Shelf()
    reports = Reports(store, "default")
    asked = [Asked(Photo(kind=QUERY, sha256="a", name="1.jpg"), Answer(first="p", confidence=0.9, matched=True))]
    for version, verdict in (("v1", Verdict.ACCEPTED), ("v2", Verdict.EMPTY)):
        reports.write(told(renamed(3), version, verdict), renamed(3), asked, "<p>page</p>")
    assert reports.answers("v1") == asked
    assert [line["name"] for line in reports.lines("v1")] == ["n0", "n1", "n2"]
    assert (reports.versions(), [one.version for one in reports.unbuilt()]) == (["v1", "v2"], ["v2"])
    reports.prune({"v2"})
    assert (reports.summary("v1"), reports.answers("v1"), list(reports.lines("v1"))) == (None, [], [])
    assert reports.versions() == ["v2"]
    assert len(store.objects) == 4


def test_a_report_that_is_damaged_is_as_good_as_none() -> None:
    store = Shelf()
    for name in ("summary.json", "answers.jsonl.gz"):
        store.write(place("default", "v1", name), b"damaged")
    reports = Reports(store, "default")
    assert (reports.summary("v1"), reports.answers("v1")) == (None, [])
