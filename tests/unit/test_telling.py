"""Which lines of a photo are read to tell its likeliest products apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from packsight.indexer.build.prior import PRIOR
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.decision import status_of
from packsight.shared.matching.stages import rank_by_all, rank_by_details, rank_by_lines
from packsight.shared.matching.stopping import as_served, is_overruled
from packsight.shared.matching.telling import in_telling_places, telling_lines
from packsight.shared.parameters import MATCHING
from tests.unit.matching_catalog import build, product
from tests.unit.printed import printed

NAME, KIND, FOOT = 40, 160, 320
FACE = range(40)
"""Key points that both siblings have."""
NAMES = ["Peppermint", "Elderflower"]
SCALE, SHIFT = 0.6, 0.2


@pytest.fixture(scope="module")
def siblings(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    products = [product(number, "Arvelo", name) for number, name in enumerate([*NAMES, "Charcoal"])]
    lines = [{NAME: "Arvelo", KIND: name, FOOT: "Handmade with care"} for name in NAMES]
    photos = {f"p{n}": [printed(f"{n}", n, one, FACE)] for n, one in enumerate(lines)}
    photos["p2"] = [printed("2", 2, {NAME: "Arvelo", KIND: "Charcoal"}, range(60, 90))]
    snapshot = build(tmp_path_factory.mktemp("telling") / "v", products, photos)
    return replace(snapshot, model=PRIOR)


def told(
    snapshot: Snapshot, kinds: range = FACE, turned: bool = False, most: int = 4, shift: float = SHIFT
) -> npt.NDArray[np.float64]:
    """Lines that are to be read of a photo with these key points, smaller and off the middle."""
    query = printed("query", 5, {}, kinds, SCALE, shift)
    if turned:
        query = replace(query, local=replace(query.local, points=1 - query.local.points))
    asked = Query.of_details(query.local, query.thumbnail, snapshot)
    return telling_lines(rank_by_details(asked, snapshot), snapshot, most)


def place(top: int, shift: float = SHIFT) -> npt.NDArray[np.float64]:
    """Middle of the line at that height of a catalog photo, on the query."""
    return SCALE * np.array([200, top + 20]) / 400 + shift


def eager(snapshot: Snapshot, **rules: float) -> Snapshot:
    return replace(snapshot, parameters=replace(MATCHING, telling=replace(MATCHING.telling, **rules)))  # type: ignore[arg-type]


def test_the_line_in_which_siblings_differ_comes_first_and_is_read_once(siblings: Snapshot) -> None:
    lines = told(eager(siblings, together=0.0))
    middles = lines.mean(axis=1)
    assert middles[0] == pytest.approx(place(KIND), abs=0.01)
    assert sorted(middles[:, 1]) == pytest.approx([place(top)[1] for top in (NAME, KIND, FOOT)], abs=0.01)


def test_boxes_are_somewhat_larger_than_the_line(siblings: Snapshot) -> None:
    line = told(eager(siblings, together=0.0))[0]
    width, height = line[1, 0] - line[0, 0], line[3, 1] - line[0, 1]
    assert (width, height) == pytest.approx((1.1 * SCALE * 280 / 400, 1.1 * SCALE * 40 / 400), rel=0.05)


def test_boxes_start_at_the_texts_top_left_also_upside_down(siblings: Snapshot) -> None:
    line = told(eager(siblings, together=0.0), turned=True)[0]
    assert line[0, 0] > line[1, 0] and line[0, 1] > line[3, 1]
    assert line.mean(axis=0) == pytest.approx(1 - place(KIND), abs=0.01)


def test_no_more_lines_are_read_than_wanted(siblings: Snapshot) -> None:
    assert len(told(eager(siblings, together=0.0), most=1)) == 1


def test_of_a_product_without_siblings_its_name_is_read(siblings: Snapshot) -> None:
    middles = told(eager(siblings, together=0.0), range(60, 90)).mean(axis=1)
    assert sorted(middles[:, 1]) == pytest.approx([place(NAME)[1], place(KIND)[1]], abs=0.01)


def test_nothing_is_read_where_it_is_probably_none_of_them(siblings: Snapshot) -> None:
    assert len(told(siblings, range(100, 119))) == 0
    assert len(told(eager(siblings, together=1.01))) == 0


def test_lines_that_are_not_on_the_photo_are_not_read(siblings: Snapshot) -> None:
    middles = told(eager(siblings, together=0.0), shift=0.5).mean(axis=1)  # the pack's foot is beyond the photo's edge
    assert sorted(middles[:, 1]) == pytest.approx([place(top, 0.5)[1] for top in (NAME, KIND)], abs=0.01)


def test_a_version_without_words_has_no_lines(tmp_path: Path) -> None:
    products = [product(number, "Arvelo", name) for number, name in enumerate(NAMES)]
    blank: Mapping[int, str] = {}
    snapshot = build(tmp_path / "v", products, {f"p{n}": [printed(f"{n}", n, blank, FACE)] for n in range(2)})
    assert len(told(eager(snapshot, together=0.0))) == 0


def whole(snapshot: Snapshot, lines: Mapping[int, str]) -> Query:
    return Query.of(printed("query", 5, lines, FACE, SCALE, SHIFT), snapshot)


def thresholds(snapshot: Snapshot, **values: float) -> Snapshot:
    return replace(snapshot, model=snapshot.model.model_copy(update=values))


def test_lines_that_tell_decide_before_everything_else_that_is_known(siblings: Snapshot) -> None:
    ready = thresholds(eager(siblings, together=0.0), sure=1.0, told=0.4)
    query = whole(ready, {NAME: "Arvelo", KIND: "Elderflower", FOOT: "Handmade with care", 380: "Somewhere else"})
    some = in_telling_places(query, rank_by_details(query, ready), ready, 4)
    assert [line.text for line in some.lines] == ["Arvelo", "Elderflower", "Handmade with care"]
    assert not len(some.vectors) and not len(some.near)
    ranking, expected = as_served(query, ready), rank_by_lines(some, ready)
    assert ranking.order.tolist() == expected.order.tolist()
    assert ranking.probability.tolist() == expected.probability.tolist()
    assert ranking.compared.columns["appearance"].any(), "what else is known is told"
    assert as_served(query, thresholds(ready, told=1.0)).probability.tolist() == rank_by_all(query, ready).probability.tolist()


def test_what_lines_decide_is_matched_from_their_own_threshold(siblings: Snapshot) -> None:
    ready = thresholds(eager(siblings, together=0.0), sure=1.0, told=0.4, matched=1.0)
    query = whole(ready, {NAME: "Arvelo", KIND: "Elderflower"})
    ranking = as_served(query, ready)
    assert 0.4 <= ranking.probability[0] < 1.0 and status_of(ranking, ready) is Status.MATCHED
    assert status_of(rank_by_all(query, ready), ready) is not Status.MATCHED


def test_what_details_decide_holds_unless_print_contradicts_it(siblings: Snapshot) -> None:
    ready = thresholds(siblings, sure=0.0, told=1.0)
    by_details = rank_by_details(whole(ready, {}), ready)
    assert as_served(whole(ready, {}), ready).probability.tolist() == by_details.probability.tolist()
    first = NAMES[int(by_details.order[0])]
    same, other = (whole(ready, {NAME: "Arvelo", KIND: word}) for word in (first, "Bulwarks"))
    assert as_served(same, ready).probability.tolist() == by_details.probability.tolist()
    assert is_overruled(by_details, other, ready)
    assert as_served(other, ready).probability.tolist() == rank_by_all(other, ready).probability.tolist()


def test_lines_that_were_cut_out_decide_whatever_else_was_read(siblings: Snapshot) -> None:
    ready = thresholds(eager(siblings, together=0.0), sure=1.0, told=0.4)
    alone = whole(ready, {NAME: "Arvelo", KIND: "Elderflower"})
    more = whole(ready, {NAME: "Arvelo", KIND: "Charcoal", FOOT: "Handmade with care", 380: "Somewhere else"})
    both = replace(more, cut=alone.lines)
    assert as_served(both, ready).order[0] != as_served(more, ready).order[0]
    assert as_served(both, ready).probability.tolist() == as_served(alone, ready).probability.tolist()
    undecided = replace(both, cut=whole(ready, {NAME: "Arvelo"}).lines)
    assert as_served(undecided, ready).probability.tolist() == as_served(more, ready).probability.tolist()
