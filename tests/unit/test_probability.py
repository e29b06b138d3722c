"""One probability of all candidates and of none, whatever the weights and whichever stage answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packsight.shared.catalog.decision_model import probabilities
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.decision import decision, status_of
from packsight.shared.matching.stages import rank_by_all, rank_by_details
from tests.unit.siblings_catalog import asked, catalog, some_evidence, some_kinds, some_words, weighed


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return catalog(tmp_path_factory.mktemp("probability") / "v")


@settings(max_examples=60, deadline=None)
@given(words=some_words(), kinds=some_kinds(), look=st.integers(0, 9), counts=some_evidence(), matched=st.floats(0.5, 1))
def test_candidates_and_none_add_up_to_one_at_both_stages_and_no_match_is_never_sure_of_a_product(
    snapshot: Snapshot, words: list[str], kinds: set[int], look: int, counts: set[str], matched: float
) -> None:
    drawn = weighed(snapshot, counts)
    drawn = replace(drawn, model=drawn.model.model_copy(update={"matched": matched, "sure": matched}))
    query = asked(drawn, words, list(kinds), look)
    for ranking in (rank_by_details(query, drawn), rank_by_all(query, drawn)):
        assert ranking.probability.sum() + ranking.none == pytest.approx(1)
        assert (np.diff(ranking.probability) <= 0).all()
        answer = decision(query, ranking, drawn, top_k=6)
        assert sum(candidate.confidence for candidate in answer.candidates) + ranking.none == pytest.approx(1, abs=1e-5)
        if status_of(ranking, drawn) is Status.NO_MATCH:
            assert answer.confidence < 0.5
        if answer.status is Status.MATCHED:
            assert answer.confidence >= matched


def test_without_a_candidate_it_is_none_for_sure() -> None:
    share, none = probabilities(np.zeros((0, 3)), np.ones(3))
    assert (share.tolist(), none) == ([], 1.0)


def test_evidence_beyond_all_measure_is_no_error() -> None:
    share, none = probabilities(np.array([[1e4], [-1e4]]), np.ones(1))
    assert (share.tolist(), none) == ([1.0, 0.0], 0.0)
