"""One stack for all acceptance tests: starting it is slow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from packsight.shared.contract.errors import SOME_FAILED
from tests.acceptance.local_stack import PRODUCTS, Stack, query

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

SHARING = frozenset({"test_http.py", "test_live.py", "test_scraped.py", "test_stack.py", "test_upgrade.py"})
"""Files whose tests share a stack."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """By files, with those that share a stack in one process."""
    from xdist.scheduler import LoadFileScheduling

    class ByStack(LoadFileScheduling):  # type: ignore[misc]  # of a library without types
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "stack" if file.rpartition("/")[2] in SHARING else file

    return ByStack(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what the stack has counted since it began be looked at before others start its workers anew."""
    looking = [item for item in items if item.path.name == "test_scraped.py"]
    others = [item for item in items if item not in looking]
    uses = [bool(item.get_closest_marker("whole_stack")) and "stack" in getattr(item, "fixturenames", ()) for item in others]
    first = uses.index(True) if True in uses else len(others)
    items[:] = [*others[:first], *looking, *others[first:]]


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
    stack.draw_shop()
    queries = stack.folder / "queries"
    queries.mkdir()
    for item in PRODUCTS:
        (queries / f"{item.id}.jpg").write_bytes(query(item, 2))
    (queries / "broken.jpg").write_bytes(b"no picture")
    stack.run("catalog", "sync", "--feed", "shop/feed.xml")
    stack.run("submit", "queries", "--wait", "--out", "results.jsonl", "--report", "report.html", code=SOME_FAILED)
    return [json.loads(line) for line in (stack.folder / "results.jsonl").read_text().splitlines()]
