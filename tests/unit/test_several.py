"""Several products on one photo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from packsight.shared.catalog.barcodes import list_barcodes
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Frame, Query
from packsight.shared.matching.decision import Decision
from packsight.shared.matching.stages import rank_by_all, rank_by_details
from packsight.shared.vision.features import NO_LOCAL, LocalFeatures
from packsight.worker.pipeline.decode import Photo
from packsight.worker.pipeline.early_stop import EarlyStop
from packsight.worker.pipeline.extracted import Extracted
from packsight.worker.pipeline.several import Asked, Several, find_several
from tests.unit.drawn_packs import SIDE, box, catalog, overlap, photograph
from tests.unit.matching_catalog import Shop, photo

LEFT, RIGHT, LOW = box(30, 60, 420, turn=0.1), box(440, 100, 420, turn=-0.15), box(240, 420, 360, turn=0.3, tilt=0.05)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Five products; of packs 5 and more there is none."""
    return catalog(tmp_path_factory.mktemp("packs") / "v", 5)


def several(shot: Photo, snapshot: Snapshot, most: int = 6, barcodes: tuple[int, ...] = ()) -> Several:
    seen = Extracted("drawn", decoded=shot)
    query = seen.ask(snapshot, barcodes)
    return find_several(Asked.of(query, rank_by_details(query, snapshot), snapshot), snapshot, seen.look, most)


def found(one: Several, snapshot: Snapshot, most: int = 6) -> dict[str, Decision]:
    decisions = one.decisions(snapshot, top_k=2, most=most)
    assert [made.confidence for made in decisions] == sorted((made.confidence for made in decisions), reverse=True)
    return {made.product.id: made for made in decisions if made.product is not None}


def test_two_packs_are_both_found_where_they_are(packs: Snapshot) -> None:
    here = found(several(photograph((0, LEFT), (1, RIGHT)), packs), packs)
    assert here.keys() == {"p0", "p1"}
    for name, corners in (("p0", LEFT), ("p1", RIGHT)):
        region = here[name].candidates[0].region
        assert region is not None
        assert overlap(region, corners) > 0.85


def test_packs_at_both_ends_of_a_long_photo_are_found_where_they_are(packs: Snapshot) -> None:
    corners = box(200, 150, 500)
    ends = [photograph((number, corners)).pixels for number in (0, 1)]
    between = np.full((2 * SIDE, SIDE, 3), 150, np.uint8)
    page = Photo(np.concatenate([ends[0], between, ends[1]]), SIDE, 4 * SIDE)
    here = found(several(page, packs), packs)
    assert here.keys() == {"p0", "p1"}
    for name, top in (("p0", 0), ("p1", 3 * SIDE)):
        region = here[name].candidates[0].region or []
        assert overlap([(x, y - top) for x, y in region], corners) > 0.85


def test_packs_that_hide_parts_of_each_other_are_found(packs: Snapshot) -> None:
    here = found(several(photograph((0, LEFT), (1, RIGHT), (2, LOW)), packs), packs)
    assert here.keys() == {"p0", "p1", "p2"}
    regions = {name: made.candidates[0].region for name, made in here.items()}
    assert all(overlap(regions[name] or [], corners) > 0.7 for name, corners in (("p0", LEFT), ("p1", RIGHT), ("p2", LOW)))


def test_what_the_catalog_lacks_is_passed_over(packs: Snapshot) -> None:
    assert found(several(photograph((7, LEFT), (3, RIGHT), (8, LOW)), packs), packs).keys() == {"p3"}
    stranger = several(photograph((7, LEFT)), packs)
    assert stranger.found == () and not stranger.settled
    assert found(stranger, packs) == {}
    assert stranger.decisions(packs, top_k=2, most=6)[0].status != "matched", "the photo as a whole is answered"


def test_a_product_counts_once_however_many_of_its_packs_are_there(packs: Snapshot) -> None:
    here = several(photograph((3, LEFT), (3, RIGHT)), packs)
    assert found(here, packs).keys() == {"p3"}
    assert here.settled


