"""Verdicts in a real object store: written by several, put together meanwhile, none lost."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest

from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage import reviews as reviews_module
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
    try:
        while any(thread.is_alive() for thread in writers):
            found = reader.all()
            assert len(found) == len({one.id for one in found}) >= before, "what was there once stays"
            before = len(found)
    finally:
        ended.set()
        for thread in (*writers, compactor):
            thread.join()
    assert reader.all() == given


def test_verdicts_that_are_put_together_after_each_listing_are_read_all_the_same(
    store: ObjectStore, live_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, listed = some(30), store.list
    elsewhere, written = ReviewStore(ObjectStore(live_settings.s3), "default"), iter(given)

    def list_and_put_together(prefix: str) -> list[str]:
        if prefix == layout.reviews("default", layout.NEW):
            elsewhere.add([next(written), next(written)])
        keys = list(listed(prefix))
        elsewhere.compact(least=1)
        return keys

    monkeypatch.setattr(store, "list", list_and_put_together)
    assert ReviewStore(store, "default").all() == given[:2], "one listing of new ones is enough"


def test_verdicts_of_a_job_can_be_removed_and_no_others(store: ObjectStore) -> None:
    reviews = ReviewStore(store, "default")
    reviews.add([*some(10), *some(10, 10, job="other")])
    reviews.add(some(2, 20))
    store.write(layout.reviews("default", f"{layout.NEW}later.json"), b'{"job": "other", "kind": "of a later release"}')
    reviews.remove_job("j")
    assert told(store) == ["other"] * 11
    assert reviews.all() == some_ids(reviews) and {one.job for one in reviews.all()} == {"other"} and len(reviews.all()) == 10
    assert store.exists(layout.reviews("default", f"{layout.NEW}later.json")), "what cannot be read stays"


def told(store: ObjectStore) -> list[str]:
    """Jobs of all lines that lie there, whoever reads them."""
    keys = [key for part in (layout.NEW, layout.PACKS) for key in store.list(layout.reviews("default", part))]
    data = [(key, store.read(key).data) for key in keys]
    lines = [line for key, one in data for line in (gzip.decompress(one) if key.endswith(".gz") else one).splitlines()]
    return sorted(json.loads(line)["job"] for line in lines)


@pytest.mark.parametrize("step", ["_take", "_write_pack"])
def test_verdicts_that_are_put_together_while_their_job_is_removed_do_not_come_back(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    kept = some(3, 3, job="other")
    for one in [*some(3), *kept]:
        ReviewStore(store, "default").add([one])
    indexer = ReviewStore(store, "default")
    do = getattr(indexer, step)

    def late(*arguments: object) -> None:
        monkeypatch.undo()
        ReviewStore(store, "default").remove_job("j")
        do(*arguments)

    monkeypatch.setattr(indexer, step, late)
    indexer.compact(least=1)
    assert ReviewStore(store, "default").all() == indexer.all() == kept
    ReviewStore(store, "default").add([verdict(Kind.UNDONE, job="j", after="a" * 32)])  # from a page that was open
    assert indexer.all() == kept
    indexer.compact()
    assert told(store) == ["other"] * 3
    assert ReviewStore(store, "default").all() == kept


def test_a_job_is_removed_while_verdicts_are_put_together_and_another_is_removed(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in [*some(3), *some(3, 3, job="other"), *some(3, 6, job="third")]:
        ReviewStore(store, "default").add([one])
    mine, read = ReviewStore(store, "default"), ReviewStore._lines

    def late(one: ReviewStore, key: str) -> list[bytes]:
        monkeypatch.undo()
        ReviewStore(store, "default").compact(least=1)
        return read(one, key)

    monkeypatch.setattr(ReviewStore, "_lines", late)
    mine.remove_job("j")
    assert told(store) == ["other"] * 3 + ["third"] * 3
    write = mine._write_lines

    def later(lines: Sequence[bytes]) -> None:
        monkeypatch.undo()
        ReviewStore(store, "default").remove_job("third")
        write(lines)

    monkeypatch.setattr(mine, "_write_lines", later)
    mine.remove_job("other")
    assert ReviewStore(store, "default").all() == []
    mine.compact()
    assert told(store) == []


def test_that_a_job_was_removed_is_forgotten_after_a_day(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reviews = ReviewStore(store, "default")
    reviews.remove_job("j")
    reviews.compact()
    assert list(store.list(layout.reviews("default", layout.REMOVED))) == [layout.reviews("default", f"{layout.REMOVED}j")]
    monkeypatch.setattr(reviews_module, "_REMEMBERED", timedelta(0))
    reviews.compact()
    assert list(store.list(layout.reviews("default"))) == []


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
