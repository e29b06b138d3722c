"""Indexers that are killed, frozen, or two at once; `python -m tests.sync_kills` does the same at forty points."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from packsight.deploy.testbed import Servers
from tests.sync_kills import FROZEN, Pair, Point, chosen, frozen, kill, little_learned, paired, two_at_once


@pytest.fixture(scope="module")
def pair(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("packsight.indexer.phases.run.FIT", little_learned())
        with paired(servers, tmp_path_factory.mktemp("kills")) as made:
            yield made


def test_the_sync_after_a_kill_publishes_what_an_undisturbed_one_does(pair: Pair) -> None:
    steps = kill(pair, 3, seed=1)
    kinds = set(steps)
    assert {"storage: upload", "storage: replace", "storage: remove", "memory: commit", "file: open", "file: os.rename"} <= kinds
    assert sum(pair.tried.values()) == 3
    assert len(chosen(steps, 40, seed=1)) == 40


def test_of_two_indexers_with_one_home_the_second_says_who_is_at_work(pair: Pair) -> None:
    two_at_once(pair, 100)


@pytest.mark.parametrize("point", FROZEN, ids=lambda point: f"{point.kind} {point.step}")
def test_an_indexer_that_was_frozen_until_another_had_published_does_no_harm(pair: Pair, point: Point) -> None:
    beside, ended = frozen(pair, point, 200 + FROZEN.index(point))
    assert "in use by another indexer with the same home" in beside
    assert ended.startswith("LockLostError"), ended
