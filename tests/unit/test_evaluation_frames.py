"""Evaluations as DataFrames: the same from a run and from its JSON."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from packsight.producer.evaluation.document import FITTED, Results, document
from packsight.producer.evaluation.frames import Evaluation, frames, read_evaluation
from packsight.producer.evaluation.metrics import Answer
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Status


def answer(image: str, product: str, *candidates: str, kinds: tuple[str, ...] = ()) -> Answer:
    return Answer(image, product, product, kinds, Status.MATCHED, candidates, 0.8 if candidates else 0.0)


FOUND = [
    answer("a.jpg", "1", "1", "2", kinds=("table",)),
    answer("b.jpg", "2", "1", kinds=("table", "dark")),
    answer("c.jpg", ""),
]
RESULTS = Results(
    found=FOUND,
    variants={"words": FOUND[:1], FITTED: FOUND},
    dropped={FITTED: [answer("a.jpg", "", "2")]},
    own={FITTED: [answer("1/1.jpg", "1", "1")]},
)


def measure(made: Evaluation, part: str, by: str, name: str | None, measure: str) -> tuple[object, ...]:
    table = made.measures
    here = table[(table.part == part) & (table.by == by) & (table.measure == measure)]
    (row,) = here[here["name"].isna() if name is None else here["name"] == name].itertuples()
    return row.value, row.k, row.n


def test_each_share_has_a_row_with_its_counts_and_interval() -> None:
    made = frames(RESULTS)
    assert measure(made, "asked", "all", None, "top1") == (0.5, 1, 2)
    assert measure(made, "asked", "kind", "dark", "top1") == (0.0, 0, 1)
    assert measure(made, "asked", "variant", "words", "top1") == (1.0, 1, 1)
    assert measure(made, "drop_nearest", "all", None, "rejected") == (0.0, 0, 1)
    assert measure(made, "leave_one_out", "variant", "fitted", "automation") == (1.0, 1, 1)
    assert measure(made, "asked", "all", None, "best_automation") == (0.0, 0, 2)  # a wrong one is as sure as the right one
    top1 = made.measures[made.measures.measure == "top1"].iloc[0]
    assert [top1.low, top1.high] == document(RESULTS)["intervals"]["top1"]


def test_each_photo_asked_about_has_a_row() -> None:
    made = frames(RESULTS)
    assert made.rows.groupby("part", observed=True).size().to_dict() == {"asked": 3, "drop_nearest": 1, "leave_one_out": 1}
    assert made.rows[~made.rows.correct].image.tolist() == ["b.jpg", "c.jpg", "a.jpg"]
    assert made.rows.top5.tolist()[0] == ["1", "2"]
    assert made.rows.loc[made.rows.image == "c.jpg", "predicted"].isna().all()


def test_a_failed_photo_of_an_absent_product_is_neither_right_nor_wrong() -> None:
    made = frames(Results([Answer("a.jpg", "", "", (), Status.FAILED, (), 0.0), answer("b.jpg", "1", "2")]))
    assert made.rows.correct.isna().tolist() == [True, False]
    assert made.rows[~made.rows.correct].image.tolist() == ["b.jpg"]


def test_the_version_that_answered_stands_in_a_row_and_an_earlier_json_has_none(tmp_path: Path) -> None:
    made = document(Results([replace(FOUND[0], version="v1")]))
    (tmp_path / "new.json").write_text(json.dumps(made))
    assert read_evaluation(tmp_path / "new.json").rows.version.tolist() == ["v1"]
    del made["measured"], made["rows"][0]["version"]
    (tmp_path / "old.json").write_text(json.dumps(made))
    assert read_evaluation(tmp_path / "old.json").rows.version.isna().all()


def test_bins_of_confidence_stand_with_how_often_they_are_right() -> None:
    bins = frames(RESULTS).reliability
    assert bins.part.tolist() == ["asked", "leave_one_out"]
    assert bins.iloc[0][["low", "high", "count", "accuracy"]].tolist() == [0.8, 0.9, 2, 0.5]


@pytest.mark.parametrize("results", [RESULTS, Results(found=FOUND[:1])])
def test_the_json_of_a_run_reads_back_as_the_run(tmp_path: Path, results: Results) -> None:
    (tmp_path / "measures.json").write_text(json.dumps(document(results)))
    read, made = read_evaluation(tmp_path / "measures.json"), frames(results)
    for field in fields(Evaluation):
        assert_frame_equal(getattr(read, field.name), getattr(made, field.name))
    assert read.measures.dtypes.to_dict() == frames(RESULTS).measures.dtypes.to_dict()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rows": 1}', "no JSON"])
def test_a_file_that_is_no_evaluation_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(UserError, match="no evaluation"):
        read_evaluation(tmp_path / "other.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_evaluation(tmp_path / "missing.json")
