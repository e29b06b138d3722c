from __future__ import annotations

import pytest

from packsight.producer.evaluation.automation import Operation, best_operation, operations
from packsight.producer.evaluation.document import measures
from packsight.producer.evaluation.metrics import Answer, summarise
from packsight.shared.contract.outcomes import Status
from packsight.shared.shares import Share


def answer(confidence: float, *, right: bool, present: bool = True, status: Status = Status.AMBIGUOUS) -> Answer:
    product = "1" if present else ""
    return Answer("x.jpg", product, product, (), status, ("1" if right else "2",), confidence)


def test_automation_counts_photos_of_listed_products_that_are_matched_and_right() -> None:
    found = [
        answer(0.9, right=True, status=Status.MATCHED),
        answer(0.9, right=False, status=Status.MATCHED),
        answer(0.9, right=True),
        answer(0.9, right=False, present=False, status=Status.MATCHED),
    ]
    assert summarise(found).automation == Share(1, 3)
    assert summarise(found).precision == Share(1, 3)


def test_every_threshold_is_judged_by_all_photos_from_it_on() -> None:
    found = [
        answer(0.7, right=False),
        answer(0.95, right=True),
        answer(0.8, right=True),
        answer(0.9, right=False, present=False),
        Answer("x.jpg", "1", "1", (), Status.FAILED, (), 0.0),
    ]
    assert operations(found) == [
        Operation(0.95, Share(1, 4), Share(1, 1)),
        Operation(0.9, Share(1, 4), Share(1, 2)),
        Operation(0.8, Share(2, 4), Share(2, 3)),
        Operation(0.7, Share(2, 4), Share(2, 4)),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_photos_of_equal_confidence_come_in_together_in_whatever_order_they_stand(order: int) -> None:
    tied = [answer(0.9, right=True), answer(0.9, right=True), answer(0.9, right=False)][::order]
    assert operations(tied) == [Operation(0.9, Share(2, 3), Share(2, 3))]
    assert best_operation(tied, 0.98) is None


def test_the_best_threshold_has_the_most_automation_that_keeps_the_precision() -> None:
    # Precision is below 0.98 among the first 2, and above it again from 50 on: the lowest threshold that keeps it counts.
    found = [answer(0.99, right=True), answer(0.98, right=False), *(answer(0.9, right=True) for _ in range(48))]
    assert best_operation(found, 0.98) == Operation(0.9, Share(49, 50), Share(49, 50))
    assert best_operation([*found, answer(0.95, right=False)], 0.98) == Operation(0.99, Share(1, 51), Share(1, 1))
    assert best_operation([answer(0.99, right=False)], 0.98) is None


def test_no_threshold_at_all_is_no_automation() -> None:
    best = measures([answer(0.99, right=False), answer(0.9, right=True)], 0.9)["best"]
    assert (best["threshold"], best["automation"], best["k"], best["n"]) == (None, 0.0, 0, 2)
    best = measures([answer(0.99, right=True), answer(0.9, right=False)], 0.9)["best"]
    assert (best["threshold"], best["automation"], best["precision"]) == (0.99, 0.5, 1.0)


def test_wrong_answers_below_the_best_threshold_do_not_lower_it() -> None:
    found = [answer(0.9, right=True), answer(0.8, right=False, present=False)]
    assert best_operation(found) == Operation(0.9, Share(1, 1), Share(1, 1))
