"""A further word or key point that agrees with one candidate alone never lowers that candidate, whatever counts."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from packsight.shared.catalog.evidence import LAID, VOTES
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.ranking import Ranking
from packsight.shared.matching.stages import rank_by_all, rank_by_details, rank_by_lines
from tests.unit.siblings_catalog import KINDS, OWN, asked, catalog, some_evidence, some_kinds, some_words, weighed

LOOKS, NUMBERS = st.integers(0, 9), st.integers(0, 5)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return catalog(tmp_path_factory.mktemp("monotony") / "v")


def probability(ranking: Ranking, product: int) -> float:
    return float(ranking.probability[ranking.order == product].sum())


def rivals(ranking: Ranking) -> set[int]:
    """The products that are held against each other."""
    return {int(ranking.compared.products[row]) for row in ranking.laid}


@settings(max_examples=150, deadline=None)
@given(words=some_words(), kinds=some_kinds(), look=LOOKS, number=NUMBERS, further=st.integers(0, 1), counts=some_evidence())
def test_a_further_word_that_only_one_candidate_has_never_lowers_it(
    snapshot: Snapshot, words: list[str], kinds: set[int], look: int, number: int, further: int, counts: set[str]
) -> None:
    word = OWN[number][further]
    assume(word not in words)
    # With a word, products that were not laid over the photo are held against those that were, which can outweigh it alone.
    assume(not {"unread", "inlier_lead"} <= counts)
    drawn = weighed(snapshot, counts)
    less, more = (asked(drawn, read, list(kinds), look) for read in (words, [*words, word]))
    for ask in (rank_by_lines, rank_by_all):
        before, after = ask(less, drawn), ask(more, drawn)
        # A word can bring another product among the few that are held against each other, and then all are held against others.
        if rivals(before) == rivals(after):
            assert probability(after, number) >= probability(before, number) - 1e-9


@pytest.mark.parametrize("name", (*VOTES, *LAID))
@settings(max_examples=50, deadline=None)
@given(words=some_words(), kinds=some_kinds(), look=LOOKS, number=NUMBERS, further=st.integers(0, 13))
def test_a_further_key_point_that_only_one_candidate_has_never_lowers_it(
    snapshot: Snapshot, name: str, words: list[str], kinds: set[int], look: int, number: int, further: int
) -> None:
    kind = KINDS[number][further]
    assume(kind not in kinds)
    drawn = weighed(snapshot, {name})
    less, more = (asked(drawn, words, [*seen], look) for seen in (kinds, kinds | {kind}))
    for ask in (rank_by_details, rank_by_lines, rank_by_all):
        assert probability(ask(more, drawn), number) >= probability(ask(less, drawn), number) - 1e-9
