"""Workbooks that would take all memory are refused by what they say of themselves."""

from __future__ import annotations

import io
import struct
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
    assert [row for _, _, row in records(book("A1", "C4"), "list")] == [["1", "", ""], ["", "", ""], ["", "", ""], ["", "", "1"]]


def test_two_cells_far_apart_are_refused_before_memory_is_taken_for_all_between() -> None:
    with pytest.raises(UserError, match=r"2 cells on 327,680,000 places"):
        list(records(book("A1", "XFD20000"), "list"))


def test_cells_are_found_wherever_a_sheet_is_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_PIECE", 37)
    with pytest.raises(UserError, match="on 327,680,000 places"):
        list(records(book("A1", "XFD20000"), "list"))


SPACES = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text"))


def ods(down: int, right: int) -> bytes:
    """A workbook of OpenDocument with a 1 in its first cell and another so far from it."""
    one = '<table:table-cell office:value-type="float" office:value="1"><text:p>1</text:p></table:table-cell>'
    gap = f'<table:table-cell table:number-columns-repeated="{right}"/>'
    rows = (
        f"<table:table-row>{one}</table:table-row>"
        f'<table:table-row table:number-rows-repeated="{down - 1}">{gap}</table:table-row>'
        f"<table:table-row>{gap}{one}</table:table-row>"
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr(
            "content.xml",
            f"<office:document-content {SPACES}><office:body><office:spreadsheet>"
            f'<table:table table:name="One">{rows}</table:table></office:spreadsheet></office:body></office:document-content>',
        )
    return made.getvalue()


def record(kind: int, data: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def xls(sheets: int, down: int, right: int) -> bytes:
    """A workbook of Excel 97: in each sheet a 1 in the first cell and another so far from it."""

    def begin(of: int) -> bytes:
        return record(0x809, struct.pack("<HHHHII", 0x600, of, 0, 0, 0, 0))

    cells = [record(0x203, struct.pack("<HHHd", row, column, 0, 1.0)) for row, column in ((0, 0), (down, right))]
    sheet = b"".join([begin(0x10), *cells, record(0x0A)])
    first = len(begin(5)) + 14 * sheets + 4
    starts = enumerate(range(first, first + sheets * len(sheet), len(sheet)))
    named = [record(0x85, struct.pack("<IBBBB", start, 0, 0, 2, 0) + b"%02d" % number) for number, start in starts]
    stream = b"".join([begin(5), *named, record(0x0A), *[sheet] * sheets]).ljust(4096, b"\0")  # 4096: no small stream
    # A compound file: its header, the table of sectors, the directory, the stream.
    sectors = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, 10), 0xFFFFFFFE]

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        text = f"{name}\0".encode("utf-16-le")
        return text.ljust(64, b"\0") + struct.pack("<HBBIII36xIQ", len(text), kind, 1, *[0xFFFFFFFF] * 2, child, start, size)

    ids = struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    places = struct.pack("<IIIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0)
    header = workbook.SIGNATURES[1] + b"\xa1\xb1\x1a\xe1" + bytes(16) + ids + places + b"\xff" * 432
    table = struct.pack("<10I", *sectors) + b"\xff" * 472
    directory = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0) + entry("Workbook", 2, 0xFFFFFFFF, 2, len(stream)) + bytes(256)
    return header + table + directory + stream


@pytest.mark.parametrize("data", [ods(2, 2), xls(1, 2, 2)], ids=["ods", "xls"])
def test_small_workbooks_of_other_kinds_are_read(data: bytes) -> None:
    found = [row for _, _, row in records(data, "list")]
    assert found[0][0] == found[-1][-1] == "1"
    assert [cell for row in found for cell in row if cell] == ["1", "1"]


@pytest.mark.parametrize("data", [ods(20_000, 1_000), xls(3, 60_000, 250)], ids=["ods", "xls"])
def test_cells_far_apart_in_workbooks_of_other_kinds_take_no_more_memory_than_is_allowed(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MEMORY", 300_000_000)
    with pytest.raises(UserError, match="takes more than 300,000,000 bytes of memory"):
        list(records(data, "list"))


@pytest.mark.parametrize("data", [b"PK\x03\x04nothing", xls(1, 2, 2)[:2000]], ids=["zip", "xls"])
def test_what_is_no_workbook_is_said(data: bytes) -> None:
    with pytest.raises(UserError, match=r"list is a (workbook that cannot be read|broken ZIP file)"):
        list(records(data, "list"))
