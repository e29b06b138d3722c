"""Whether enough was read is answered as by ranking everything, whatever shortcut is taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from bench.invented import LISTED, SIBLINGS, Invented
from packsight.indexer.build.parameters import FIT
from packsight.indexer.build.version import build_version
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.word_notes import NAMED
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching import shared_words, stages
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.evidence import BoolArray, Compared
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.matching.shared_words import WordGains
from packsight.shared.matching.stages import rank_by_all
from packsight.shared.matching.stopping import is_enough_read, is_name_read, is_read_enough
from packsight.shared.parameters import MATCHING

SHOP = Invented(6 * LISTED)
QUICK = replace(FIT, examples=replace(FIT.examples, max_photos=4, folds=1))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    folder: Path = tmp_path_factory.mktemp("enough") / "v"
    build_version(
        folder, catalog="test", parent=None, products=SHOP.products, photos=SHOP.rows, features=SHOP, recipe=recipe("e", "s"),
        parameters=QUICK,
    )  # fmt: skip
    return Snapshot.open(folder)


def asked(snapshot: Snapshot) -> Iterator[Query]:
    """Photos of listed products and of siblings that are not, with a few lines, more, and all."""
    photos = [SHOP.asked(number) for number in range(0, SHOP.count, 6)] + [SHOP.stranger(family) for family in range(3)]
    for photo in photos:
        query = Query.of(photo, snapshot)
        for lines in (0, 1, 3, 5, len(photo.words)):
            yield query.with_words(photo.words[:lines], query.frame, snapshot)


@pytest.mark.parametrize("enough", [0.05, 0.3, 0.7, 0.98])
def test_enough_was_read_where_a_ranking_of_everything_says_so(snapshot: Snapshot, enough: float) -> None:
    eager = replace(snapshot, model=snapshot.model.model_copy(update={"enough": enough}))
    fresh = [replace(query, geometry={}, laid={}) for query in asked(eager)]
    told = [is_enough_read(query, eager) for query in fresh]
    assert told == [is_read_enough(rank_by_all(query, eager), eager) for query in asked(eager)]
    assert any(told) and not all(told)


@pytest.fixture(scope="module")
def crowded(snapshot: Snapshot) -> Snapshot:
    """The same catalog, most of whose postings are too many to be read, as those of a large one."""
    few = replace(MATCHING.candidates, max_postings=120, proposed=30, by_words=8)
    model = snapshot.model.model_copy(update={"enough": 0.3})
    return replace(snapshot, model=model, parameters=replace(MATCHING, candidates=few))


def as_read(number: int) -> Iterator[list[WordRead]]:
    """Lines of a photo after each that is read, some of which are then read in another way; read in any order, told in theirs."""
    chance, words = np.random.default_rng(number), list(SHOP.asked(number).words)
    order = chance.permutation(len(words)).tolist()
    for known in range(len(words) + 1):
        if known and chance.random() < 0.3:
            again, other = chance.choice(order[:known]), int(chance.integers(len(words)))
            text = words[other].text if chance.random() < 0.5 else words[again].text
            words[again] = WordRead(text=text, confidence=round(float(chance.uniform(0.5, 1)), 3), box=words[again].box)
        yield [words[at] for at in sorted(order[:known])]


def test_what_is_kept_of_a_photo_from_question_to_question_changes_no_answer(crowded: Snapshot) -> None:
    told, kept = [], 0
    for number in range(0, SHOP.count, 2):
        looked_at = Query.of(replace(SHOP.asked(number), words=()), crowded)
        for lines in as_read(number):
            asked = looked_at.with_words(lines, looked_at.frame, crowded)
            kept += len(asked.gains.proposing)
            fresh = replace(asked, geometry={}, laid={}, gains=WordGains())
            told.append(is_enough_read(asked, crowded))
            assert told[-1] == is_enough_read(fresh, crowded) == is_read_enough(rank_by_all(fresh, crowded), crowded)
            one, other = (rank_by_all(query, crowded) for query in (asked, replace(fresh, gains=WordGains())))
            assert one.compared.products.tolist() == other.compared.products.tolist()
            assert one.probability.tolist() == other.probability.tolist()
            assert one.evidence.tobytes() == other.evidence.tobytes()
    assert kept > 1000
    assert any(told) and not all(told)


def test_words_that_were_read_before_are_not_sought_again(crowded: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    sought = Mock(wraps=shared_words._having)
    monkeypatch.setattr(shared_words, "_having", sought)
    photo = SHOP.asked(30)
    query = Query.of(replace(photo, words=()), crowded)

    def searches(lines: int, kept: WordGains) -> int:
        sought.reset_mock()
        read = replace(query.with_words(photo.words[:lines], query.frame, crowded), gains=kept)
        is_enough_read(read, crowded)
        return sought.call_count

    assert searches(6, query.gains) > 0
    assert searches(6, query.gains) == 0
    assert 0 < searches(7, query.gains) < searches(7, WordGains()) / 2


def of_product(product: int, compared: Compared) -> BoolArray:
    return np.asarray(compared.products == product)


def test_no_candidate_comes_to_more_than_what_was_held_possible(snapshot: Snapshot) -> None:
    for query in list(asked(snapshot))[::4]:
        ranking = rank_by_all(query, snapshot)
        for place, product in enumerate(ranking.order[:8].tolist()):
            likely = float(ranking.probability[place])
            found = stages.rank_by_all_if(query, snapshot, partial(of_product, product), likely)
            assert found is not None, (product, likely)


def test_most_photos_in_doubt_are_answered_without_a_closer_look(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = Mock(wraps=stages._finished)
    monkeypatch.setattr(stages, "_finished", finished)
    told = [is_enough_read(query, snapshot) for query in asked(snapshot)]
    assert sum(told) <= finished.call_count < len(told) / 2


def test_weights_against_the_signs_of_their_evidence_take_no_shortcut(snapshot: Snapshot) -> None:
    odd = snapshot.model.full.weights | {"off_centre": 30.0}
    model = snapshot.model.model_copy(update={"full": snapshot.model.full.model_copy(update={"weights": odd}), "enough": 0.2})
    strange = replace(snapshot, model=model)
    fresh = [is_enough_read(replace(query, geometry={}, laid={}), strange) for query in asked(strange)]
    assert fresh == [is_read_enough(rank_by_all(query, strange), strange) for query in asked(strange)]


def test_names_are_read_whose_visible_words_all_were(snapshot: Snapshot) -> None:
    words, seen = snapshot.words, snapshot.parameters.decision.seen
    visible = []
    for product in range(len(snapshot.products)):
        row = slice(int(words.products.starts[product]), int(words.products.starts[product + 1]))
        photos = words.photo_count[product] + words.parameters.prior_photos
        sure = (words.photo_frequency[row] + words.parameters.name_weight) / photos >= seen
        visible.append(set(words.products.values[row][((words.flags[row] & NAMED) > 0) & sure].tolist()))
    assert snapshot.names.unseen.tolist() == [not terms for terms in visible]
    assert 0 < snapshot.names.unseen.sum() < SIBLINGS
    for query in asked(snapshot):
        terms = query.words.term
        expected = [number for number, some in enumerate(visible) if some and some <= set(terms.tolist())]
        assert snapshot.names.read(terms).tolist() == expected
    assert snapshot.names.read(np.zeros(0, np.int64)).tolist() == []


def test_a_name_of_which_nothing_is_to_be_seen_misses_nothing(snapshot: Snapshot) -> None:
    first = int(np.flatnonzero(snapshot.names.unseen)[0])
    ranking = rank_by_all(Query.of(SHOP.asked(first), snapshot), snapshot)
    assert ranking.order[0] == first and is_name_read(ranking, snapshot)
