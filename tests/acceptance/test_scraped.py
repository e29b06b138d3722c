"""What Prometheus is told of a real job, its catalog and those who worked on it."""

from __future__ import annotations

import urllib.request
from collections import Counter
from typing import Any

import pytest

from packsight.shared.metrics.table import METRICS
from tests.acceptance.local_stack import PRODUCTS, Stack
from tests.acceptance.stack import wait_until
from tests.scraped import scrape, values

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(900)]

NOT_HERE = {
    "packsight_canary_published_timestamp_seconds", "packsight_sync_period_seconds", "packsight_reviewed_matched",
    "packsight_reviewed_matched_right_ratio", "packsight_promised_matched_right_ratio", "packsight_child_deaths_total",
    "packsight_outages_total", "packsight_redeliveries_total", "packsight_catalog_held_timestamp_seconds",
    "packsight_results_memory_limit_bytes", "packsight_promise_broken",
}  # fmt: skip
"""Of which there is nothing to tell without a canary, a periodic sync, a review, a death, an outage, a hold or a memory limit."""


def page(stack: Stack, part: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.state['ports'][f'figures-{part}']}/metrics", timeout=30) as answer:
        data: bytes = answer.read()
    return data


def test_a_jobs_outcomes_and_stages_the_catalog_and_its_sync_are_told(stack: Stack, answers: list[dict[str, Any]]) -> None:
    ports = stack.state["ports"]
    children = len(stack.status()["children"])

    def has_looked() -> bool:
        """Its looks at workers and at catalogs are seconds apart: a child that began just now may be in one of them alone."""
        told = scrape(ports["figures-indexer"])
        serving = told.get(("packsight_catalog_children", "default", "serving"))
        return serving == told.get(("packsight_fleet_children_ready",)) == children

    wait_until(has_looked, "looks at workers and the catalog at which all children serve it")
    worker, seen = scrape(ports["figures-worker"]), scrape(ports["figures-indexer"])
    assert seen["packsight_catalog_products", "default"] == len(PRODUCTS)
    # Other tests may have asked about more.
    for (status, code), count in Counter((row["status"], (row.get("failure") or {}).get("code", "")) for row in answers).items():
        assert worker["packsight_photos_total", status, code] >= count
    assert worker["packsight_described_photos_total", ""] >= 2 * len(PRODUCTS)
    decoded = worker["packsight_photo_seconds_count", "decode"]
    assert worker["packsight_photo_seconds_count", "fetch"] >= decoded >= len(PRODUCTS)
    assert worker["packsight_photo_words_sum",] > 0 and worker["packsight_cache_lookups_total", "no"] >= len(PRODUCTS)
    assert worker["packsight_deliveries_ended_total", "packsight.recognize", "done"] >= 1
    assert worker["packsight_children_ready",] == worker["packsight_children_expected",] == children
    assert worker["packsight_catalog_swap_seconds_count", "default"] >= 1
    (catalog,) = stack.status()["catalogs"]
    assert seen["packsight_catalog_info", "default", catalog["version"], "no"] == 1
    assert seen["packsight_sync_ending", "default", "published"] == 1
    assert seen["packsight_feed_changed_timestamp_seconds", "default"] > 0
    assert stack.status()["syncs"]["default"]["ending"] == "published"


def test_every_figure_is_told_by_whom_the_table_says_without_an_address_or_a_secret(
    stack: Stack, answers: list[dict[str, Any]]
) -> None:
    pages = {part: page(stack, part) for part in ("worker", "indexer")}
    for part, text in pages.items():
        promised = {metric.name for metric in METRICS.values() if part in metric.where.value} - NOT_HERE
        told = {name for name, *_ in values(text)} | {name.rpartition("_")[0] for name, *_ in values(text)}
        assert promised <= told
        assert b"://" not in text and stack.state["credentials"]["flower"].encode() not in text
        assert not any(row["image"].encode() in text for row in answers)
