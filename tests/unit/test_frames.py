"""Results as DataFrames: the same columns, types and values from a job's rows and from every kind of file."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import packsight
from packsight.producer.columns import COLUMNS
from packsight.producer.evaluation.document import Results, document
from packsight.producer.evaluation.metrics import Answer
from packsight.producer.export import Exports, open_export
from packsight.producer.frames import frame, read_results
from packsight.producer.rows import Row
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.outcomes import (
    Candidate,
    Evidence,
    Failure,
    Outcome,
    Product,
    Provenance,
    Status,
    WordRead,
)
from tests.pages import block

KINDS = ("jsonl", "csv", "parquet")
BOX = [(0.0, 0.0), (9.0, 0.0), (9.0, 4.0), (0.0, 4.0)]


def matched(index: int, text: str = "Крем") -> Row:
    first, second = (
        Candidate(product=Product(id=number, name=text, vendor=text), confidence=share, evidence=Evidence())
        for number, share in (("010", 0.1 + 0.2), ("NA", 1 / 3))
    )
    outcome = Outcome(
        image=f"s3://bucket/{index}",
        status=Status.MATCHED,
        product=first.product,
        confidence=0.1 + 0.2,
        candidates=[first, second],
        words=[WordRead(text=text, confidence=0.9, box=BOX), WordRead(text="50 мл", confidence=0.8, box=BOX)],
        provenance=Provenance(catalog="default", catalog_version="v1", embedder="e", spotter="s"),
        timings={"fetch": 0.01, "embed": 0.2},
        reason=text,
        sha256="ab" * 32,
    )
    return Row("job-1", index, text, outcome)


def failed(index: int, code: ErrorCode = ErrorCode.FETCH_TIMEOUT) -> Row:
    return Row("job-1", index, "NA", Outcome.failed(f"s3://bucket/{index}", Failure.of_code(code, "too slow")))


def write(path: Path, *rows: Row) -> Path:
    with Exports() as exports:
        exports.take(open_export(path))
        for row in rows:
            exports.add(row)
        exports.finish()
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_producers_own_columns_come_last_as_text_and_give_way_to_ours(tmp_path: Path, kind: str) -> None:
    first = {"sku": "007", "=shop": "-1", "own_name": "as before", "name": "mine"}
    extras: list[dict[str, str]] = [first, {}, {"sku": "", "more": "x"}]
    rows = [replace(row, extra=extra) for row, extra in zip([matched(0), failed(1), matched(2)], extras, strict=True)]
    read = read_results(write(tmp_path / f"results.{kind}", *reversed(rows)))
    own = ["sku", "=shop", "own_own_name", "own_name", "more"]
    assert list(read.columns) == [*COLUMNS, *own]
    assert read[own].fillna("-").to_numpy().tolist() == [
        ["007", "-1", "as before", "mine", "-"], ["-"] * 5, ["-", "-", "-", "-", "x"]
    ]  # fmt: skip
    assert str(read["sku"].dtype) == "string"
    assert read["name"].tolist() == ["Крем", "NA", "Крем"]
    if kind == "csv":
        assert "'=shop" in (tmp_path / "results.csv").read_text().splitlines()[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_frame_of_its_rows_whatever_its_kind(tmp_path: Path, kind: str) -> None:
    rows = [matched(2), failed(0), matched(1, "=1+1")]
    assert_frame_equal(read_results(write(tmp_path / f"results.{kind}", *rows)), frame(rows))


@settings(max_examples=10)
@example(["a\rb", "''=1"])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8), min_size=1, max_size=9))
def test_any_text_survives_a_table(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder, rows = tmp_path_factory.mktemp("tables"), [matched(number, text) for number, text in enumerate(texts)]
    for kind in KINDS:
        assert_frame_equal(read_results(write(folder / f"results.{kind}", *rows)), frame(rows))


def test_a_photo_has_one_row_with_typed_columns() -> None:
    made = frame([failed(1), matched(0)])
    assert list(made.columns) == list(COLUMNS)
    first, second = made.iloc[0], made.iloc[1]
    assert (first["name"], first["status"], first["product_id"], first["confidence"]) == ("Крем", "matched", "010", 0.1 + 0.2)
    assert first["words"] == "Крем | 50 мл"
    assert (first["seconds_fetch"], first["seconds_embed"]) == (0.01, 0.2)
    assert pd.isna(first["seconds_spot"])
    assert pd.isna(first["retryable"])
    assert (second["name"], second["failure_code"], second["retryable"]) == ("NA", "fetch_timeout", True)
    assert pd.isna(second["product_id"])
    assert made.status.cat.categories.tolist() == [status.value for status in Status]
    assert set(made.failure_code.cat.categories) == set(ErrorCode)
    assert {str(made[name].dtype) for name in made.columns if name.startswith("seconds_")} == {"Float64"}
    assert (str(made["index"].dtype), str(made["retryable"].dtype), str(made["name"].dtype)) == ("Int64", "boolean", "string")


def test_a_job_without_outcomes_gives_an_empty_frame_of_the_same_types() -> None:
    empty, full = frame([]), frame([matched(0)])
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()


def test_several_files_come_as_one_frame_in_the_order_of_jobs_and_photos(tmp_path: Path) -> None:
    late = Row("job-2", 0, "late", matched(0).outcome)
    paths = [write(tmp_path / "b.csv", late), write(tmp_path / "a.jsonl", failed(1), matched(0))]
    made = read_results(paths)
    assert list(zip(made["job"], made["index"], strict=True)) == [("job-1", 0), ("job-1", 1), ("job-2", 0)]
    assert_frame_equal(made, read_results(map(str, reversed(paths))))
    assert_frame_equal(made, frame([late, failed(1), matched(0)]))


@pytest.mark.parametrize("encoding", ["cp1251", "utf-8-sig", "utf-8"])
def test_a_csv_that_a_spreadsheet_has_saved_anew_is_read(tmp_path: Path, encoding: str) -> None:
    rows = [replace(matched(0), extra={"Склад": "Юг; 2"}), failed(1)]
    written = write(tmp_path / "results.csv", *rows)
    with written.open(encoding="utf-8-sig", newline="") as file:
        header, *cells = csv.reader(file)
    # As Excel does where numbers have a comma and tables semicolons.
    local = [[cell.replace(".", ",") if name in ("confidence", "second_confidence") or name.startswith("seconds_") else cell
              for name, cell in zip(header, row, strict=True)] for row in cells]  # fmt: skip
    said = {"True": "ИСТИНА", "False": "ЛОЖЬ"}
    with (tmp_path / "anew.csv").open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=";").writerows([header, *([said.get(cell, cell) for cell in row] for row in local)])
    assert_frame_equal(read_results(tmp_path / "anew.csv"), frame(rows))


def test_yes_and_no_are_read_as_spreadsheets_write_them(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("status,retryable\nfailed,TRUE\nfailed,FALSE\nfailed,WAHR\nfailed,\n")
    assert read_results(tmp_path / "r.csv").retryable.tolist() == [True, False, True, pd.NA]
    (tmp_path / "r.csv").write_text("status,retryable\nfailed,perhaps\n")
    with pytest.raises(UserError, match="perhaps"):
        read_results(tmp_path / "r.csv")


def test_files_of_an_earlier_release_are_read_with_gaps(tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_text("name,status,failure_code,confidence,job\na.jpg,failed,gone_code,0.0,job-0\nb.jpg,matched,,0.5,job-0\n")
    made = read_results(old)
    assert made["name"].tolist() == ["a.jpg", "b.jpg"]
    assert made["failure_code"].tolist()[0] == "gone_code"
    assert made["index"].isna().all()
    line = json.loads(matched(0).line)
    line["timings"] = {"recall": 0.5}
    (tmp_path / "old.jsonl").write_text(json.dumps(line) + "\n")
    assert read_results(tmp_path / "old.jsonl")["seconds_cache"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("results.xlsx", "", "no known suffix"),
        ("results.jsonl", '{"name": "x"}\n', "line 1"),
        ("results.jsonl", "no JSON\n", "line 1"),
        ("results.csv", "image,product\n1,2\n", "no column status"),
        ("results.csv", "status,confidence\nmatched,much\n", "much"),
        ("results.parquet", "no table", "holds no results"),
    ],
)
def test_a_file_that_holds_no_results_is_told_with_the_reason(tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=told):
        read_results(tmp_path / name)


def test_empty_lines_of_a_stream_that_was_kept_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(f"\n{matched(0).line}\n\n\n{matched(1).line}\n")
    assert read_results(tmp_path / "results.jsonl")["index"].tolist() == [0, 1]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for kind in KINDS:
        with pytest.raises(UserError, match="cannot be read"):
            read_results(tmp_path / f"missing.{kind}")


def test_the_package_offers_the_readers() -> None:
    assert packsight.read_results is read_results
    assert "read_evaluation" in packsight.__all__


@pytest.mark.parametrize("reader", ["read_results", "read_evaluation"])
def test_without_pandas_one_sentence_says_what_to_install(tmp_path: Path, reader: str) -> None:
    path = write(tmp_path / "results.jsonl", matched(0))
    (tmp_path / "measures.json").write_text(json.dumps(document(Results(found=[]))))
    file = path if reader == "read_results" else tmp_path / "measures.json"
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('pandas', 'numpy', 'pyarrow', 'cv2', 'faiss', 'rapidfuzz')))\n"
        "import packsight\n"
        f"try: packsight.{reader}({str(file)!r})\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "UserError" in told
    assert "pip install 'packsight[analysis]'" in told


NOTEBOOKS = {
    "jobs": block("docs/jobs.md", "In a notebook", "python"),
    "evaluate": block("docs/evaluate.md", "In a notebook", "python"),
}


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_what_the_pages_show_for_notebooks_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("monday.parquet"), matched(0))
    write(Path("tuesday.csv"), failed(1))
    right = Answer("a.jpg", "1", "1", ("table",), Status.MATCHED, ("1",), 0.8)
    Path("measures.json").write_text(json.dumps(document(Results(found=[right]))))
    exec(compile(NOTEBOOKS[page], page, "exec"), {})


def test_a_photo_of_a_job_counts_once_as_it_was_read_last(tmp_path: Path) -> None:
    first = write(tmp_path / "first.jsonl", failed(0), matched(1), matched(2))
    then = write(tmp_path / "then.csv", matched(0), matched(1))
    other = write(tmp_path / "other.parquet", replace(failed(0), job="job-2"))
    read = read_results([first, then, other])
    assert read[["job", "index", "status"]].to_numpy().tolist() == [
        ["job-1", 0, "matched"], ["job-1", 1, "matched"], ["job-1", 2, "matched"], ["job-2", 0, "failed"],
    ]  # fmt: skip
    assert list(read.index) == [0, 1, 2, 3]
    of_no_job = write(tmp_path / "single.jsonl", *(replace(matched(0), job="") for _ in range(2)))
    assert len(read_results(of_no_job)) == 2


def test_ids_that_a_data_frame_has_made_floats_of_are_those_that_were(tmp_path: Path) -> None:
    def numbered(index: int, product: str) -> Row:
        row = matched(index)
        named = Product(id=product, name="Крем", vendor="")
        candidate = Candidate(product=named, confidence=0.5, evidence=Evidence())
        return replace(row, outcome=row.outcome.model_copy(update={"product": named, "candidates": [candidate]}))

    file = write(tmp_path / "results.csv", numbered(0, "500027"), failed(1), numbered(2, "7"))
    pd.read_csv(file, keep_default_na=False, na_values=[""]).to_csv(anew := tmp_path / "anew.csv", index=False)
    assert "500027.0" in anew.read_text()
    assert_frame_equal(read_results(anew), read_results(file))
    of_points = write(tmp_path / "points.csv", numbered(0, "1.0"), numbered(1, "1.5"))
    assert read_results(of_points)["product_id"].tolist() == ["1.0", "1.5"]
    of_versions = write(tmp_path / "versions.csv", numbered(0, "1.0"), numbered(1, "2.0"))
    assert read_results(of_versions)["product_id"].tolist() == ["1.0", "2.0"], "no frame makes floats where every row has an id"
