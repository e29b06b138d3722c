"""Verdicts as files: exported for anybody, imported from where people review elsewhere.

A table that is imported, JSON lines too, has the columns `job` and `index`, or `image` (a photo's name, the end of it, or its
reference), and `verdict` and `product_id`; `offered`, `after` and `counts`, as exported, may stand beside them. A row without a
verdict is left out, and one that does not count any more.
Without a column `verdict` the table is one of labels: `product_id` is what a photo shows, empty: not in the catalog.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packsight.producer.reviews.desk import parse_kind, verdict_on
from packsight.producer.reviews.inbox import Waiting, first_product
from packsight.producer.reviews.inbox import offered as offered_by_rule
from packsight.producer.rows import Row
from packsight.shared.contract.errors import UserError
from packsight.shared.storage.files import unwritable, written_aside
from packsight.shared.storage.verdicts import Kind, Offered, Reviewed, Verdict, last_said
from packsight.shared.tables.records import SUFFIXES as RECORDS
from packsight.shared.tables.spreadsheet import csv_lines, literal
from packsight.shared.tables.table import SUFFIXES, read_table

GIVEN = (
    "id", "at", "by", "job", "index", "name", "image", "sha256", "verdict", "product_id", "status", "first_id", "confidence",
    "catalog", "catalog_version", "product_name", "offered", "after", "counts",
)  # fmt: skip
"""Columns of verdicts that were given."""
ASKED = (
    "job", "index", "name", "image", "status", "confidence", "first_id", "first_name", "second_id", "second_name", "reason",
    "offered", "after", "verdict", "product_id",
)  # fmt: skip
"""Columns of what waits; the last two are to be filled in."""

Cells = dict[str, str | int | float | None]


def write(path: Path, rows: Iterable[Cells], columns: Sequence[str]) -> int:
    """Write rows as .jsonl or .csv, whole or not at all; returns how many. Raises UserError for another suffix or folder."""
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".jsonl", ".ndjson"}:
        raise UserError(f"{path} has no known suffix. Reviews can be written as .jsonl or .csv.")
    try:
        with written_aside(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            every = list(rows)
            file.writelines(lines(every, columns, as_csv=suffix == ".csv"))
    except OSError as error:
        raise unwritable(path, error) from None
    return len(every)


def lines(rows: Iterable[Cells], columns: Sequence[str], *, as_csv: bool) -> Iterator[str]:
    """Rows as lines of JSON, or of a CSV for people."""
    return csv_lines(columns, rows) if as_csv else (f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def given(verdict: Verdict, *, counts: str) -> Cells:
    """A verdict as a row. counts: `yes`, `disputed`, or `no` for one that was replaced or taken back."""
    return {
        "id": verdict.id, "at": verdict.at.isoformat(), "by": verdict.by, "job": verdict.job, "index": verdict.index,
        "name": verdict.name, "image": verdict.image, "sha256": verdict.sha256, "verdict": verdict.kind.value,
        "product_id": verdict.product, "status": verdict.answered.status.value, "first_id": verdict.answered.product,
        "confidence": verdict.answered.confidence, "catalog": verdict.catalog, "catalog_version": verdict.answered.version,
        "product_name": verdict.called,
        "offered": verdict.offered.value, "after": verdict.after, "counts": counts,
    }  # fmt: skip


def all_given(verdicts: Iterable[Verdict], found: Reviewed) -> Iterator[Cells]:
    """Verdicts as rows. found: what all that there are come to."""
    standing = {one.id: "disputed" if review.disputed else "yes"
                for review in found.photos.values() for one in (review.verdict, *review.against)}  # fmt: skip
    return (given(verdict, counts=standing.get(verdict.id, "no")) for verdict in verdicts)


def asked(one: Waiting) -> Cells:
    """What waits as a row, its verdict to be filled in."""
    outcome = one.row.outcome
    first, second = ([candidate.product for candidate in outcome.candidates] + [None, None])[:2]
    return {
        "job": one.row.job, "index": one.row.index, "name": one.row.name, "image": outcome.image,
        "status": outcome.status.value, "confidence": outcome.confidence, "first_id": first_product(outcome),
        "first_name": first.name if first else "", "second_id": second.id if second else "",
        "second_name": second.name if second else "", "reason": outcome.reason, "offered": one.offered.value,
        "after": one.review.verdict.id if one.review else "", "verdict": "", "product_id": "",
    }  # fmt: skip


@dataclass
class Imported:
    """verdicts: of the rows that say something; empty: how many say nothing that counts; faults: a sentence for each that is
    wrong."""

    verdicts: list[Verdict] = field(default_factory=list)
    empty: int = 0
    faults: list[str] = field(default_factory=list)


def read(path: Path, rows: Sequence[Row], catalog: str, *, by: str, share: float) -> Imported:
    """Read verdicts on the outcomes `rows` from a table; by: who gave those of rows without a column `by`.

    A row that is wrong is told and left out; the others stand. share: of the sample. Raises UserError for a table that cannot be
    read, or has neither `job` and `index` nor `image`.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES | RECORDS:
        raise UserError(
            f"{path} is no table. Import a .csv, .tsv, .xlsx, .jsonl or .parquet with the columns image, verdict, product_id."
        )
    finder, found = _Finder(rows), Imported()
    for number, row in read_table(path, lambda names: not _lacking(names)):
        cells = {name: cell.strip() if suffix in RECORDS else literal(cell.strip()) for name, cell in row.items()}
        if lacking := _lacking(cells):
            raise UserError(f"{path} has {lacking}; it has {', '.join(cells)}.")
        try:
            verdict = _verdict(cells, finder, catalog, by=by, share=share)
        except UserError as error:
            found.faults.append(f"line {number}: {error}")
            continue
        if verdict is None:
            found.empty += 1
        else:
            found.verdicts.append(verdict)
    return found


