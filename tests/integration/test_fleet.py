"""What the registry says of the workers, read by the indexer and by whoever looks at the stack."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from packsight.deploy.fleet import ailing, complaints, differing, starting
from packsight.indexer.fleet import Fleet
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.queue import registry
from packsight.shared.queue.registry import ChildEntry, ProcessEntry
from packsight.shared.settings import Settings

MINE = Recipe(embedder="e-1", spotter="s-1", details="d-1", matching="m-1")
OTHER = MINE.model_copy(update={"matching": "m-2"})
FORMER = Recipe(embedder="e-1", spotter="s-1", details="", matching="")
CURRENT = Current("v1", {MINE.key: "v1"}, "tag")


@pytest.fixture
def fleet(live_settings: Settings) -> Iterator[Fleet]:
    made = Fleet(live_settings)
    yield made
    made.close()


def announce(fleet: Fleet, pid: int, recipe: Recipe = MINE, **state: dict[str, str]) -> ChildEntry:
    entry = ChildEntry(node=f"w{pid}@h", host="h", pid=pid, **recipe.model_dump()).model_copy(update=state)
    registry.announce_child(fleet.redis, entry)
    return entry


def test_each_recipe_is_listed_once_the_usual_one_first_and_those_of_older_releases_apart(fleet: Fleet) -> None:
    assert fleet.recipes() == fleet.former_recipes() == []
    for pid, recipe in enumerate([OTHER, MINE, MINE, FORMER], 1):
        announce(fleet, pid, recipe)
    assert fleet.recipes() == [MINE, OTHER]
    assert fleet.former_recipes() == [FORMER]


def test_a_child_that_ends_in_order_is_gone_and_one_that_dies_is_gone_soon(fleet: Fleet) -> None:
    entry = announce(fleet, 1)
    assert 0 < int(fleet.redis.ttl("packsight:child:h:1")) <= registry.CHILD_TTL
    registry.withdraw_child(fleet.redis, entry)
    assert fleet.children() == []


def test_children_are_told_apart_by_how_far_they_have_taken_a_version_up(fleet: Fleet) -> None:
    announce(fleet, 1, catalogs={"default": "v1"}, latest={"default": "v1"})
    announce(fleet, 2, catalogs={"default": "v0"}, latest={"default": "v0"})
    announce(fleet, 3, catalogs={"default": "v0"}, latest={"default": "v1"}, refused={"default": "it is damaged"})
    announce(fleet, 4, OTHER, refused={"default": "not for this worker"})
    announce(fleet, 5, FORMER, catalogs={"default": "v0"})
    seen = fleet.uptake("default", CURRENT)
    pids = [[child.pid for child in group] for group in (seen.serving, seen.late, seen.refusing, seen.without)]
    assert pids == [[1], [2], [3], [4]]


def test_a_child_that_still_tries_what_was_given_up_is_late(fleet: Fleet) -> None:
    announce(fleet, 1, catalogs={"default": "v1"}, latest={"default": "v1"}, canaries={"default": "v2"})
    announce(fleet, 2, catalogs={"default": "v1"}, latest={"default": "v1"}, canaries={})
    seen = fleet.uptake("default", CURRENT)
    assert [[child.pid for child in group] for group in (seen.serving, seen.late)] == [[2], [1]]


def test_waiting_ends_as_soon_as_every_child_has_looked_even_if_it_refuses(fleet: Fleet) -> None:
    announce(fleet, 1, latest={"default": "v1"}, refused={"default": "it is damaged"})
    announce(fleet, 2, OTHER)
    announce(fleet, 3, FORMER)
    seen = fleet.wait_for("default", CURRENT, seconds=3600)
    assert [child.pid for child in seen.refusing] == [1]
    announce(fleet, 4)
    assert [child.pid for child in fleet.wait_for("default", CURRENT, seconds=0).late] == [4]


def test_an_entry_that_says_too_little_is_passed_over(fleet: Fleet) -> None:
    announce(fleet, 1)
    fleet.redis.set("packsight:child:h:2", '{"host": "h"}', ex=60)
    assert [child.pid for child in fleet.children()] == [1]


def test_the_odd_worker_is_named_with_what_it_is_odd_in(fleet: Fleet) -> None:
    for pid, recipe in enumerate([MINE, MINE, OTHER, FORMER], 1):
        announce(fleet, pid, recipe)
    odd, old = differing(fleet.children())
    assert odd.startswith("w3@h answers with matching m-2 instead of m-1")
    assert old.startswith("w4@h runs an older release")
    assert differing(fleet.children()[:2]) == []


def test_what_children_refuse_is_a_complaint_told_once_for_each_worker(fleet: Fleet) -> None:
    entry = announce(fleet, 1, refused={"default": "Version v1 is damaged."})
    registry.announce_child(fleet.redis, entry.model_copy(update={"pid": 2}))
    assert complaints(fleet.children(), [], []) == ["w1@h: Version v1 is damaged."]


def parent(fleet: Fleet, node: str, **state: Any) -> ProcessEntry:
    entry = ProcessEntry(node=node, at=datetime.now(UTC), **state)
    registry.announce_process(fleet.redis, entry)
    return entry


def ails(fleet: Fleet) -> list[str]:
    return ailing(fleet.children(), registry.processes(fleet.redis))


def test_children_that_are_missing_are_told_unless_their_worker_is_only_starting(fleet: Fleet) -> None:
    announce(fleet, 1)
    parent(fleet, "w1@h", ready=True, children=1)
    parent(fleet, "w2@h", ready=True, children=2)
    parent(fleet, "w3@h", children=2)
    parent(fleet, "indexer@h", ready=True)
    assert ails(fleet) == ["w2@h: 0 of its 2 children are ready"]
    assert starting(fleet.children(), registry.processes(fleet.redis)) == ["w3@h is starting: 0 of its 2 children are ready"]


def test_what_a_parent_complains_of_and_work_beyond_its_limit_are_told_by_name(fleet: Fleet) -> None:
    parent(fleet, "w1@h", complaints=["7 messages wait"], overdue=["packsight.recognize[17]"])
    assert ails(fleet) == ["w1@h: 7 messages wait", "w1@h: in work for longer than their limit: packsight.recognize[17]"]


def test_a_parent_that_is_silent_while_its_children_speak_is_told_but_not_one_of_an_older_release(fleet: Fleet) -> None:
    announce(fleet, 1)
    announce(fleet, 2, FORMER)
    assert ails(fleet) == ["w1@h: its children are there, but it gives no sign of life itself"]
    parent(fleet, "w1@h", children=1)
    assert ails(fleet) == []
    assert 0 < int(fleet.redis.ttl("packsight:process:w1@h")) <= registry.PROCESS_TTL
    registry.withdraw_process(fleet.redis, "w1@h")
    assert registry.processes(fleet.redis) == []


def test_an_open_breaker_is_told_with_its_worker(fleet: Fleet) -> None:
    entry = parent(fleet, "w1@h", outages={"object storage": "no route"})
    assert complaints([], [], [entry]) == ["w1@h takes no work: object storage: no route"]
    entry = parent(fleet, "w1@h", outages={"catalog": "no version"})
    assert complaints([], [], [entry]) == ["w1@h recognises no photos: catalog: no version"]


def test_a_worker_asks_for_its_own_children_alone(fleet: Fleet) -> None:
    for pid in (1, 2, 3):
        announce(fleet, pid)
    assert registry.living(fleet.redis, "h", [2, 3, 4]) == [2, 3]
    assert registry.living(fleet.redis, "elsewhere", [2]) == registry.living(fleet.redis, "h", []) == []