def test_no_more_are_found_than_asked_for(packs: Snapshot) -> None:
    shot = photograph((0, LEFT), (1, RIGHT), (2, LOW))
    assert len(several(shot, packs, most=2).found) == 2
    assert len(several(shot, packs, most=3).found) == 3


def test_one_that_a_photo_shows_alone_is_answered_as_ever(packs: Snapshot) -> None:
    shot = photograph((4, box(200, 150, 500)))
    one = several(shot, packs)
    assert one.found == (one.whole,)
    assert one.settled, "nothing else need be asked"


def test_a_barcode_names_a_product_beside_those_that_are_seen(packs: Snapshot) -> None:
    codes = (("4006381333931",), (), ("96385074",), (), ())
    coded = replace(packs, barcodes=list_barcodes(codes, 8).table)
    here = found(several(photograph((0, LEFT), (1, RIGHT)), coded, barcodes=(96385074, 4006381333931)), coded)
    assert here.keys() == {"p0", "p1", "p2"}
    both, named = here["p0"].candidates[0], here["p2"].candidates[0]
    assert (both.evidence.barcode, named.evidence.barcode) == ("4006381333931", "96385074")
    assert both.region is not None and named.region is None


def test_a_barcode_says_nothing_of_another_product_that_is_seen(packs: Snapshot) -> None:
    shot = photograph((4, box(200, 150, 500)))
    coded = replace(packs, barcodes=list_barcodes(((), (), ("96385074",), (), ()), 8).table)
    plain, here = found(several(shot, packs), packs), found(several(shot, coded, barcodes=(96385074,)), coded)
    assert here.keys() == {"p4", "p2"}
    assert "Barcode" not in here["p4"].reason
    assert here["p4"].confidence == pytest.approx(plain["p4"].confidence, abs=0.002)


def test_barcodes_end_the_work_when_they_name_as_many_as_are_wanted(packs: Snapshot) -> None:
    coded = replace(packs, barcodes=list_barcodes((("4006381333931",), (), ("96385074",), (), ()), 8).table)
    for wanted, enough in ((2, True), (3, False)):
        assert EarlyStop(coded, wanted).by_barcode(Extracted("drawn", barcodes=(96385074, 4006381333931))) == enough


def test_details_end_the_work_when_all_that_they_show_is_settled(packs: Snapshot) -> None:
    for shot, enough in ((photograph((0, LEFT), (1, RIGHT)), True), (photograph((7, LEFT)), False)):
        seen = Extracted("drawn", decoded=shot)
        assert EarlyStop(packs, 6).by_details(seen) == enough == seen.decided
        assert not EarlyStop(packs, 6).may_stop_reading


def test_products_that_only_words_show_are_found_where_their_words_are(tiny_shop: Shop) -> None:
    snapshot, _ = tiny_shop
    snapshot = replace(snapshot, model=snapshot.model.model_copy(update={"matched": 0.5, "sure": 0.99}))

    def lines(left: float, *texts: str) -> list[WordRead]:
        corners = [(left, 100.0), (left + 90, 100), (left + 90, 120), (left, 120)]
        boxes = [[(x, y + 40 * place) for x, y in corners] for place in range(len(texts))]
        return [WordRead(text=text, confidence=0.95, box=box) for text, box in zip(texts, boxes, strict=True)]

    words = lines(20, "GRAVELLE", "Eye Serum") + lines(280, "KERMOLO", "Beard Oil")
    query = Query.of(replace(photo("query", [], 99), words=tuple(words)), snapshot)

    def nothing(_: Frame) -> tuple[LocalFeatures, bytes]:
        return NO_LOCAL, query.thumbnail

    here = found(find_several(Asked.of(query, rank_by_all(query, snapshot), snapshot), snapshot, nothing, 4), snapshot)
    assert here.keys() == {"p6", "p10"}
    edges = {name: [x for x, _ in made.candidates[0].region or []] for name, made in here.items()}
    assert max(edges["p6"]) < 200 < min(edges["p10"])
