from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packsight.producer.collect import failed_rows, rows_of
from packsight.producer.columns import COLUMNS, flat
from packsight.producer.export import Export, Exports, JsonLines, Table, open_export
from packsight.producer.lists import read_list
from packsight.producer.rows import Row
from packsight.shared.contract.errors import ADVICE, ErrorCode, UserError
from packsight.shared.contract.outcomes import (
    Candidate,
    Evidence,
    Outcome,
    Product,
    Provenance,
    RecognizeResult,
    Status,
    WordRead,
)
from packsight.shared.queue.results import TaskEnd
from packsight.shared.storage.jobs import Batch, JobImage
from packsight.shared.tables.spreadsheet import harmless, literal

BOX = [(0.0, 0.0), (9.0, 0.0), (9.0, 4.0), (0.0, 4.0)]


def matched(index: int, name: str = "", product: str = "Крем, 50 мл") -> Row:
    first, second = (
        Candidate(product=Product(id=number, name=product, vendor="Acme"), confidence=share, evidence=Evidence())
        for number, share in (("10", 0.9), ("11", 0.05))
    )
    outcome = Outcome(
        image=f"s3://bucket/{index}",
        status=Status.MATCHED,
        product=first.product,
        confidence=0.9,
        candidates=[first, second],
        words=[WordRead(text="крем", confidence=0.9, box=BOX), WordRead(text="50 мл", confidence=0.8, box=BOX)],
        provenance=Provenance(catalog="default", catalog_version="v1", embedder="e", spotter="s"),
        timings={"fetch": 0.01, "embed": 0.2},
    )
    return Row("job", index, name or f"{index}.jpg", outcome)


def failed(index: int) -> Row:
    batch = Batch("job-000000", 0, index, [JobImage(reference="s3://b/x", name="x")])
    (row,) = failed_rows(batch, ErrorCode.TIME_LIMIT, "too slow")
    return row


def write(path: Path, *rows: Row) -> Path:
    with Exports() as exports:
        exports.take(open_export(path))
        for row in rows:
            exports.add(row)
        exports.finish()
    return path


def test_a_table_has_one_row_per_photo_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    path = write(tmp_path / "results.csv", matched(2), failed(0), matched(1))
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["failed", "matched", "matched"]
    assert rows[0] | {} == {
        **dict.fromkeys(COLUMNS, ""),
        "name": "x",
        "image": "s3://b/x",
        "status": "failed",
        "confidence": "0.0",
        "reason": "too slow",
        "failure_code": "time_limit",
        "failure_message": "too slow",
        "remedy": rows[0]["remedy"],
        "retryable": "False",
        "job": "job",
        "index": "0",
    }
    assert "PACKSIGHT_WORKER__TIME_LIMIT" in rows[0]["remedy"]
    wanted = {"product_name": "Крем, 50 мл", "second_id": "11", "second_confidence": "0.05", "words": "крем | 50 мл"}
    assert wanted.items() <= rows[1].items()


def test_regions_and_all_products_found_stand_in_the_table(tmp_path: Path) -> None:
    first = matched(1).outcome.candidates[0].model_copy(update={"region": [(0.0, 10.5), (20.0, 0.0), (30.0, 40.0)]})
    second = first.model_copy(update={"product": Product(id="11", name="Other"), "confidence": 0.9, "region": None})
    outcome = matched(1).outcome.model_copy(update={"products": [first, second], "region": first.region})
    shown = flat(Row("job", 1, "1.jpg", outcome))
    corners = "0,10.5 20,0 30,40"
    assert (shown["region"], shown["found_regions"]) == (corners, f"{corners} | ")
    assert (shown["found_ids"], shown["found_confidences"]) == (f"{first.product.id} | 11", f"{first.confidence} | 0.9")
    assert flat(matched(1))["found_ids"] == ""


