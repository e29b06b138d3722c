"""The demo's shop: large enough, hard enough, the same every time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from packsight.deploy.demo.score import score
from packsight.deploy.demo.shop.packs import front
from packsight.deploy.demo.shop.products import FAMILIES, STRANGERS, items
from packsight.deploy.demo.shop.scenes import catalog_photo, query_photo
from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.outcomes import Candidate, Evidence, Failure, Outcome, Product, Status
from packsight.shared.tables.labels import Label
from packsight.shared.vision.scripts import script


def test_the_shop_has_families_of_siblings_that_differ_in_the_variant_alone() -> None:
    listed = [item for item in items() if item.listed]
    assert len(listed) >= 48
    assert len({item.id for item in items()}) == len(items())
    assert all(len(set(family.listed + family.unlisted)) >= 5 for family in FAMILIES)
    assert all(count >= 4 for count in Counter(item.family.brand for item in listed).values())


def test_siblings_look_alike_but_for_the_band_of_their_variant() -> None:
    for family in FAMILIES:
        one, other = (front(item) for item in items() if item.family is family and item.variant in family.listed[:2])
        differs = np.flatnonzero((one != other).any((1, 2))) / one.shape[0]
        assert differs.size > 0
        assert differs.min() > 0.5
        assert differs.max() < 0.83


def test_a_photo_drawn_twice_has_the_same_bytes_and_another_seed_gives_another() -> None:
    item, strangers = items()[0], [item for item in items() if item.family in STRANGERS]

    def drawn(seed: int) -> tuple[bytes, bytes]:
        rng = np.random.default_rng([seed, 5])
        return catalog_photo(item, 2, rng), query_photo(item, "shelf", strangers, rng, occluded=True)

    assert drawn(7) == drawn(7) != drawn(8)


LABELS = [
    Label("queries/1.jpg", "101", "101", ("present", "table")),
    Label("queries/2.jpg", "", "101", ("sibling", "table")),
    Label("queries/3.jpg", "", "", ("unreadable", "empty")),
]


def outcome(name: str, status: Status, product: str = "", code: ErrorCode | None = None) -> dict[str, object]:
    candidates = [Candidate(product=Product(id=product, name=product), confidence=0.9, evidence=Evidence())] if product else []
    failure = Failure.of(ImageError(code, "x")) if code else None
    made = Outcome(image=f"s3://packsight/uploads/{name}", status=status, candidates=candidates, failure=failure)
    return {"name": f"somewhere/queries/{name}", **made.model_dump(mode="json")}


RIGHT = [
    outcome("1.jpg", Status.AMBIGUOUS, "101"),
    outcome("2.jpg", Status.NO_MATCH, "101"),
    outcome("3.jpg", Status.FAILED, code=ErrorCode.FILE_EMPTY),
]


def test_the_score_counts_what_each_kind_of_photo_asks_for() -> None:
    reached = score(LABELS, RIGHT)
    assert reached.passed
    assert reached.share == reached.first == 1.0
    assert reached.failures == {"file_empty": 1}


@pytest.mark.parametrize(
    "row",
    [
        outcome("1.jpg", Status.MATCHED, "102"),
        outcome("1.jpg", Status.NO_MATCH, "101"),
        outcome("2.jpg", Status.MATCHED, "101"),
        outcome("2.jpg", Status.FAILED, code=ErrorCode.INTERNAL),
        outcome("3.jpg", Status.NO_MATCH),
    ],
)
def test_the_score_counts_a_wrong_answer_as_wrong(row: dict[str, object]) -> None:
    rows = [row if row["name"] == right["name"] else right for right in RIGHT]
    reached = score(LABELS, rows)
    assert len(reached.wrong) == 1
    assert not reached.passed


def test_a_photo_without_an_outcome_fails_the_demo_however_good_the_rest_is() -> None:
    many = [replace(LABELS[0], image=f"queries/{number}.jpg") for number in range(100)]
    rows = [outcome(f"{number}.jpg", Status.MATCHED, "101") for number in range(99)]
    reached = score(many, rows)
    assert reached.share == 0.99
    assert reached.missing == ["queries/99.jpg"]
    assert not reached.passed


def test_near_a_third_of_what_the_shop_sells_is_russian_with_siblings_that_differ_in_one_word() -> None:
    listed = [item for item in items() if item.listed]
    russian = [item for item in listed if any(script(letter) == "CYRILLIC" for letter in item.name)]
    assert 0.3 <= len(russian) / len(listed) <= 0.4
    for family in {item.family for item in russian}:
        one, other, *_ = [item.name.split() for item in russian if item.family is family and " " not in item.variant]
        assert len(one) == len(other)
        assert sum(first != second for first, second in zip(one, other, strict=True)) == 1
