"""Verdicts in a real object store: written by several, put together meanwhile, none lost."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Kind, Verdict
from tests.unit.test_verdicts import NOON, verdict


def some(count: int, first: int = 0, job: str = "j") -> list[Verdict]:
    return [
        verdict(sha256=f"{number:064x}", index=number, job=job, at=NOON + timedelta(seconds=number))
        for number in range(first, first + count)
    ]


def test_verdicts_come_back_in_their_order_whoever_put_them_together(store: ObjectStore) -> None:
    mine, others = ReviewStore(store, "default"), ReviewStore(store, "default")
    given = some(30)
    for one in given[:5]:
        mine.add([one])
    mine.add(given[10:])
    assert others.all() == [*given[:5], *given[10:]]
    for one in given[5:10]:
        mine.add([one])
    mine.add([given[5]])  # sent again
    assert others.compact(least=11) == 0
    assert others.compact(least=10) == 10
    assert not list(store.list(layout.reviews("default", layout.NEW)))
    assert mine.all() == others.all() == ReviewStore(store, "default").all() == given
    assert ReviewStore(store, "other").all() == []


def test_nothing_is_lost_or_doubled_while_verdicts_are_written_put_together_and_read(store: ObjectStore) -> None:
    given = some(60)
    ended = threading.Event()

    def write(part: list[Verdict]) -> None:
        own = ReviewStore(store, "default")
        for one in part:
            own.add([one])

    def compact() -> None:
        while not ended.is_set():
            ReviewStore(store, "default").compact(least=2)

    writers = [threading.Thread(target=write, args=(given[start::3],)) for start in range(3)]
    compactor = threading.Thread(target=compact)
    for thread in (*writers, compactor):
        thread.start()
    reader, before = ReviewStore(store, "default"), 0
    while any(thread.is_alive() for thread in writers):
        found = reader.all()
        assert len(found) == len({one.id for one in found}) >= before, "what was there once stays"
        before = len(found)
    ended.set()
    compactor.join()
    assert reader.all() == given


def test_verdicts_of_a_job_can_be_removed_and_no_others(store: ObjectStore) -> None:
    reviews = ReviewStore(store, "default")
    reviews.add([*some(10), *some(10, 10, job="other")])
    reviews.add(some(2, 20))
    store.write(layout.reviews("default", f"{layout.NEW}later.json"), b'{"job": "other", "kind": "of a later release"}')
    assert reviews.remove_job("j") == 12
    assert reviews.all() == some_ids(reviews) and {one.job for one in reviews.all()} == {"other"} and len(reviews.all()) == 10
    assert store.exists(layout.reviews("default", f"{layout.NEW}later.json")), "what cannot be read stays"


def some_ids(reviews: ReviewStore) -> list[Verdict]:
    return ReviewStore(reviews._store, "default").all()


def test_a_verdict_on_another_catalog_is_refused(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="another catalog"):
        ReviewStore(store, "other").add([verdict(Kind.BAD)])


def test_whoever_takes_the_id_of_anothers_verdict_changes_nothing(store: ObjectStore) -> None:
    first = verdict()
    later = verdict(Kind.ABSENT, id=first.id, by="eve", minute=5, sha256="b" * 64)
    for one in (later, first):
        ReviewStore(store, "default").add([one])
    assert ReviewStore(store, "default").all() == [first]
