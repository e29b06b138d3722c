"""What a second head changes: which lines are told as read otherwise, and whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.alphabet import differing, in_turns
from packsight.shared.contract.outcomes import WordRead
from packsight.worker.networks.base import Image

PHOTO = np.zeros((8, 8, 3), np.uint8)


def line(text: str, top: float) -> WordRead:
    return WordRead(text=text, confidence=0.9, box=[(0, top), (9, top), (9, top + 5), (0, top + 5)])


def test_lines_are_compared_where_they_stand_and_a_silent_one_counts() -> None:
    before = [line("cream", 0), line("rybl", 10), line("50 ml", 20)]
    after = [line("cream", 0), line("ГУБЫ", 10), line("ГЕЛЬ", 30)]
    assert list(differing(before, after)) == [("rybl", "ГУБЫ"), ("50 ml", ""), ("", "ГЕЛЬ")]


class Noting:
    """A spotter that notes its turns."""

    def __init__(self, name: str, turns: list[str]) -> None:
        self.name, self.turns = name, turns

    def spot(self, images: Sequence[Image]) -> list[list[WordRead]]:
        self.turns.append(self.name)
        return [[line(self.name, 0)] for _ in images]


def test_both_read_equally_often_and_each_begins_in_turn() -> None:
    turns: list[str] = []
    (one, took), (other, _) = in_turns([Noting("a", turns), Noting("b", turns)], PHOTO)  # type: ignore[list-item]
    assert "".join(turns) == "abbaab"
    assert (one[0].text, other[0].text) == ("a", "b")
    assert 0 <= took < float("inf")
