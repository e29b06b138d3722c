"""One stack for all acceptance tests: starting it is slow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from packsight.deploy.demo.shop.dataset import write_feed
from packsight.deploy.demo.shop.scenes import catalog_photo
from tests.acceptance.local_stack import PRODUCTS, Stack, query


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("stack"))
    try:
        made.run("up")
        yield made
    finally:
        made.run("down")


@pytest.fixture(scope="session")
def answers(stack: Stack) -> list[dict[str, Any]]:
    """Outcomes of a small job against a small published catalog; its files stay in the stack's folder."""
    shop = stack.folder / "shop"
    for item in PRODUCTS:
        for number in range(2):
            photo = shop / "photos" / item.id / f"{number + 1}.jpg"
            photo.parent.mkdir(parents=True, exist_ok=True)
            photo.write_bytes(catalog_photo(item, number, np.random.default_rng([1, number, int(item.id)])))
    write_feed(shop / "feed.xml", PRODUCTS, pictures=2)
    queries = stack.folder / "queries"
    queries.mkdir()
    for item in PRODUCTS:
        (queries / f"{item.id}.jpg").write_bytes(query(item, 2))
    (queries / "broken.jpg").write_bytes(b"no picture")
    stack.run("catalog", "sync", "--feed", "shop/feed.xml")
    stack.run("submit", "queries", "--wait", "--out", "results.jsonl", "--report", "report.html")
    return [json.loads(line) for line in (stack.folder / "results.jsonl").read_text().splitlines()]
