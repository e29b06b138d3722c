"""Which products key points vote for, on catalogs whose points are drawn by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.close import vote_evidence
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.matching.votes import Votes, vote
from packsight.shared.matching.worthiest import worthiest
from packsight.shared.parameters import MATCHING
from packsight.shared.vision.features import NO_LOCAL, LocalFeatures
from packsight.worker.pipeline.local_features import catalog_features, query_features
from tests.packs import pack, shoot
from tests.unit.matching_catalog import KINDS_APART, build, photo, points, product

APART = 2 * KINDS_APART / 512**2
"""Squared distance of points of two kinds."""
NEIGHBOURS = MATCHING.votes.neighbours


def catalog(folder: Path, photos: Sequence[Sequence[LocalFeatures]]) -> Snapshot:
    """A catalog of products with these points on their photos."""
    products = [product(number, f"Brand{number}", f"Thing{number}") for number in range(len(photos))]
    shots = {
        f"p{owner}": [photo(f"{owner}-{shot}", [], owner, local=local) for shot, local in enumerate(group)]
        for owner, group in enumerate(photos)
    }
    return build(folder, products, shots)


def scores(votes: Votes) -> dict[int, float]:
    return dict(zip(votes.products.tolist(), votes.score.tolist(), strict=True))


def test_a_point_that_only_one_product_has_votes_for_it_by_its_lead_on_the_farthest_neighbour(tmp_path: Path) -> None:
    snapshot = catalog(tmp_path / "v", [[points(0, 1)], [points(2, 3)], [NO_LOCAL]])
    votes = vote(points(0), snapshot)
    assert scores(votes) == {0: pytest.approx(APART)}
    assert votes.of(np.arange(3)).tolist() == [pytest.approx(APART), 0, 0]
    assert (votes.photos.tolist(), votes.photo.tolist(), votes.near.tolist()) == ([0], [0], [0])


def test_what_as_many_products_share_as_neighbours_are_looked_at_adds_nothing(tmp_path: Path) -> None:
    shared = [[points(0, 1 + number)] for number in range(NEIGHBOURS)]
    assert vote(points(0), catalog(tmp_path / "all", shared)).products.tolist() == []
    fewer = catalog(tmp_path / "fewer", [*shared[1:], [points(12, 13)]])
    assert set(scores(vote(points(0), fewer))) == set(range(NEIGHBOURS - 1))


def test_what_two_products_share_sets_neither_apart(tmp_path: Path) -> None:
    snapshot = catalog(tmp_path / "v", [[points(0, 1)], [points(0, 2)], [points(5, 6)]])
    both = scores(vote(points(0), snapshot))
    assert both[0] == both[1] and both.keys() == {0, 1}
    assert scores(vote(points(0, 2), snapshot))[1] > scores(vote(points(0, 2), snapshot))[0]


def test_a_point_votes_once_for_a_product_and_once_for_a_photo_of_it(tmp_path: Path) -> None:
    snapshot = catalog(tmp_path / "v", [[points(0, 0, 1), points(0, 2)], [points(5, 6)]])
    votes = vote(points(0), snapshot)
    assert scores(votes) == {0: pytest.approx(APART)}
    assert votes.of_photos(np.arange(3)).tolist() == [pytest.approx(APART), pytest.approx(APART), 0]


def test_who_leads_is_told_by_first_photos_alone_and_by_the_next_where_that_is_left_out(tmp_path: Path) -> None:
    held_alike = points(0, 7, 8, 9)  # of a sibling, which says nothing against the product without such a photo
    snapshot = catalog(tmp_path / "v", [[points(0, 1), held_alike], [points(0, 2)], [NO_LOCAL]])
    asked, products = points(0, 2, 7, 8, 9), np.arange(3)

    evidence = vote_evidence(vote(asked, snapshot), products, snapshot)
    assert evidence["votes"].argmax() == 0 and evidence["vote_lead"].argmax() == 1
    assert evidence["vote_lead"][0] < 0 < evidence["vote_lead"][1]

    without = Exclusion.of_photo(snapshot, 0)
    evidence = vote_evidence(vote(asked, snapshot, without), products, snapshot, without)
    assert evidence["vote_lead"].argmax() == 0


def test_a_point_in_the_middle_of_the_photo_weighs_more(tmp_path: Path) -> None:
    snapshot = catalog(tmp_path / "v", [[points(0, 1)], [points(2, 3)]])
    middle, edge = (scores(vote(points(0, at=at), snapshot))[0] for at in ((0.5, 0.5), (0.8, 0.5)))
    assert edge / middle == pytest.approx(np.exp(-(0.3**2) / (2 * MATCHING.votes.prominence**2)), rel=1e-3)


def test_votes_without_a_product_are_those_of_the_catalog_that_lacks_it(tmp_path: Path) -> None:
    mine, others = [points(0, 0, 1), points(0, 3)], [[points(0, 2)], [points(1, 4)], [points(5, 6)]]
    snapshot, without = catalog(tmp_path / "v", [*others, mine]), catalog(tmp_path / "w", others)
    asked = points(0, 1, 2, 4)
    assert 3 in scores(vote(asked, snapshot))
    assert scores(vote(asked, snapshot, Exclusion.of_product(snapshot, 3))) == pytest.approx(scores(vote(asked, without)))


def test_a_photo_that_is_left_out_gets_no_vote_and_its_product_those_of_its_others(tmp_path: Path) -> None:
    snapshot = catalog(tmp_path / "v", [[points(0, 1), points(2, 3)], [points(0, 4)], [points(5, 6)]])
    asked = points(0, 1, 2)
    votes = vote(asked, snapshot, Exclusion.of_photo(snapshot, 0))
    assert votes.photos.tolist() == [1, 2]
    assert set(votes.photo.tolist()) == {1, 2}
    assert votes.of(np.array([0])) == pytest.approx(APART), "by the point that its other photo has"


def test_a_product_left_out_gets_no_vote_though_it_has_all_the_neighbours(tmp_path: Path) -> None:
    many = [points(*([0] * (NEIGHBOURS + MATCHING.votes.spare + 5)))]
    snapshot = catalog(tmp_path / "v", [[points(0, 1)], many, [points(5, 6)]])
    assert 1 not in scores(vote(points(0), snapshot, Exclusion.of_product(snapshot, 1)))


def test_a_query_votes_as_its_points_do_whatever_is_left_out_and_is_searched_for_that_once(tmp_path: Path) -> None:
    snapshot = catalog(tmp_path / "v", [[points(0, 1), points(2, 3)], [points(0, 4)], [points(5, 6)]])
    query = Query.of_details(points(0, 1, 2), b"", snapshot)
    without = Exclusion.of_photo(snapshot, 0), Exclusion.of_product(snapshot, 0), Exclusion.of_product(snapshot, 1)
    found = [scores(query.votes(snapshot, one)) for one in without]
    assert found == [scores(vote(query.local, snapshot, one)) for one in without]
    assert len({tuple(one.items()) for one in found}) == len(without)
    assert len(query.spare) == 1, "one search, with points to spare"
    assert scores(query.votes(snapshot)) == scores(vote(query.local, snapshot))


def test_in_a_large_catalog_those_points_vote_that_are_worth_most(tmp_path: Path) -> None:
    asked = query_features(shoot(pack(1), 1))
    drawn = [[catalog_features(shoot(pack(number), 2 + number))] for number in (1, 2)]
    snapshot = catalog(tmp_path / "v", drawn)
    size, few = snapshot.details.index.ntotal, replace(MATCHING.votes, voters=60)
    every, below, some = (
        vote(asked, replace(snapshot, parameters=replace(MATCHING, votes=rules)))
        for rules in (MATCHING.votes, replace(few, large=size), replace(few, large=size - 1))
    )
    assert below.score.tolist() == every.score.tolist()
    best = np.sort(worthiest(asked.points, asked.descriptors, MATCHING.spread)[:60])
    theirs = np.isin(every.point, best)
    assert 0 < theirs.sum() < len(theirs)
    for kind in ("point", "near", "photo", "gain"):
        assert np.array_equal(getattr(some, kind), getattr(every, kind)[theirs]), kind
    assert some.products[0] == every.products[0] == 0


def test_votes_are_the_same_at_each_call_and_equal_ones_stand_by_number(tmp_path: Path) -> None:
    snapshot = catalog(tmp_path / "v", [[points(7, 8)], [points(0, 1)], [points(0, 2)]])
    one, other = vote(points(0, 1, 7), snapshot), vote(points(0, 1, 7), snapshot)
    assert one.products.tolist() == other.products.tolist() and one.score.tolist() == other.score.tolist()
    assert vote(points(0), snapshot).products.tolist() == [1, 2]


@pytest.mark.parametrize("lone", [[], [[NO_LOCAL]], [[points(0)]]], ids=["no photo", "no points", "one point"])
def test_where_there_is_nothing_to_compare_with_nothing_gets_votes(tmp_path: Path, lone: list[list[LocalFeatures]]) -> None:
    snapshot = catalog(tmp_path / "v", lone or [[]])
    votes = vote(points(0, 1), snapshot)
    assert votes.products.tolist() == votes.photos.tolist() == votes.point.tolist() == []
    assert votes.of(np.arange(1)).tolist() == votes.of_photos(np.arange(1)).tolist() == [0]
    assert votes.floor(MATCHING.votes) == 0


def test_a_photo_without_key_points_votes_for_nothing(tmp_path: Path) -> None:
    snapshot = catalog(tmp_path / "v", [[points(0, 1)], [points(2, 3)]])
    assert vote(NO_LOCAL, snapshot).products.tolist() == []


def test_the_floor_is_what_the_product_at_its_rank_got(tmp_path: Path) -> None:
    snapshot = catalog(tmp_path / "v", [[points(number, 5 + number)] for number in range(5)])
    votes = vote(points(0, 0, 0, 1, 1, 2), snapshot)
    third = replace(MATCHING.votes, floor=3)
    assert votes.floor(third) == pytest.approx(float(np.sort(votes.score)[-3]))
    assert votes.floor(replace(third, floor=len(votes.products) + 1)) == 0


def test_photos_of_drawn_packs_vote_for_their_products(tmp_path: Path) -> None:
    packs = [[catalog_features(shoot(pack(line), 100 + line))] for line in range(8)]
    snapshot = catalog(tmp_path / "v", packs)
    for line in range(8):
        votes = vote(query_features(shoot(pack(line), line)), snapshot)
        assert votes.products[0] == line
        assert votes.score[0] > 3 * votes.score[1]
