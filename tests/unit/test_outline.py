"""A confirmed photo shows its product among others: what surrounds it is not the product's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from packsight.indexer.reviewed.outline import Outlined, outlined
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.vision.features import Features, LocalFeatures
from tests.unit.matching_catalog import photo

CHANCE = np.random.default_rng(5)
PRINT = LocalFeatures(
    CHANCE.uniform(0.1, 0.9, (60, 2)).astype(np.float32), CHANCE.integers(0, 256, (60, 128)).astype(np.uint8), 60
)
AROUND = LocalFeatures(
    CHANCE.uniform((0.6, 0.0), (1.0, 1.0), (90, 2)).astype(np.float32), CHANCE.integers(0, 256, (90, 128)).astype(np.uint8)
)


def line(text: str, left: float, top: float) -> WordRead:
    """A line of text that begins at a share of a photo of 400 x 400 pixels."""
    x, y = 400 * left, 400 * top
    return WordRead(text=text, confidence=0.9, box=[(x, y), (x + 40, y), (x + 40, y + 10), (x, y + 10)])


@pytest.fixture
def own() -> Features:
    return photo("own", ["serum"], 1, local=PRINT)


@pytest.fixture
def confirmed() -> Features:
    """The print small on the left, another pack on the right, a word on each; ten points of either were found at first sight."""
    small = PRINT.points * 0.5 + np.array([0.02, 0.3], np.float32)
    order = [*range(10), *range(60, 70), *range(10, 60), *range(70, 150)]
    points = np.concatenate([small, AROUND.points]).astype(np.float32)[order]
    local = LocalFeatures(points, np.concatenate([PRINT.descriptors, AROUND.descriptors])[order], 20)
    return replace(photo("confirmed", [], 2, local=local), words=(line("serum", 0.2, 0.5), line("tonic", 0.8, 0.5)))


def test_key_points_and_words_around_the_pack_are_left_out(own: Features, confirmed: Features) -> None:
    stranger = photo("stranger", [], 3, local=LocalFeatures(PRINT.points, 255 - PRINT.descriptors))
    cut = outlined(confirmed, [stranger, own])
    assert len(cut.local.points) == len(cut.local.descriptors) == 60
    assert cut.local.leading == 10 and cut.local.points[:, 0].max() < 0.5
    assert [word.text for word in cut.words] == ["serum"]
    assert (cut.sha256, cut.thumbnail) == (confirmed.sha256, confirmed.thumbnail)


def test_a_photo_over_which_none_of_its_products_lies_stays_whole(own: Features, confirmed: Features) -> None:
    back = replace(own, local=LocalFeatures(PRINT.points, 255 - PRINT.descriptors))
    assert outlined(confirmed, [back]) is confirmed
    assert outlined(confirmed, []) is confirmed


def test_only_confirmed_photos_are_outlined_and_by_what_is_known(own: Features, confirmed: Features) -> None:
    features = {one.sha256: one for one in (own, confirmed)}
    view = Outlined(features, {confirmed.sha256: ["not described", own.sha256]})
    assert view[own.sha256] is own and len(view[confirmed.sha256].local.points) == 60
    assert Outlined(features, {})[confirmed.sha256] is confirmed
    assert (list(view), len(view), "nothing" in view) == (list(features), 2, False)
