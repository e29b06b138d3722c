"""What verdicts come to for a catalog: pairs that calibrate it, photos that would harm it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from packsight.indexer.reviewed.fallen import fallen
from packsight.indexer.reviewed.pairs import digest_of, pairs_of
from packsight.indexer.reviewed.parameters import REVIEWED
from packsight.shared.catalog.told import OWN, Answer, Asked, Photo
from packsight.shared.storage.verdicts import Kind, Offered, Verdict, reviewed
from tests.unit.test_verdicts import NOON, verdict


def asked(number: int, first: str, product: str = "1") -> Asked:
    return Asked(Photo(kind=OWN, sha256=f"{product} {number}", name=f"{number}.jpg", product=product), Answer(first=first))


def test_only_losses_to_a_product_with_new_photos_count_and_gains_make_up_for_them() -> None:
    known = [asked(number, "1") for number in range(3)]
    assert fallen(known, known, {"2"}) == {}
    assert set(fallen(known, [asked(0, "2"), *known[1:]], {"2"})) == {"2"}
    assert fallen(known, [asked(0, "2"), *known[1:]], {"3"}) == {}, "2 has nothing new"
    missed, gained = asked(0, "1", "2"), asked(0, "2", "2")
    assert fallen([*known, missed], [asked(0, "2"), *known[1:], gained], {"2"}) == {}
    assert fallen([], [asked(0, "2")], {"2"}) == {}, "who was not asked before"


def said(count: int, kind: Kind = Kind.RIGHT, offered: Offered = Offered.UNSURE, first: int = 0) -> list[Verdict]:
    return [
        verdict(kind, sha256=f"{number:064x}", offered=offered, at=NOON + timedelta(seconds=number))
        for number in range(first, first + count)
    ]


def test_pairs_are_what_is_known_of_photos_the_newest_of_the_sample_and_of_the_rest_apart() -> None:
    rules = replace(REVIEWED, pairs=3)
    given = [*said(5), *said(5, Kind.ABSENT, Offered.SAMPLE, 10), *said(2, Kind.BAD, first=20)]
    found = pairs_of(reviewed(given), NOON, rules)
    assert [(int(pair.sha256, 16), pair.product, pair.sampled) for pair in found] == [
        (2, "1", False), (3, "1", False), (4, "1", False), (12, "", True), (13, "", True), (14, "", True),
    ]  # fmt: skip
    disputed = verdict(Kind.BAD, by="bob", sha256=f"{4:064x}", at=NOON + timedelta(hours=1))
    assert len(pairs_of(reviewed([*given, disputed]), NOON, replace(rules, pairs=99))) == 9


def test_a_pair_stands_for_all_that_are_matched_whoever_corrects_what_was_said_of_it() -> None:
    (drawn,) = said(1, offered=Offered.SAMPLE)
    corrected = verdict(Kind.ABSENT, sha256=drawn.sha256, by="bob", after=drawn.id, at=NOON + timedelta(hours=1))
    (pair,) = pairs_of(reviewed([drawn, corrected]), NOON, REVIEWED)
    assert (pair.product, pair.sampled) == ("", True)


@pytest.mark.parametrize(("kind", "left"), [(Kind.ABSENT, 0), (Kind.RIGHT, 1)])
def test_that_something_is_not_in_the_catalog_is_believed_for_half_a_year(kind: Kind, left: int) -> None:
    assert len(pairs_of(reviewed(said(1, kind)), NOON + timedelta(days=170), REVIEWED)) == 1
    assert len(pairs_of(reviewed(said(1, kind)), NOON + timedelta(days=190), REVIEWED)) == left


def test_the_name_of_pairs_changes_with_each_of_them_and_with_the_rules() -> None:
    some = pairs_of(reviewed(said(3)), NOON, REVIEWED)
    names = {
        digest_of(some, REVIEWED), digest_of(some[:2], REVIEWED), digest_of(some, replace(REVIEWED, photos=3)),
        digest_of([*some[:2], replace(some[2], sampled=True)], REVIEWED), digest_of([], REVIEWED),
    }  # fmt: skip
    assert len(names) == 5 and digest_of([], REVIEWED) == ""
