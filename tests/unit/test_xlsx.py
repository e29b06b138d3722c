"""What cells of .xlsx show and lead to, beside their values."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from packsight.indexer.feed.offers import Faults, Item, Offer
from packsight.indexer.feed.table import read_table
from packsight.producer.lists import read_list
from packsight.shared.tables.labels import read_labels
from packsight.shared.tables.workbook import records
from packsight.shared.tables.xlsx import Beside
from tests.unit.test_workbook import PARTS

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SPACE = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{OFFICE}"'
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
STYLES = (
    r'<styleSheet {}><numFmts><numFmt numFmtId="164" formatCode="00000"/><numFmt numFmtId="165" formatCode="000\-000"/>'
    '<numFmt numFmtId="166" formatCode="[Red]&quot;A-&quot;0000;@"/><numFmt numFmtId="167" formatCode="0.00"/>'
    '<numFmt numFmtId="168" formatCode="0&quot; шт.&quot;"/></numFmts><cellStyleXfs><xf numFmtId="164"/></cellStyleXfs>'
    '<cellXfs><xf numFmtId="0"/>{}</cellXfs></styleSheet>'
).format(SPACE, "".join(f'<xf numFmtId="{number}"/>' for number in range(164, 169)))
DRAWING = (
    '<d:wsDr xmlns:d="drawing"><d:twoCellAnchor><d:from><d:col>1</d:col><d:colOff>9</d:colOff><d:row>{}</d:row>'
    "<d:rowOff>9</d:rowOff></d:from><d:to><d:col>2</d:col><d:row>9</d:row></d:to><d:pic/></d:twoCellAnchor></d:wsDr>"
)
NAMES = {"A1": "id", "B1": "Фото", "C1": "Название", "D1": "url"}


def text(place: str, content: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{content}</t></is></c>'


def book(*rows: str, after: str = "", targets: tuple[str, ...] = (), parts: dict[str, str] | None = None) -> bytes:
    """A workbook with these rows below a header; after: what follows them; targets: of links h0, h1 …"""
    links = "".join(
        f'<Relationship Id="h{number}" Type="{OFFICE}/hyperlink" Target="{target}" TargetMode="External"/>'
        for number, target in enumerate(targets)
    )
    drawing = f'<Relationship Id="d" Type="{OFFICE}/drawing" Target="../drawings/drawing1.xml"/>'
    relations = PARTS["xl/_rels/workbook.xml.rels"]
    styles = f'<Relationship Id="s" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>'
    header = "".join(text(place, name) for place, name in NAMES.items())
    sheet = f'<worksheet {SPACE}><sheetData><row r="1">{header}</row>{"".join(rows)}</sheetData>{after}</worksheet>'
    whole = {
        **PARTS,
        "xl/_rels/workbook.xml.rels": relations.replace("</Relationships>", styles),
        "xl/styles.xml": STYLES,
        "xl/worksheets/sheet1.xml": sheet,
        "xl/worksheets/_rels/sheet1.xml.rels": f'<Relationships xmlns="{PACKAGE}">{links}{drawing}</Relationships>',
        **(parts or {}),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in whole.items():
            archive.writestr(name, content)
    return made.getvalue()


def items(data: bytes, faults: Faults | None = None) -> list[Item]:
    return list(read_table(io.BufferedReader(io.BytesIO(data)), "table.xlsx", faults or Faults(), mapping={}))


def read(data: bytes) -> tuple[dict[str, Offer], tuple[str, ...]]:
    faults = Faults()
    return {item.offer.product.id: item.offer for item in items(data, faults) if item.offer}, faults.notes()


def test_a_number_that_is_shown_with_leading_zeros_has_them() -> None:
    cells = [
        (1, "123", "00123"), (1, "1234567", "1234567"), (2, "1234", "001-234"), (2, "1234567", "1234-567"), (3, "12", "A-0012"),
        (4, "12", "12"), (5, "12", "12"), (0, "12", "12"), (1, "12.5", "12.5"),
    ]  # fmt: skip
    rows = [
        f'<row r="{row}"><c r="A{row}" s="{style}"><v>{value}</v></c></row>'
        for row, (style, value, _) in enumerate(cells, 2)
    ]
    assert [row[0] for _, _, row in records(book(*rows), "table")] == ["id", *(shown for _, _, shown in cells)]


def test_cells_that_do_not_say_their_places_stand_one_after_the_other() -> None:
    rows = list(records(book('<row><c t="inlineStr"><is><t>x</t></is></c><c s="1"><v>7</v></c></row>'), "table"))
    assert rows[1][2][:2] == ["x", "00007"]


def test_a_link_is_the_picture_and_the_address_and_never_the_name() -> None:
    places = (("B2", "h0"), ("C2", "h0"), ("D2", "h1"))
    links = "".join(f'<hyperlink ref="{place}" r:id="{link}"/>' for place, link in places)
    row = f'<row r="2">{text("A2", "1")}{text("B2", "photo")}{text("C2", "Крем")}{text("D2", "сайт")}</row>'
    after = f"<hyperlinks>{links}</hyperlinks>"
    offers, notes = read(book(row, after=after, targets=("https://s.example/1.jpg", "https://s.example/p1")))
    assert (offers["1"].pictures, offers["1"].product.name) == (("https://s.example/1.jpg",), "Крем")
    assert offers["1"].product.url == "https://s.example/p1"
    assert not notes


def test_a_changed_link_is_a_changed_row() -> None:
    links = '<hyperlinks><hyperlink ref="B2" r:id="h0"/></hyperlinks>'
    row = f'<row r="2">{text("A2", "1")}{text("B2", "photo")}{text("C2", "Крем")}</row>'
    digests = {item.digest for name in "12" for item in items(book(row, after=links, targets=(f"https://s.example/{name}.jpg",)))}
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("cell", "pictures"),
    [
        ('<c r="B2" t="str"><f>HYPERLINK("https://s.example/1.jpg","фото")</f><v>фото</v></c>', ("https://s.example/1.jpg",)),
        ('<c r="B2" t="e" vm="1"><f>_xlfn.IMAGE("https://s.example/1")</f><v>#VALUE!</v></c>', ("https://s.example/1",)),
        ('<c r="B2"><f>IMAGE(D2)</f></c>' + text("D2", "https://s.example/2"), ("https://s.example/2",)),
        ('<c r="B2"><f>IMAGE("https://s.example/1.jpg",4,80,80)</f></c>', ("https://s.example/1.jpg",)),
        ('<c r="B2" t="str"><f>HYPERLINK("#Sheet2!A1","b.jpg")</f><v>b.jpg</v></c>', ("b.jpg",)),
    ],
)
def test_formulas_of_links_and_pictures_lead_to_the_picture(cell: str, pictures: tuple[str, ...]) -> None:
    offers, notes = read(book(f'<row r="2">{text("A2", "1")}{cell}</row>'))
    assert offers["1"].pictures == pictures
    assert not notes


def test_a_formula_that_no_program_has_computed_shows_what_it_says() -> None:
    cell = '<c r="C2"><f>HYPERLINK("https://s.example/p","Крем &amp;amp; лосьон")</f></c>'
    offers, _ = read(book(f'<row r="2">{text("A2", "1")}{text("B2", "1.jpg")}{cell}</row>'))
    assert offers["1"].product.name == "Крем & лосьон"


@pytest.mark.parametrize(
    ("cell", "after", "parts"),
    [
        ('<c r="B2" t="e" vm="1"><v>#VALUE!</v></c>', "", {}),
        ('<c r="B2" t="str"><f>_xlfn.DISPIMG("ID_1",1)</f><v>=DISPIMG("ID_1",1)</v></c>', "", {}),
        ('<c r="B2"/>', '<drawing r:id="d"/>', {"xl/drawings/drawing1.xml": DRAWING.format(1)}),
    ],
    ids=["in the cell", "of WPS", "over the cell"],
)
def test_a_picture_that_lies_in_the_workbook_is_told_with_what_helps(cell: str, after: str, parts: dict[str, str]) -> None:
    offers, notes = read(book(f'<row r="2">{text("A2", "1")}{cell}{text("C2", "Крем")}</row>', after=after, parts=parts))
    assert offers["1"].pictures == ()
    assert len(notes) == 1
    assert "picture lies in the workbook itself and is not taken; save the pictures as files" in notes[0]
    assert "1 (first: line 2)" in notes[0]


def test_lists_and_labels_of_workbooks_name_what_links_lead_to(tmp_path: Path) -> None:
    links = '<hyperlinks><hyperlink ref="B2" r:id="h0"/></hyperlinks>'
    row = f'<row r="2">{text("A2", "1")}{text("B2", "photo")}</row>'
    file = tmp_path / "list.xlsx"
    file.write_bytes(book(row, after=links, targets=("photos/%D0%BA.jpg",)))
    assert [reference for reference, _ in read_list(file)] == ["photos/к.jpg"]
    assert [label.image for label in read_labels(file)] == ["photos/к.jpg"]


def test_a_drawing_that_is_not_there_hinders_nothing() -> None:
    offers, _ = read(book(f'<row r="2">{text("A2", "1")}{text("B2", "1.jpg")}</row>', after='<drawing r:id="d"/>'))
    assert offers["1"].pictures == ("1.jpg",)


def test_formats_of_zeros_alone_count() -> None:
    cells = [
        ("[&lt;=9999999]000-0000;(000) 000-0000", "51234567890", "51234567890"),
        ("00&quot; шт&quot;", "2", "2"),
        ("00/00", "512", "512"),
        ("+0 (000)", "512", "512"),
        ("000\\ 000", "512", "000 512"),
        ("\\A000", "7", "A007"),
        ("0" * 256, "7", "7"),
        ("0" * 255, "7", "7".zfill(255)),
    ]
    codes = "".join(f'<numFmt numFmtId="{number}" formatCode="{code}"/>' for number, (code, _, _) in enumerate(cells, 200))
    formats = "".join(f'<xf numFmtId="{number}"/>' for number in range(200, 200 + len(cells)))
    styles = f"<styleSheet {SPACE}><numFmts>{codes}</numFmts><cellXfs>{formats}</cellXfs></styleSheet>"
    rows = [f'<row r="{row + 2}"><c r="A{row + 2}" s="{row}"><v>{value}</v></c></row>' for row, (_, value, _) in enumerate(cells)]
    found = records(book(*rows, parts={"xl/styles.xml": styles}), "table")
    assert [row[0] for _, _, row in found] == ["id", *(shown for _, _, shown in cells)]


LINK = '<hyperlinks><hyperlink ref="{}" r:id="h0"/></hyperlinks>'


def test_a_text_that_names_pictures_stays() -> None:
    cells = [
        ("photos/1.jpg", "file:///C:\\Users\\me\\1.jpg", "photos/1.jpg"),
        ("photos/1.jpg", "https://shop.example/product/1", "photos/1.jpg"),
        ("1.jpg; 2.jpg", "https://shop.example/1.jpg", "1.jpg 2.jpg"),
        ("1.jpg", "https://shop.example/img/1.jpg", "https://shop.example/img/1.jpg"),
        ("1.JPG", "https://shop.example/img/1.jpg?w=100", "https://shop.example/img/1.jpg?w=100"),
        ("Крем 1.jpg", "https://s.example/%D0%9A%D1%80%D0%B5%D0%BC%201.jpg", "https://s.example/%D0%9A%D1%80%D0%B5%D0%BC%201.jpg"),
        ("s.example/a/1.jpg", "http://www.s.example/a/1.jpg", "http://www.s.example/a/1.jpg"),
        ("11.jpg", "https://shop.example/1.jpg", "11.jpg"),
        ("1.jpg", "https://shop.example/11.jpg", "1.jpg"),
        ("photo", "img/1.jpg", "img/1.jpg"),
        ("photo", "../Temp/1", "photo"),
    ]
    rows = [
        f'<row r="{row}">{text(f"A{row}", str(row))}{text(f"B{row}", shown)}{text(f"C{row}", "Крем")}</row>'
        for row, (shown, _, _) in enumerate(cells, 2)
    ]
    links = "".join(f'<hyperlink ref="B{row + 2}" r:id="h{row}"/>' for row in range(len(cells)))
    after, targets = f"<hyperlinks>{links}</hyperlinks>", tuple(target for _, target, _ in cells)
    offers, _ = read(book(*rows, after=after, targets=targets))
    assert [" ".join(offer.pictures) for offer in offers.values()] == [picture for _, _, picture in cells]


@pytest.mark.parametrize("target", ["C:\\img\\1.jpg", "[Book.xlsx]S!A1"])
def test_a_formula_that_leads_to_no_address_leaves_a_picture_as_it_is(target: str) -> None:
    cell = f'<c r="B2" t="str"><f>HYPERLINK("{target}","1.jpg")</f><v>1.jpg</v></c>'
    offers, _ = read(book(f'<row r="2">{text("A2", "1")}{cell}</row>'))
    assert offers["1"].pictures == ("1.jpg",)


def test_an_address_stays_that_a_link_to_a_file_lies_on() -> None:
    row = f'<row r="2">{text("A2", "1")}{text("B2", "1.jpg")}{text("D2", "shop.example/p?id=5")}</row>'
    offers, _ = read(book(row, after=LINK.format("D2"), targets=("../../AppData/Local/Temp/1.jpg",)))
    assert offers["1"].product.url == "shop.example/p?id=5"


def test_names_of_parts_are_the_same_in_letters_of_either_case() -> None:
    relations = PARTS["xl/_rels/workbook.xml.rels"].replace("sheet1.xml", "Sheet1.xml")
    row = f'<row r="2"><c r="A2" s="1"><v>7</v></c>{text("B2", "1.jpg")}</row>'
    offers, _ = read(book(row, parts={"xl/_rels/workbook.xml.rels": relations}))
    assert list(offers) == ["00007"]


LOST = f'<Relationships xmlns="{PACKAGE}"><Relationship Id="h0" Target="https://s.example/?a&b"/></Relationships>'


@pytest.mark.parametrize(
    ("parts", "identity"),
    [
        ({"xl/worksheets/_rels/sheet1.xml.rels": LOST}, "00007"),
        ({"xl/drawings/drawing1.xml": DRAWING.format("1.0")}, "00007"),
        ({"xl/drawings/drawing1.xml": DRAWING.format("")}, "00007"),
        ({"xl/drawings/drawing1.xml": "<d"}, "00007"),
        ({"xl/styles.xml": STYLES.replace("00000", "00000&#x1;")}, "7"),
    ],
)
def test_a_damaged_part_costs_what_it_says_alone(parts: dict[str, str], identity: str) -> None:
    row = f'<row r="2"><c r="A2" s="1"><v>7</v></c>{text("B2", "1.jpg")}</row>'
    offers, _ = read(book(row, after='<drawing r:id="d"/>', parts=parts))
    assert {identity: offer.pictures for identity, offer in offers.items()} == {identity: ("1.jpg",)}


def test_texts_of_linked_cells_are_no_errors() -> None:
    row = f'<row r="2">{text("A2", "#A")}{text("B2", "1.jpg")}{text("C2", "=LOVE")}</row>'
    offers, _ = read(book(row, after=LINK.format("A2:C2"), targets=("https://s.example/p",)))
    assert offers["#A"].product.name == "=LOVE"


def test_a_link_of_several_cells_is_of_each_with_a_text() -> None:
    shown = {2: "a", 3: "b", 4: ""}
    rows = [f'<row r="{row}">{text(f"A{row}", str(row))}{text(f"B{row}", cell)}</row>' for row, cell in shown.items()]
    offers, _ = read(book(*rows, after=LINK.format("B2:B1048576"), targets=("https://s.example/1",)))
    assert [offer.pictures for offer in offers.values()] == [("https://s.example/1",), ("https://s.example/1",), ()]


def test_a_cell_within_a_link_of_several_cells_keeps_its_own() -> None:
    rows = [f'<row r="{row}">{text(f"A{row}", str(row))}{text(f"B{row}", "p")}</row>' for row in (2, 3)]
    links = '<hyperlinks><hyperlink ref="B3" r:id="h0"/><hyperlink ref="B2:B4" r:id="h1"/></hyperlinks>'
    offers, _ = read(book(*rows, after=links, targets=("https://s.example/3", "https://s.example/all")))
    assert [offer.pictures for offer in offers.values()] == [("https://s.example/all",), ("https://s.example/3",)]


def test_a_shared_formula_leads_from_each_of_its_cells() -> None:
    formulas = ('<f t="shared" ref="B2:B3" si="0">HYPERLINK(D2,"p")</f>', '<f t="shared" si="0"/>')
    rows = (
        f'<row r="{row}">{text(f"A{row}", str(row))}<c r="B{row}" t="str">{formula}<v>p</v></c>'
        f'{text(f"D{row}", f"https://s.example/{row}")}</row>'
        for row, formula in enumerate(formulas, 2)
    )
    offers, _ = read(book(*rows))
    assert [offer.pictures for offer in offers.values()] == [("https://s.example/2",), ("https://s.example/3",)]


def test_styles_are_those_of_cells_alone_however_deep_they_lie() -> None:
    deep = "<a>" * 1000 + '<xf numFmtId="164"/>' * 5 + "</a>" * 1000
    styles = STYLES.replace("<cellXfs>", f"{deep}<cellXfs>")
    data = book('<row r="2"><c r="A2" s="1"><v>7</v></c></row>', parts={"xl/styles.xml": styles})
    assert next(row for _, number, row in records(data, "table") if number == 2)[0] == "00007"


def test_rows_of_the_same_formats_share_them() -> None:
    rows = (f'<row r="{row}"><c r="A{row}" s="1"><v>7</v></c><c r="B{row}" s="1"/></row>' for row in range(2, 9))
    formats = Beside(book(*rows)).cells("One").formats
    assert list(formats) == list(range(1, 8))
    assert {id(one) for one in formats.values()} == {id(formats[1])}
    assert formats[1] == ((0, "00000"),)


@pytest.mark.parametrize(
    ("cell", "picture"),
    [
        ('<a href="/product/1">img/1.jpg</a>', "img/1.jpg"),
        ('<a href="big/1.jpg">1.jpg</a>', "big/1.jpg"),
        ('<a href="https://s.example/1">photo</a>', "https://s.example/1"),
        ('1.jpg <a href="#top">up</a>', "1.jpg up"),
    ],
)
def test_links_of_html_leave_texts_that_name_pictures(cell: str, picture: str) -> None:
    page = f'<table><tr><td>id<td>image<td>url<tr><td>1<td>{cell}<td><a href="javascript:void(0)">shop.example/1</a></table>'
    stream = io.BufferedReader(io.BytesIO(page.encode()))
    (item,) = read_table(stream, "table.html", Faults(), mapping={})
    assert item.offer is not None
    assert (item.offer.pictures, item.offer.product.url) == ((picture,), "shop.example/1")


@pytest.mark.parametrize(
    ("header", "pictures"),
    [("image name;image url", ("http://a.example/1.jpg",)), ("imageName;imageURL", ("http://a.example/1.jpg",)),
     ("image name;note", ("Front",))],
)  # fmt: skip
def test_a_name_of_a_picture_counts_where_no_column_has_its_address(header: str, pictures: tuple[str, ...]) -> None:
    table = f"id;name;{header}\n1;x;Front;http://a.example/1.jpg\n".encode()
    (item,) = read_table(io.BufferedReader(io.BytesIO(table)), "table.csv", Faults(), mapping={})
    assert item.offer is not None
    assert item.offer.pictures == pictures
