from __future__ import annotations

from collections.abc import Sequence

import pytest

from packsight.producer.evaluation.metrics import Answer
from packsight.producer.evaluation.stages import ways
from packsight.shared.contract.outcomes import Status
from packsight.shared.shares import Share

FIRST = {"fetch": 0.01, "cache": 0.0, "decode": 0.02, "embed": 0.1, "match": 0.01}


def answer(timings: dict[str, float], *, right: bool = True, status: Status = Status.MATCHED, product: str = "1") -> Answer:
    return Answer("x.jpg", product, product, (), status, ("1" if right else "2",), 0.9, timings=timings)


def names(found: Sequence[Answer]) -> list[str]:
    return [way.name for way in ways(found)]


def test_photos_are_counted_by_the_stages_that_added_evidence() -> None:
    read = FIRST | {"spot": 0.2}
    embedded, words = ways(
        [
            answer(read),
            answer(FIRST),
            answer(read, right=False),
            answer(read | {"embed": 0.3}, status=Status.AMBIGUOUS),
            answer(read, right=False, product=""),
        ]
    )
    assert (embedded.name, embedded.share, embedded.automation, embedded.precision) == (
        "embed", Share(1, 5), Share(1, 1), Share(1, 1),
    )  # fmt: skip
    assert (words.name, words.share, words.automation, words.precision) == (
        "embed + spot", Share(4, 5), Share(1, 3), Share(1, 3),
    )  # fmt: skip
    assert embedded.total == pytest.approx(0.14)
    assert words.seconds["embed"] == pytest.approx(0.15)


def test_a_stage_that_nobody_here_knows_has_its_way_too() -> None:
    found = [answer(FIRST | {"zoom": 0.1}), answer({"fetch": 0.1, "decode": 0.1, "votes": 0.02}), answer(FIRST)]
    assert names(found) == ["embed", "votes", "embed + zoom"]


def test_remembered_and_failed_photos_stand_apart() -> None:
    seen = {"fetch": 0.01, "cache": 0.01, "match": 0.01}
    failed = Answer("x.jpg", "1", "1", (), Status.FAILED, (), 0.0, timings={"fetch": 0.1})
    assert names([failed, answer(seen | {"details": 0.1}), answer(seen), answer(FIRST)]) == [
        "embed", "remembered", "remembered + details", "failed",
    ]  # fmt: skip


def test_answers_that_did_not_come_over_the_queue_have_no_stages() -> None:
    assert ways([answer({}), Answer("x.jpg", "1", "1", (), Status.FAILED, (), 0.0)]) == []
