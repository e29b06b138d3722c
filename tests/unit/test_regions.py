"""Where a product is on a photo: by the catalog photo that lies over it, else by its words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Candidate, WordRead
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.decision import decision
from packsight.shared.matching.stages import rank_by_all, rank_by_details
from packsight.worker.pipeline.decode import Photo
from packsight.worker.pipeline.extracted import Extracted
from tests.unit.drawn_packs import SIDE, box, catalog, overlap, photograph
from tests.unit.matching_catalog import Shop, photo


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return catalog(tmp_path_factory.mktemp("packs") / "v", 4)


def nearest(shot: Photo, snapshot: Snapshot) -> Candidate:
    query = Extracted("drawn", decoded=shot).ask(snapshot, None)
    return decision(query, rank_by_details(query, snapshot), snapshot, top_k=1).candidates[0]


@pytest.mark.parametrize(
    "corners",
    [box(200, 150, 500), box(300, 80, 330, turn=0.5), box(60, 300, 420, turn=-0.3, tilt=0.12), box(350, 330, 300, turn=3.0)],
    ids=["upright", "turned", "tilted", "upside down"],
)
def test_a_warped_pack_is_found_where_it_is(packs: Snapshot, corners: list[tuple[float, float]]) -> None:
    found = nearest(photograph((2, corners)), packs)
    assert found.product.id == "p2"
    assert found.region is not None
    assert overlap(found.region, corners) > 0.85


def test_a_pack_is_outlined_where_another_one_hides_it(packs: Snapshot) -> None:
    behind, before = box(120, 100, 560), box(420, 420, 300, turn=0.2)
    found = nearest(photograph((0, behind), (1, before)), packs)
    assert found.product.id == "p0"
    assert found.region is not None
    assert overlap(found.region, behind) > 0.85


def test_the_outline_ends_where_the_photo_ends(packs: Snapshot) -> None:
    found = nearest(photograph((3, box(-150, 200, 560))), packs)
    assert found.product.id == "p3"
    assert found.region is not None
    assert min(x for x, _ in found.region) == 0
    assert all(0 <= value <= SIDE for corner in found.region for value in corner)


def test_a_region_is_in_pixels_of_the_original_of_which_a_smaller_copy_is_looked_at(packs: Snapshot) -> None:
    corners = box(200, 150, 500)
    shot = photograph((2, corners))
    found = nearest(Photo(shot.pixels, 4 * SIDE, 4 * SIDE), packs)
    assert found.region is not None
    assert overlap([(x / 4, y / 4) for x, y in found.region], corners) > 0.85


def line(text: str, left: float, top: float) -> WordRead:
    corners = [(left, top), (left + 80, top), (left + 80, top + 20), (left, top + 20)]
    return WordRead(text=text, confidence=0.95, box=corners)


def test_without_key_points_it_is_where_the_words_are_that_speak_for_it(tiny_shop: Shop) -> None:
    snapshot, _ = tiny_shop
    lines = (line("GRAVELLE", 100, 40), line("Eye Serum", 110, 90), line("Zyxwov", 10, 350), line("50 ml", 300, 360))
    found = match(replace(photo("query", [], 6), words=lines), snapshot, top_k=1).candidates[0]
    assert found.product.id == "p6"
    assert found.region is not None
    xs, ys = zip(*found.region, strict=True)
    assert (min(xs), min(ys), max(xs), max(ys)) == pytest.approx((100, 40, 190, 110), abs=0.2)


def test_words_of_a_long_photo_tell_where_it_is_also_beyond_the_part_whose_details_are_surest(packs: Snapshot) -> None:
    shot = photograph((2, box(200, 150, 500)))
    page = Photo(np.concatenate([shot.pixels, np.full((3 * SIDE, SIDE, 3), 150, np.uint8)]), SIDE, 4 * SIDE)
    asked = Extracted("drawn", decoded=page).ask(packs, None)
    query = asked.with_words([line("Arvelo Number 3", 100, 2000)], asked.frame, packs)
    answer = decision(query, rank_by_all(query, packs), packs, top_k=4)
    [found] = [candidate for candidate in answer.candidates if candidate.product.id == "p3"]
    assert asked.frame.top + asked.frame.height < 2000
    assert found.region is not None
    assert np.allclose(sorted(found.region), sorted(line("", 100, 2000).box), atol=0.2)


def test_where_nothing_tells_there_is_no_region(tiny_shop: Shop) -> None:
    snapshot, _ = tiny_shop
    candidates = match(photo("query", [], 6), snapshot, top_k=3).candidates
    assert [candidate.region for candidate in candidates] == [None] * 3
    assert Query.of(photo("query", [], 6), snapshot).frame == (0, 0, 400, 400)
