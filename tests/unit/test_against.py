"""Two evaluations compared photo by photo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from packsight.producer.evaluation.against import compare, read, sign_test
from packsight.producer.evaluation.document import Results, document
from packsight.producer.evaluation.metrics import Answer
from packsight.producer.evaluation.names import met
from packsight.producer.evaluation.wording import both
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.shares import Share
from packsight.shared.tables.labels import Label

M, A, N, F = Status.MATCHED, Status.AMBIGUOUS, Status.NO_MATCH, Status.FAILED


def answer(image: str, product: str, status: Status, first: str = "1") -> Answer:
    return Answer(image, product, product, (), status, (first,) if first else (), 0.9)


@pytest.mark.parametrize(
    ("won", "lost", "chance"), [(0, 0, 1.0), (5, 0, 2 / 32), (0, 1, 1.0), (8, 2, 2 * (1 + 10 + 45) / 1024), (3, 3, 1.0)]
)
def test_the_sign_test_is_exact_and_two_sided(won: int, lost: int, chance: float) -> None:
    assert sign_test(won, lost) == sign_test(lost, won) == pytest.approx(chance)
    assert 0 < sign_test(3000, 2800) < 0.05


def test_photos_are_won_and_lost_by_being_matched_and_right() -> None:
    then = [answer("a", "1", A), answer("b", "1", M), answer("c", "1", M), answer("d", "1", M, "2"), answer("e", "", M)]
    now = [answer("a", "1", M), answer("b", "1", M, "2"), answer("c", "1", M), answer("d", "1", A), answer("e", "", N)]
    found = compare("then.json", then, now)
    assert [one.now.image for one in found.settled.won] == ["a", "e"]
    assert [one.now.image for one in found.settled.lost] == ["b"]
    assert (found.settled.then, found.settled.now) == (Share(2, 5), Share(3, 5))
    assert found.settled.chance == 1.0
    assert [one.now.image for one in found.first.won] == ["d"]
    assert [one.now.image for one in found.first.lost] == ["b"]
    assert (found.first.then, found.first.now) == (Share(3, 4), Share(3, 4))


def test_a_failed_photo_of_an_absent_product_is_no_good_answer() -> None:
    assert compare("x", [answer("a", "", N)], [answer("a", "", F, "")]).settled.lost


def test_photos_that_only_one_has_or_that_are_labelled_anew_are_named_and_not_compared() -> None:
    then = [answer("a", "1", M), answer("b", "1", M), answer("c", "1", M), answer("c", "1", M)]
    now = [answer("b", "2", M), answer("c", "1", A), answer("d", "1", M)]
    found = compare("x", then, now)
    assert (found.only_then, found.only_now) == (("a", "b", "c"), ("b", "d"))
    assert found.photos == 1
    assert [one.now.image for one in found.settled.lost] == ["c"]


def test_an_evaluation_is_read_back_from_its_json(tmp_path: Path) -> None:
    found = [answer("a", "1", M), answer("b", "1", A, "2"), answer("c", "", F, "")]
    (tmp_path / "m.json").write_text(json.dumps(document(Results(found))))
    then = read(tmp_path / "m.json")
    assert [(one.settled, one.first_right, one.predicted) for one in then] == [
        (True, True, "1"), (False, False, "2"), (False, False, ""),
    ]  # fmt: skip
    made = document(Results(found, against=compare("m.json", then, found)))["against"]
    assert (made["photos"], made["settled"]["won"], made["settled"]["chance"]) == (3, [], 1.0)


def renamed(then: list[str], now: list[str], product: str = "1") -> list[str]:
    labels = [Label(name, product, product, ()) for name in now]
    return [one.image for one in met("m.json", [answer(name, "1", M) for name in then], labels)]


@pytest.mark.parametrize(
    ("then", "now", "called"),
    [
        (["x.jpg", "q/y.jpg"], ["x.jpg", "y.jpg"], ["x.jpg", "q/y.jpg"]),  # a name that both have says that none is moved
        (["q/x.jpg", "q/y.jpg"], ["x.jpg", "z.jpg"], ["x.jpg", "q/y.jpg"]),
        (["x.jpg", "x.jpg"], ["./q/x.jpg"], ["./q/x.jpg"] * 2),
        (["q\\a\\x.jpg", "q\\b\\x.jpg"], ["r/b/x.jpg", "r/a/x.jpg"], ["r/a/x.jpg", "r/b/x.jpg"]),
        (["https://one/x.jpg"], ["https://two/x.jpg"], ["https://two/x.jpg"]),
    ],
)
def test_photos_from_another_folder_are_paired_by_the_ends_of_their_paths(
    then: list[str], now: list[str], called: list[str]
) -> None:
    assert renamed(then, now) == called


@pytest.mark.parametrize(("then", "now"), [(["q/x.jpg"], ["y.jpg"]), (["a/x.jpg", "b/x.jpg"], ["x.jpg"]), ([], ["x.jpg"])])
def test_evaluations_without_a_photo_in_common_are_refused(then: list[str], now: list[str]) -> None:
    with pytest.raises(UserError, match=r"No photo of m\.json is among the labels"):
        renamed(then, now)


def test_evaluations_without_a_label_in_common_are_refused() -> None:
    with pytest.raises(UserError, match=r"No photo has the same product in m\.json.*: x\.jpg shows 1 there, 2 here"):
        renamed(["x.jpg"], ["x.jpg"], "2")


def test_nothing_is_said_of_chance_where_nothing_is_compared() -> None:
    assert both(compare("x", [answer("a", "1", M)], [answer("b", "1", M)])).startswith("no photo that both have")
    assert both(compare("x", [answer("a", "1", M)], [answer("a", "1", M)])).startswith("1 photo that both have. Settled")


@pytest.mark.parametrize("content", ["", "{}", '{"rows": [{"image": "a"}]}'])
def test_a_file_that_is_no_evaluation_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(UserError, match="no evaluation"):
        read(tmp_path / "m.json")
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "other.json")