def unsaid(verdicts: Iterable[Verdict], before: Sequence[Verdict]) -> list[Verdict]:
    """Those that say more than what their givers said of these photos last: a table that is taken in again says nothing new.

    before: all verdicts that there are, oldest first.
    """
    last = last_said(before)

    def is_known(one: Verdict) -> bool:
        said = last.get((one.sha256, one.by))
        if said is None or not said.agrees_with(one) or said.offered is not one.offered:
            return False
        return one.after in {None, said.id, said.after}  # else it replaces what somebody else has said

    return [one for one in verdicts if not is_known(one)]


def _lacking(names: Iterable[str]) -> str:
    """What a table of verdicts needs and has not among its columns; empty where it has all."""
    names = {name.lower() for name in names}
    if not ({"job", "index"} <= names or "image" in names):
        return "neither the columns job and index nor image"
    return "" if names & {"verdict", "product_id"} else "no column verdict and none product_id"


def _verdict(cells: dict[str, str], finder: _Finder, catalog: str, *, by: str, share: float) -> Verdict | None:
    said, product = cells.get("verdict", ""), cells.get("product_id", "")
    if (not said and "verdict" in cells and not product) or cells.get("counts") == "no":
        return None
    kind = parse_kind(said or (Kind.OTHER if product else Kind.ABSENT))
    row = finder.find(cells)
    drawn = offered_by_rule(row.outcome, share)
    told = cells.get("offered", "")
    # Drawn by lot are only those that were asked about as such: somebody who came upon a wrong answer was not.
    why = drawn if drawn is not None and told == drawn else Offered.UNSURE if told == Offered.UNSURE else Offered.CHOSEN
    after = cells.get("after") or None
    return verdict_on(row, catalog, kind, by=cells.get("by") or by, product=product, offered=why, after=after)


class _Finder:
    """Outcomes by place, reference and name."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._places = {(row.job, str(row.index)): row for row in rows}
        self._named: dict[str, list[Row]] = {}
        for row in rows:
            parts = row.name.replace("\\", "/").split("/")
            ends = ("/".join(parts[start:]) for start in range(len(parts)))
            for name in {row.outcome.image, row.name, *ends}:
                self._named.setdefault(name, []).append(row)

    def find(self, cells: dict[str, str]) -> Row:
        if cells.get("job") and cells.get("index"):
            row = self._places.get((cells["job"], cells["index"]))
            if row is None:
                raise UserError(f"there is no outcome {cells['index']} of job {cells['job']}")
            return row
        image = cells.get("image", "").replace("\\", "/")
        found = {row.outcome.sha256: row for row in self._named.get(image, ())}
        if not found:
            raise UserError(f"no photo of the jobs that were looked at is called {image}. Name the job with --job.")
        if len(found) > 1:
            raise UserError(f"{len(found)} photos end in {image}. Name them by more of their paths, or by job and index.")
        return next(reversed(found.values()))
