"""What a photo lacks on which no product can be seen."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.lacking import WANTED, Lack
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.decision import Decision
from packsight.shared.vision.features import Features
from tests.unit.matching_catalog import Shop, photo
from tests.unit.test_decode import scene


@pytest.fixture(scope="module")
def catalog(tiny_shop: Shop) -> Snapshot:
    return tiny_shop[0]


def seen(lines: list[str], picture: Image.Image, size: tuple[int, int] = (1200, 900)) -> Features:
    """A photo of nothing that the catalog has: these lines, this thumbnail, an original of this size."""
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=90)
    width, height = size
    strange = photo("strange", lines, 77)
    return replace(strange, thumbnail=jpeg.getvalue(), width=width, height=height)


def asked(snapshot: Snapshot, features: Features) -> Decision:
    return match(features, snapshot, top_k=3)


SHARP = scene(128, 96)
UNKNOWN = ["Zyxwov Quantum", "Toothpaste"]


def test_a_readable_photo_of_what_no_product_has_is_not_in_the_catalog(catalog: Snapshot) -> None:
    decision = asked(catalog, seen(UNKNOWN, SHARP))
    assert (decision.status, decision.lacking) == (Status.NO_MATCH, ())


def test_what_could_be_read_decides_however_poor_the_photo_is(catalog: Snapshot) -> None:
    for poor in (SHARP.filter(ImageFilter.GaussianBlur(4)), ImageEnhance.Brightness(SHARP).enhance(0.1)):
        assert asked(catalog, seen(UNKNOWN, poor, (90, 60))).status is Status.NO_MATCH


@pytest.mark.parametrize(
    ("spoil", "size", "lack"),
    [
        (lambda picture: picture, (48, 64), Lack.RESOLUTION),
        (lambda picture: picture.filter(ImageFilter.GaussianBlur(3)), (1200, 900), Lack.SHARPNESS),
        (lambda picture: ImageEnhance.Brightness(picture).enhance(0.1), (1200, 900), Lack.LIGHT),
        (lambda picture: picture.point(lambda value: min(255, value + 200)), (1200, 900), Lack.OVEREXPOSED),
        (lambda picture: picture, (1200, 900), Lack.NOTHING_FOUND),
        (lambda picture: picture.point(lambda value: min(255, 2 * value + 40)), (1200, 900), Lack.NOTHING_FOUND),
        (lambda picture: Image.new("RGB", picture.size, (128, 128, 128)), (1200, 900), Lack.NOTHING_FOUND),
    ],
    ids=["small", "blurred", "dark", "overexposed", "a landscape", "a bright one", "a wall"],
)
def test_a_photo_that_shows_nothing_is_ambiguous_and_says_what_it_lacks(
    catalog: Snapshot, spoil: Callable[[Image.Image], Image.Image], size: tuple[int, int], lack: Lack
) -> None:
    decision = asked(catalog, seen([], spoil(SHARP), size))
    assert decision.status is Status.AMBIGUOUS
    assert decision.lacking == (lack,)
    assert WANTED[lack].cause in decision.reason
    assert WANTED[lack].remedy in decision.reason
    assert "Probably not in the catalog" not in decision.reason


def test_a_word_is_enough_on_a_good_photo_and_not_on_a_poor_one(catalog: Snapshot) -> None:
    blurred = SHARP.filter(ImageFilter.GaussianBlur(3))
    assert asked(catalog, seen(["ZYXWOV"], SHARP)).status is Status.NO_MATCH
    assert asked(catalog, seen(["ZYXWOV"], blurred)).lacking == (Lack.SHARPNESS,)
    assert asked(catalog, seen(["50ml"], SHARP)).lacking == (Lack.NOTHING_FOUND,)


def test_lines_that_were_hardly_read_do_not_count(catalog: Snapshot) -> None:
    features = seen(UNKNOWN, SHARP)
    faint = tuple(word.model_copy(update={"confidence": 0.6}) for word in features.words)
    assert asked(catalog, replace(features, words=faint)).lacking == (Lack.NOTHING_FOUND,)


def test_a_photo_without_any_candidate_says_what_it_lacks(catalog: Snapshot) -> None:
    nothing = replace(seen([], SHARP), embedding=np.zeros(48, np.float32))
    decision = asked(catalog, nothing)
    assert (decision.status, decision.candidates, decision.lacking) == (Status.AMBIGUOUS, [], (Lack.NOTHING_FOUND,))


def test_every_lack_has_a_cause_and_a_remedy() -> None:
    assert WANTED.keys() == set(Lack)
    assert all(want.remedy.endswith(".") and want.cause for want in WANTED.values())


def test_a_match_lacks_nothing(tiny_shop: Shop) -> None:
    snapshot, photos = tiny_shop
    decision = match(photos["p6"][0], snapshot, top_k=3)
    assert (decision.status, decision.lacking) == (Status.MATCHED, ())
