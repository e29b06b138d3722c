"""What waits for a person, in which order, and what figures come of it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from packsight.producer.reviews import files
from packsight.producer.reviews.desk import parse_kind, verdict_on
from packsight.producer.reviews.inbox import inbox, is_drawn, offered
from packsight.producer.rows import Row
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.outcomes import Candidate, Evidence, Failure, Outcome, Product, Status
from packsight.shared.storage.review_figure import Promise, figure
from packsight.shared.storage.verdicts import Answered, Kind, Offered, Verdict, reviewed
from tests.unit.test_verdicts import NOON, verdict

NOBODY = reviewed([])


def row(index: int, status: Status, confidence: float, product: str = "1", *, lacking: bool = False) -> Row:
    first = Candidate(product=Product(id=product, name=f"Soap {product}"), confidence=confidence, evidence=Evidence())
    outcome = Outcome(
        image=f"s3://b/uploads/{index}", status=status, confidence=confidence, candidates=[first] if product else [],
        product=first.product if status is Status.MATCHED else None, sha256=f"{index:064x}",
        lacking=["light"] if lacking else [],
    )  # fmt: skip
    return Row("j", index, f"photos/{index}.jpg", outcome)


def test_a_sample_of_what_is_matched_is_drawn_by_the_photo_alone() -> None:
    drawn = [number for number in range(2000) if is_drawn(f"{number:064x}", 0.05)]
    assert 70 < len(drawn) < 130
    assert [number for number in range(2000) if is_drawn(f"{number:064x}", 0.1)][: len(drawn)] != drawn
    assert set(drawn) < {number for number in range(2000) if is_drawn(f"{number:064x}", 0.1)}, "a larger sample holds it"
    for confidence in 0.85, 0.999:
        asked = [offered(row(number, Status.MATCHED, confidence).outcome, 0.05) for number in range(2000)]
        assert [number for number, why in enumerate(asked) if why is Offered.SAMPLE] == drawn, "however sure it was"
        assert (Offered.UNSURE in asked) == (confidence < 0.9)
    assert offered(row(drawn[0], Status.NO_MATCH, 0.4).outcome, 0.05) is Offered.UNSURE
    assert not is_drawn("0" * 64, 0.0) and is_drawn("0" * 64, 1.0)


def test_the_most_unsure_come_first_and_photos_of_one_product_together() -> None:
    rows = [
        row(0, Status.NO_MATCH, 0.05, "3"), row(1, Status.AMBIGUOUS, 0.5, "1"), row(2, Status.AMBIGUOUS, 0.4, "2"),
        row(3, Status.NO_MATCH, 0.1, "1"), row(4, Status.NO_MATCH, 0.001, "1"), row(5, Status.MATCHED, 0.99, "1"),
        row(6, Status.NO_MATCH, 0.0, ""), row(7, Status.AMBIGUOUS, 0.5, "4", lacking=True),
    ]  # fmt: skip
    found = inbox(rows, NOBODY, share=0.0)
    assert [one.row.index for one in found] == [1, 3, 2, 7, 0], "4, 5 and 6 are sure"
    assert [one.group for one in found] == ["1", "1", "2", "4", "3"]


def test_what_failed_or_is_reviewed_waits_no_longer_unless_people_disagree() -> None:
    failed = Row("j", 9, "x", Outcome.failed("x", Failure.of_code(ErrorCode.IMAGE_BROKEN, "no picture")))
    rows = [row(0, Status.AMBIGUOUS, 0.5), row(1, Status.AMBIGUOUS, 0.5, "2"), failed]
    mine = verdict(sha256=f"{0:064x}")
    assert [one.row.index for one in inbox(rows, reviewed([mine]), 0.0)] == [1]
    theirs = verdict(Kind.BAD, by="bob", minute=1, sha256=f"{0:064x}")
    first, _ = inbox(rows, reviewed([mine, theirs]), 0.0)
    assert first.row.index == 0 and first.review is not None and first.review.disputed


def test_of_a_photo_that_failed_later_its_answer_waits() -> None:
    answered = row(0, Status.AMBIGUOUS, 0.5)
    gone = Outcome.failed("x", Failure.of_code(ErrorCode.OBJECT_MISSING, "no such key")).model_copy(
        update={"sha256": answered.outcome.sha256}
    )
    review = reviewed([verdict(sha256=f"{0:064x}"), verdict(Kind.BAD, by="bob", minute=1, sha256=f"{0:064x}")])
    assert [one.row for one in inbox([answered, Row("j2", 0, "x", gone)], review, 0.0)] == [answered]
    assert inbox([Row("j2", 0, "x", gone)], review, 0.0) == [], "nobody can say anything of it"


def test_a_photo_that_comes_again_waits_once_with_its_last_answer() -> None:
    first, again = row(0, Status.AMBIGUOUS, 0.5), row(0, Status.AMBIGUOUS, 0.6)
    assert [one.row for one in inbox([first, again], NOBODY, 0.0)] == [again]


def sampled(wrong: int, right: int, *, offered: Offered = Offered.SAMPLE, status: Status = Status.MATCHED) -> list[Verdict]:
    answer = Answered(status=status, product="1")
    return [
        verdict(
            Kind.ABSENT if number < wrong else Kind.RIGHT, sha256=f"{number:064x}", answered=answer, offered=offered,
        )
        for number in range(wrong + right)
    ]  # fmt: skip


def made(verdicts: list[Verdict], days: float = 90) -> tuple[int, int, Promise]:
    found = figure("default", reviewed(verdicts), promised=0.98, days=days, now=NOON + timedelta(days=1))
    return found.wrong.k, found.wrong.n, found.promise


@pytest.mark.parametrize(
    ("wrong", "right", "promise"),
    [
        (0, 0, Promise.OPEN), (0, 50, Promise.OPEN), (0, 200, Promise.KEPT), (1, 6, Promise.OPEN), (3, 47, Promise.OPEN),
        (5, 45, Promise.BROKEN), (1, 999, Promise.KEPT), (40, 960, Promise.BROKEN),
    ],
)
def test_the_promise_is_broken_or_kept_only_where_that_is_sure(wrong: int, right: int, promise: Promise) -> None:
    assert made(sampled(wrong, right)) == (wrong, wrong + right, promise)


def test_what_was_unsure_or_come_upon_or_is_old_or_unclear_is_not_in_the_figure() -> None:
    assert made(sampled(20, 0, offered=Offered.UNSURE))[1] == made(sampled(20, 0, offered=Offered.CHOSEN))[1] == 0
    assert made(sampled(20, 0, status=Status.AMBIGUOUS))[1] == 0
    assert made(sampled(20, 0), days=0.5)[1] == 0
    bad = [verdict(Kind.BAD, sha256="f" * 64, answered=Answered(status=Status.MATCHED, product="1"), offered=Offered.SAMPLE)]
    found = figure("default", reviewed([*sampled(1, 9), *bad]), promised=0.98, days=90, now=NOON)
    assert (found.wrong.n, found.unclear, found.elsewhere) == (10, 1, 0)
    assert "1 are wrong: 10.0%" in found.told.replace("\n", " ")


def test_a_sampled_answer_stays_one_whatever_is_said_of_it_later() -> None:
    (drawn,) = sampled(0, 1)
    chosen: dict[str, Any] = {"sha256": drawn.sha256, "answered": drawn.answered, "by": "labels"}
    assert made([drawn, verdict(minute=1, **chosen)]) == (0, 1, Promise.OPEN), "others agree"
    corrected = verdict(Kind.OTHER, "7", minute=1, after=drawn.id, **chosen)
    assert made([drawn, corrected])[:2] == (1, 1), "what stands counts"
    later = corrected.model_copy(update={"answered": Answered(status=Status.AMBIGUOUS, product="7"), "kind": Kind.RIGHT})
    assert made([drawn, later])[:2] == (1, 1), "and is compared with the answer that was drawn"
    undone = verdict(Kind.UNDONE, minute=2, after=drawn.id, **chosen)
    assert made([drawn, verdict(minute=1, **chosen), undone])[:2] == (0, 0)


def test_an_answer_in_the_sample_that_somebody_came_upon_waits_for_its_turn_and_counts_then() -> None:
    shown = row(0, Status.MATCHED, 0.999)
    verdict_of = partial(verdict_on, shown, "default", Kind.OTHER, product="7")
    said = verdict_of(by="ann")
    assert made([said])[:2] == (0, 0), "of those that are drawn the wrong ones are come upon"
    (waits,) = inbox([shown], reviewed([said]), 1.0)
    assert (waits.offered, waits.review and waits.review.verdict) == (Offered.SAMPLE, said)
    assert inbox([shown], reviewed([said]), 0.0) == [], "it is not drawn"
    assert inbox([row(0, Status.AMBIGUOUS, 0.5)], reviewed([said]), 1.0) == []
    again = replace(shown, job="k", outcome=row(0, Status.MATCHED, 0.999, "7").outcome)
    assert [one.row for one in inbox([shown, again], reviewed([said]), 1.0)] == [shown], "a later one may come of it"
    assert inbox([again], reviewed([said]), 1.0) == []
    asked = verdict_of(by="ben", offered=waits.offered, after=said.id)
    assert inbox([shown, again], reviewed([said, asked]), 1.0) == []
    assert made([said, asked])[:2] == (1, 1)


def test_what_waits_is_written_filled_in_and_taken_in_again(tmp_path: Path) -> None:
    drawn = next(number for number in range(100, 200) if is_drawn(f"{number:064x}", 0.1))
    rows = [row(n, Status.AMBIGUOUS, 0.5) for n in range(4)] + [row(drawn, Status.MATCHED, 0.99)]
    path = tmp_path / "waiting.csv"
    assert files.write(path, map(files.asked, inbox(rows, NOBODY, 0.1)), files.ASKED) == 5
    with path.open(encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    said = {0: ("right", ""), 1: ("other", "7"), 2: ("", ""), 3: ("not listed", ""), drawn: ("right", "")}
    for line in lines:
        line["verdict"], line["product_id"] = said[int(line["index"])]
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, files.ASKED)
        table.writeheader()
        table.writerows(lines)
    found = files.read(path, rows, "default", by="ann", share=0.1)
    assert (found.empty, found.faults) == (1, [])
    told = {one.index: (one.kind, one.product, one.offered) for one in found.verdicts}
    assert told == {
        0: (Kind.RIGHT, "1", Offered.UNSURE), 1: (Kind.OTHER, "7", Offered.UNSURE), 3: (Kind.ABSENT, "", Offered.UNSURE),
        drawn: (Kind.RIGHT, "1", Offered.SAMPLE),
    }  # fmt: skip


def test_a_table_of_labels_is_taken_in_by_the_ends_of_names(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image,product_id\n0.jpg,1\nphotos/1.jpg,7\n\n2.jpg,\nnone.jpg,1\n")
    rows = [row(n, Status.MATCHED, 0.99) for n in range(3)]
    found = files.read(path, rows, "default", by="ann", share=1.0)
    assert [(one.kind, one.product) for one in found.verdicts] == [(Kind.RIGHT, "1"), (Kind.OTHER, "7"), (Kind.ABSENT, "")]
    assert {one.offered for one in found.verdicts} == {Offered.CHOSEN}, "nobody drew them"
    assert len(found.faults) == 1 and found.faults[0].startswith("line 6: no photo")


def test_a_table_of_verdicts_may_have_titles_above_its_header(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text("By Ann, in November\n\nImage;Remarks (if any, in words);product_id\n0.jpg;;1\n0.jpg;;1\nno.jpg;;1\n")
    found = files.read(path, [row(0, Status.AMBIGUOUS, 0.5)], "default", by="ann", share=1.0)
    assert len(found.verdicts) == 2
    assert [fault.partition(":")[0] for fault in found.faults] == ["line 6"]


def test_wrong_rows_are_told_and_the_others_stand(tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    path.write_text("job,index,verdict,product_id\nj,0,right,\nj,7,right,\nj,1,maybe,\nj,1,other,\nj,2,bad_photo,\n")
    found = files.read(path, [row(n, Status.AMBIGUOUS, 0.5) for n in range(3)], "default", by="ann", share=0.0)
    assert [one.kind for one in found.verdicts] == [Kind.RIGHT, Kind.BAD]
    assert [fault.partition(":")[0] for fault in found.faults] == ["line 3", "line 4", "line 5"]
    for text, missing in (("verdict\nright\n", "neither"), ("image,note\nx,y\n", "no column verdict")):
        path.write_text(text)
        with pytest.raises(UserError, match=missing):
            files.read(path, [], "default", by="ann", share=0.0)


def test_verdicts_are_written_as_lines_with_whether_they_count(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    files.write(path, [files.given(verdict(by="=ann"), counts="yes")], files.GIVEN)
    line = json.loads(path.read_text())
    assert list(line) == list(files.GIVEN) and line["counts"] == "yes" and line["by"] == "=ann"
    files.write(tmp_path / "verdicts.csv", [files.given(verdict(by="=ann"), counts="yes")], files.GIVEN)
    assert "'=ann" in (tmp_path / "verdicts.csv").read_text(), "no spreadsheet runs it"
    with pytest.raises(UserError, match="suffix"):
        files.write(tmp_path / "verdicts.txt", [], files.GIVEN)


def test_a_product_is_kept_with_the_name_that_its_id_had() -> None:
    other = partial(verdict_on, row(0, Status.AMBIGUOUS, 0.5), "default", Kind.OTHER, by="ann")
    first, renumbered, further, unknown = (
        other(product="1"), other(product="1", called="Tea"), other(product="2", called="Tea"), other(product="2")
    )  # fmt: skip
    assert [one.kind for one in (first, renumbered, further, unknown)] == [Kind.RIGHT, Kind.OTHER, Kind.OTHER, Kind.OTHER]
    assert [one.called for one in (first, renumbered, further, unknown)] == ["Soap 1", "Tea", "Tea", ""]
    assert other(product="1", called="Soap 1").kind is Kind.RIGHT
    assert not first.agrees_with(renumbered) and further.agrees_with(unknown)


def test_a_verdict_that_says_nothing_is_refused_in_words() -> None:
    assert verdict_on(row(0, Status.AMBIGUOUS, 0.5), "default", Kind.OTHER, by=" Ann  B ", product="1").kind is Kind.RIGHT
    with pytest.raises(UserError, match="names the id"):
        verdict_on(row(0, Status.AMBIGUOUS, 0.5), "default", Kind.OTHER, by="ann")
    with pytest.raises(UserError, match="no product"):
        verdict_on(row(0, Status.NO_MATCH, 0.0, ""), "default", Kind.RIGHT, by="ann")
    with pytest.raises(UserError, match="--by"):
        verdict_on(row(0, Status.AMBIGUOUS, 0.5), "default", Kind.BAD, by="  ")
    with pytest.raises(UserError, match="right, other, not_listed, bad_photo"):
        parse_kind("undone")


def test_a_file_that_is_no_table_is_refused_with_the_kinds_that_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Import a \.csv, \.tsv, \.xlsx, \.jsonl or \.parquet with the columns"):
        files.read(tmp_path / "said.txt", [], "default", by="ann", share=0.0)
