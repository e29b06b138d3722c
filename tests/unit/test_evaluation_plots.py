from __future__ import annotations

from packsight.producer.evaluation.calibration import reliability
from packsight.producer.evaluation.metrics import Answer
from packsight.producer.evaluation.plots import SIDE, Mark, curve, points
from packsight.shared.contract.outcomes import Status


def answer(confidence: float, *, right: bool, status: Status = Status.AMBIGUOUS) -> Answer:
    return Answer("x.jpg", "1", "1", (), status, ("1" if right else "2",), confidence)


def test_bins_lie_where_confidence_and_accuracy_meet_and_say_how_many_they_hold() -> None:
    (point,) = points(reliability([0.5, 0.5, 0.5, 0.5], [True, False, False, False]))
    assert (point.x, point.y, point.count) == (SIDE / 2, SIDE * 3 / 4, 4)
    assert point.top < point.y < point.bottom
    assert "4 photos at 0.50: 0.25 right" in point.text


def test_the_curve_goes_from_the_surest_photos_to_all_and_names_both_thresholds() -> None:
    found = [answer(0.9, right=True, status=Status.MATCHED), answer(0.8, right=True), answer(0.7, right=False)]
    drawn = curve([*found, answer(0.6, right=True)], 0.75)
    assert drawn is not None
    middle, end = round(SIDE * (1 - (2 / 3 - 0.5) / 0.5), 1), SIDE / 2
    assert drawn.line == f"{SIDE / 4},0.0 {SIDE / 2},0.0 {SIDE / 2},{middle} {SIDE * 3 / 4},{end}"
    assert drawn.wanted == SIDE / 2
    assert drawn.marks == (
        Mark(SIDE / 4, 0.0, "now", "The shipped threshold: automation 0.25, precision 1.00"),
        Mark(SIDE * 3 / 4, end, "best", "The best threshold: automation 0.75, precision 0.75"),
    )


def test_where_nothing_can_be_answered_there_is_no_curve_and_what_is_worse_than_half_lies_on_its_edge() -> None:
    assert curve([Answer("x.jpg", "1", "1", (), Status.FAILED, (), 0.0)], 0.98) is None
    absent = Answer("x.jpg", "", "", (), Status.AMBIGUOUS, ("1",), 0.9)
    assert curve([absent], 0.98) is None
    drawn = curve([answer(0.9, right=False), answer(0.8, right=False)], 0.98)
    assert drawn is not None
    assert drawn.line == f"0.0,{float(SIDE)} 0.0,{float(SIDE)}"
    assert drawn.marks == ()
