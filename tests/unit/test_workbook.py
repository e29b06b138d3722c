"""Workbooks that would take all memory are refused by what they say of themselves."""

from __future__ import annotations

import io
import zipfile

import pytest

from packsight.shared.contract.errors import UserError
from packsight.shared.tables import workbook
from packsight.shared.tables.workbook import records

PARTS = {
    "[Content_Types].xml": (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Override PartName="/xl/workbook.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
    ),
    "_rels/.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>"
    ),
    "xl/_rels/workbook.xml.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>"
    ),
    "xl/workbook.xml": (
        '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        '<sheets><sheet name="One" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
}


def book(*cells: str) -> bytes:
    """A workbook with a 1 in each of these cells, which are in order."""
    rows = "".join(f'<row r="{cell.lstrip("ABCDEFX")}"><c s="0" r="{cell}"><v>1</v></c></row>' for cell in cells)
    sheet = f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>'
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in {**PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            archive.writestr(name, text)
    return made.getvalue()


def test_a_small_workbook_with_gaps_is_read() -> None:
    assert [row for _, row in records(book("A1", "C4"), "list")] == [["1", "", ""], ["", "", ""], ["", "", ""], ["", "", "1"]]


def test_two_cells_far_apart_are_refused_before_memory_is_taken_for_all_between() -> None:
    with pytest.raises(UserError, match=r"2 cells on 327,680,000 places"):
        list(records(book("A1", "XFD20000"), "list"))


def test_cells_are_found_wherever_a_sheet_is_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_PIECE", 37)
    with pytest.raises(UserError, match="on 327,680,000 places"):
        list(records(book("A1", "XFD20000"), "list"))