def test_parquet_keeps_numbers_as_numbers_and_gaps_as_gaps(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(write(tmp_path / "results.parquet", matched(1), failed(0)))
    assert table.column_names == list(COLUMNS)
    assert table.column("second_confidence").to_pylist() == [None, 0.05]
    assert table.column("seconds_embed").to_pylist() == [None, 0.2]
    assert table.column("name").to_pylist() == ["x", "1.jpg"]


def test_json_lines_hold_the_whole_outcome_with_name_and_job(tmp_path: Path) -> None:
    path = write(tmp_path / "results.jsonl", matched(1), failed(0))
    first, second = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert (first["name"], first["job"], first["index"]) == ("1.jpg", "job", 1)
    assert Outcome.model_validate(first) == matched(1).outcome
    assert second["failure"]["code"] == "time_limit"
    assert ":null" not in path.read_text(encoding="utf-8"), "what has no value is left out, as in messages"
    former = json.dumps({**first, **matched(1).outcome.model_dump(mode="json")})
    assert ":null" in former.replace(" ", "")
    assert flat(Row.of_line(former)) == flat(matched(1)), "as earlier releases wrote it"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_csv_can_act_as_a_formula(tmp_path: Path, start: str) -> None:
    attack = f'{start}HYPERLINK("https://example.com")'
    path = write(tmp_path / "results.csv", matched(0, name=attack, product=attack))
    with path.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == row["product_name"] == f"'{attack}"


def test_a_csv_begins_with_the_mark_by_which_spreadsheets_know_utf_8(tmp_path: Path) -> None:
    path = write(tmp_path / "results.csv", matched(0))
    assert path.read_bytes().startswith(b"\xef\xbb\xbfname,")
    ((reference, columns),) = read_list(path)
    assert (reference, columns["name"]) == ("s3://bucket/0", "0.jpg")


@given(st.text("'=+-@\t\rab", max_size=6))
def test_what_was_made_harmless_can_be_read_back(text: str) -> None:
    assert literal(harmless(text)) == text


def test_numbers_below_zero_stay_numbers() -> None:
    assert harmless(-0.5) == -0.5
    assert harmless("a-b") == "a-b"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_nothing_stands_under_the_final_name_before_the_end_and_nothing_is_left_of_an_interruption(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"results.{suffix}"
    path.write_text("of an earlier run")

    def interrupted() -> None:
        with Exports() as exports:
            exports.take(open_export(path))
            exports.add(matched(0))
            assert path.read_text() == "of an earlier run"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "of an earlier run"


def test_json_lines_can_be_read_while_the_job_runs(tmp_path: Path) -> None:
    export: Export = open_export(tmp_path / "results.jsonl")
    export.add(matched(0))
    assert json.loads((tmp_path / "results.jsonl.part").read_text())["name"] == "0.jpg"
    export.finish()


@pytest.mark.parametrize(("first", "second"), [("a.csv", "a.csv"), ("a.jsonl", "./a.jsonl"), ("a.csv", "../{}/a.csv")])
def test_one_file_is_not_written_twice_at_a_time(tmp_path: Path, first: str, second: str) -> None:
    with Exports() as exports:
        exports.take(open_export(tmp_path / first))
        with pytest.raises(UserError, match="is being written already"):
            open_export(tmp_path / second.format(tmp_path.name))
        exports.add(matched(0))
        exports.finish()
    assert "0.jpg" in (tmp_path / first).read_text("utf-8")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = open_export(tmp_path / "results.jsonl")
    assert isinstance(export, JsonLines)
    export._file.close()
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115  # the export closes it
    monkeypatch.setattr(export, "_file", full)
    with Exports() as exports, pytest.raises(OSError, match="No space left"):
        exports.take(export)
        exports.add(matched(0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["results.csv", "results.parquet"])
def test_neither_does_one_where_temporary_files_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    export = open_export(tmp_path / name)
    assert isinstance(export, Table)
    export._rows.close()
    full = Path("/dev/full").open("w+b")  # noqa: SIM115  # the export closes it
    monkeypatch.setattr(export._rows, "_file", full)
    with Exports() as exports, pytest.raises(OSError, match="No space left"):
        exports.take(export)
        exports.add(matched(0))
        exports.finish()
    assert not list(tmp_path.iterdir())


def test_wrong_names_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.jsonl, \.csv or \.parquet"):
        open_export(tmp_path / "results.xlsx")
    with pytest.raises(UserError, match="cannot be written"):
        open_export(tmp_path / "no" / "such" / "folder.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_folder_is_told_before_anything_is_asked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"is a folder\. Name a file"):
        open_export(tmp_path / name)


def test_only_a_match_fills_the_product_but_candidates_are_always_named() -> None:
    row = matched(0)
    unsure = row.outcome.model_copy(update={"status": Status.AMBIGUOUS, "product": None})
    line = flat(Row("job", 0, "x", unsure))
    assert (line["product_id"], line["first_id"], line["second_id"]) == ("", "10", "11")


BATCH = Batch("job-000003", 3, 6, [JobImage(reference=f"s3://b/{n}", name=f"{n}.jpg") for n in range(2)])


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (TaskEnd("FAILURE", None, "WorkerLostError: exited prematurely", ErrorCode.WORKER_KILLED), ErrorCode.WORKER_KILLED),
        (TaskEnd("FAILURE", None, "TimeLimitExceeded: 120", ErrorCode.TIME_LIMIT), ErrorCode.TIME_LIMIT),
        (TaskEnd("FAILURE", None, "images: too few", ErrorCode.BAD_MESSAGE), ErrorCode.BAD_MESSAGE),
        (TaskEnd("FAILURE", None, "MemoryError: ", ErrorCode.INTERNAL), ErrorCode.INTERNAL),
        (TaskEnd("REVOKED", None, "REVOKED", ErrorCode.INTERNAL), ErrorCode.INTERNAL),
        (TaskEnd("SUCCESS", {"outcomes": "?"}, ""), ErrorCode.INTERNAL),
        (TaskEnd("SUCCESS", {"outcomes": []}, ""), ErrorCode.INTERNAL),
    ],
)
def test_a_task_without_a_usable_result_fails_each_of_its_images(end: TaskEnd, code: ErrorCode) -> None:
    rows = rows_of(BATCH, end)
    assert [(row.job, row.index, row.name, row.outcome.image) for row in rows] == [
        ("job", 6, "0.jpg", "s3://b/0"),
        ("job", 7, "1.jpg", "s3://b/1"),
    ]
    assert {row.outcome.failure.code for row in rows if row.outcome.failure} == {code}


def test_what_whoever_failed_says_to_do_goes_before_what_its_code_says() -> None:
    ends = [TaskEnd("FAILURE", None, "99 images", ErrorCode.BAD_MESSAGE, remedy) for remedy in ("Send 8.", "")]
    found = [row.outcome.failure for end in ends for row in rows_of(BATCH, end)]
    assert [one.remedy for one in found if one] == ["Send 8."] * 2 + [ADVICE[ErrorCode.BAD_MESSAGE].remedy] * 2


def test_every_stage_has_its_seconds_in_the_files_also_under_its_old_name() -> None:
    timings = {"fetch": 0.1, "recall": 0.2, "decode": 0.3, "barcode": 0.35, "embed": 0.4, "spot": 0.5}
    timings |= {"match": 0.6, "details": 0.7, "lines": 0.8}
    outcome = Outcome(image="s3://b/0", status=Status.NO_MATCH, timings=timings).model_dump(mode="json")
    ends = TaskEnd("SUCCESS", {"outcomes": [outcome, outcome]}, "")
    line = flat(rows_of(BATCH, ends)[0])
    assert {name: value for name, value in line.items() if name.startswith("seconds_")} == {
        "seconds_fetch": 0.1, "seconds_cache": 0.2, "seconds_decode": 0.3, "seconds_barcode": 0.35,
        "seconds_embed": 0.4, "seconds_spot": 0.5, "seconds_match": 0.6, "seconds_details": 0.7, "seconds_lines": 0.8,
    }  # fmt: skip
    assert flat(Row.of_line(json.dumps({**outcome, "name": "0.jpg"})))["seconds_cache"] == 0.2


def test_a_line_reads_back_as_its_row() -> None:
    for row in (matched(3), failed(0)):
        assert flat(Row.of_line(row.line)) == flat(row)


def test_a_result_is_paired_with_the_names_in_order() -> None:
    outcomes = [Outcome(image=f"s3://b/{n}", status=Status.NO_MATCH) for n in range(2)]
    end = TaskEnd("SUCCESS", RecognizeResult(outcomes=outcomes).model_dump(mode="json"), "")
    assert [(row.index, row.name, row.outcome.image) for row in rows_of(BATCH, end)] == [
        (6, "0.jpg", "s3://b/0"),
        (7, "1.jpg", "s3://b/1"),
    ]


def test_the_page_names_every_column_in_order() -> None:
    page = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")
    table = page.split("The columns of the flat rows:")[1].split("\n\n")[1]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert re.findall(r"`(\w+)`", " ".join(cells)) == list(COLUMNS)
