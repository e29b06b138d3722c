"""Describing that comes to a standstill: who is waited for, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import Mock

import pytest

from packsight.indexer.extraction import UndescribedError, _Watch
from packsight.indexer.fleet import Fleet
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.queue import registry
from packsight.shared.queue.registry import ChildEntry, ProcessEntry
from packsight.shared.settings import Settings
from tests.unit.test_canary import MINE

ELSE = MINE.model_copy(update={"spotter": "another"})


class Registered(Fleet):
    """Workers of which the one describes as MINE does."""

    def __init__(self, **outages: dict[str, str]) -> None:
        self.redis = Mock()
        self.parents = [_process(node, away) for node, away in outages.items()]

    def children(self) -> list[ChildEntry]:
        return [_child(one.node, ELSE if one.node == "other" else MINE) for one in self.parents]


def _child(node: str, recipe: Recipe) -> ChildEntry:
    return ChildEntry.model_construct(node=node, **recipe.model_dump())


def _process(node: str, outages: dict[str, str]) -> ProcessEntry:
    return ProcessEntry.model_construct(node=node, outages=outages, at=datetime.now(UTC))


AWAY = {"result database": "NOPERM"}
CATALOG = {"catalog": "an older release"}


@pytest.mark.parametrize(
    ("fleet", "idle"),
    [
        (Registered(a=AWAY, b=AWAY), "a: result database: NOPERM; b: result database: NOPERM"),
        (Registered(a=AWAY, b={}), ""),
        (Registered(a=AWAY, b=CATALOG), ""),
        (Registered(a=AWAY | CATALOG), "a: result database: NOPERM"),
        (Registered(a={}, other=AWAY), ""),
        (Registered(other=AWAY), ""),
    ],
)
def test_workers_are_idle_when_none_of_the_recipe_takes_work(
    fleet: Registered, idle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "processes", lambda _: fleet.parents)
    assert fleet.idle(MINE) == idle


@pytest.mark.parametrize("away", [True, False])
def test_a_sync_waits_no_longer_than_a_standstill_lasts_for_workers_that_take_no_work(
    away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Registered(a=AWAY if away else {})
    monkeypatch.setattr(registry, "processes", lambda _: fleet.parents)
    watch = _Watch(Settings(), fleet, MINE)
    monkeypatch.setattr(watch, "_queue_is_empty", lambda: False)
    watch._asked -= 60
    assert not watch(progress=False), "for a while whatever is away is waited for"
    watch._heard -= watch._silence + 1
    watch._asked -= 60
    assert not watch(progress=False), "a slow batch, and something away just now, are no standstill"
    watch._working -= watch._silence + 1
    watch._asked -= 60
    if not away:
        assert not watch(progress=False)
        return
    with pytest.raises(UndescribedError, match=r"No worker takes work.*a: result database: NOPERM"):
        watch(progress=False)


@pytest.mark.parametrize(
    ("fleet", "told"),
    [
        (Registered(a={}), ""),
        (Registered(other={}), "No worker is up that could describe photos; `packsight worker` starts one"),
        (Registered(a=AWAY), "No worker takes work: a: result database: NOPERM"),
    ],
)
def test_a_sync_says_why_nothing_is_described_long_before_it_gives_up(
    fleet: Registered, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "processes", lambda _: fleet.parents)
    heard: list[str] = []
    watch = _Watch(Settings(), fleet, MINE, heard.append)
    watch._asked -= 60
    watch(progress=False)
    assert heard == [told]
