"""Tables of id and picture: TSV and CSV, small and long."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from packsight.indexer.feed.offers import Faults, FeedError
from packsight.indexer.feed.source import Feed
from packsight.indexer.feed.table import read_table
from packsight.indexer.state.database import opened
from packsight.shared.settings import Catalog
from tests.feeds import Offers, taken_in


def read(text: str | bytes, encoding: str = "utf-8", **mapping: str) -> Offers:
    data = text if isinstance(text, bytes) else text.encode(encoding)
    stream = io.BufferedReader(io.BytesIO(data))
    with opened() as state:
        return taken_in(state, Feed("table", "", "", Faults(), joins=True, _stream=stream, _rules=Catalog(columns=mapping)))


def test_a_table_without_a_header_has_id_and_picture_first() -> None:
    offers = read("1\thttps://e.example/1.jpg\n2\thttps://e.example/2.jpg\n").by_id
    assert {identity: offer.pictures for identity, offer in offers.items()} == {
        "1": ("https://e.example/1.jpg",),
        "2": ("https://e.example/2.jpg",),
    }


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
def test_columns_are_found_by_their_names_in_any_order(delimiter: str) -> None:
    rows = [
        ["Vendor", "id", "other", "picture", "model", "url"],
        ["Линия", "1", "x", "a.jpg", "крем", "https://e.example/?utm_term=T"],
    ]
    product = read("\n".join(map(delimiter.join, rows))).by_id["1"].product
    assert (product.vendor, product.model, product.name, product.vendor_code) == ("Линия", "крем", "Линия крем", "T")


def test_rows_with_the_same_id_are_pictures_of_one_product() -> None:
    offer = read("id\tpicture\tname\n1\ta.jpg\t\n1\tb.jpg\tCream\n1\ta.jpg\tOther\n").by_id["1"]
    assert offer.pictures == ("a.jpg", "b.jpg")
    assert (offer.product.name, offer.product.picture) == ("Cream", "a.jpg")


def test_rows_without_an_id_are_counted() -> None:
    offers = read("id\tpicture\n1\ta.jpg\n\tb.jpg\n2\n\n")
    assert list(offers.by_id) == ["1", "2"]
    assert offers.notes == ("rows without an id, left out: 1 (first: line 3)",)


def test_quotation_marks_in_tab_separated_values_swallow_nothing() -> None:
    offers = read('id\tpicture\tname\r\n1\ta.jpg\t"Soap\r\n2\tb.jpg\t"Soap ""Fine"""\r\n').by_id
    assert [offer.product.name for offer in offers.values()] == ['"Soap', 'Soap "Fine"']


def test_windows_1251_and_a_byte_order_mark_are_understood() -> None:
    assert read("id;picture;name\n1;a.jpg;Крем\n", "cp1251").by_id["1"].product.name == "Крем"
    assert read("id;picture;name\n1;a.jpg;Крем\n", "utf-8-sig").by_id["1"].product.name == "Крем"


@pytest.mark.parametrize("text", ["", "id\tpicture\n", "just some words\nwithout any columns\n"])
def test_a_table_without_rows_is_an_error(text: str) -> None:
    with pytest.raises(FeedError):
        read(text)


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(FeedError, match="more than"):
        read("id\tpicture\n1\t" + "a" * 3_000_000)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1,a.jpg,Milk; 1\n2,b.jpg,Kefir; 2\n", {"1": "Milk; 1", "2": "Kefir; 2"}),
        ("1;a.jpg;Milk, 3,2 %\n2;b.jpg;Kefir, 1 %\n", {"1": "Milk, 3,2 %", "2": "Kefir, 1 %"}),
    ],
)
def test_without_a_header_the_place_of_the_pictures_tells_what_stands_between_cells(text: str, names: dict[str, str]) -> None:
    assert {identity: offer.product.name for identity, offer in read(text).by_id.items()} == names


def test_no_header_is_looked_for_below_a_product() -> None:
    found = read("1,a.jpg,one\n2,b.jpg,two\nid,picture,name\n3,c.jpg,three\n").by_id
    assert {"1", "2", "3"} <= found.keys()


@pytest.mark.parametrize("separator", ["\u2028", "\x85"])
def test_only_the_ends_of_lines_end_rows(separator: str) -> None:
    found = read(f"id,picture,name\n1,a.jpg,caf\xe9{separator}x\n2,b.jpg,tea\n").by_id
    assert found.keys() == {"1", "2"}
    assert read("id,picture,name\r1,a.jpg,Крем\r").by_id.keys() == {"1"}, "as old Macs wrote them"


@pytest.mark.parametrize(
    "body", [f"<tr>{'<td colspan=1000>' * 40}", f"<tr><td>{('a' * 1000 + '<b></b>') * 2000}"], ids=["cells", "text"]
)
def test_a_page_with_an_endless_row_or_cell_is_refused(body: str) -> None:
    with pytest.raises(FeedError, match=r"a (row|cell) of more than"):
        read(f"<html><table><tr><td>id<td>picture</tr>{body}</table></html>")


class _Long(io.BufferedIOBase):
    """A table of so many rows that is made while it is read."""

    def __init__(self, rows: int) -> None:
        self.rows, self.number = rows, 0

    def read(self, size: int | None = -1, /) -> bytes:
        until = min(self.number + 500, self.rows)
        data = "".join(f"{n}\thttps://e.example/{n:0400}.jpg\n" for n in range(self.number, until)).encode()
        self.number = until
        return data


def peak_of(rows: int) -> int:
    """Bytes that reading so many rows takes at most; nothing else may be at work in the process."""
    tracemalloc.start()
    assert sum(1 for _ in read_table(_Long(rows), "table", Faults(), mapping={})) == rows
    return tracemalloc.get_traced_memory()[1]


def test_a_long_table_is_read_row_by_row() -> None:
    code = "from tests.unit.test_table import peak_of; print(peak_of(3_700))"  # 1.6 MB
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert int(done.stdout) < 1_400_000


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Номенклатура", "name"), ("Название товара или услуги", "name"), ("Item Name", "name"), ("Nom", "name"),
        ("Бренды", "vendor"), ("Brand Name", "vendor"),
    ],
)  # fmt: skip
def test_names_and_vendors_are_found_under_what_exports_call_them(header: str, field: str) -> None:
    product = read(f"id;picture;{header}\n1;a.jpg;Крем\n").by_id["1"].product
    assert getattr(product, field) == "Крем"


def test_a_table_of_which_no_column_is_known_to_hold_names_says_so() -> None:
    offers = read("id;picture;Wording;price\n1;a.jpg;Cream;5\n")
    assert [note.partition(":")[2] for note in offers.notes] == [" 1 (first: of Wording)"]
    assert "--map name=" in offers.notes[0]
    assert read("id;picture;Wording\n1;a.jpg;Cream\n", name="Wording").notes == ()
    assert read("id;picture;Wording\n1;a.jpg;Cream\n", name="").notes == ()


def test_pictures_stand_under_numbered_columns_the_main_one_first() -> None:
    offer = read("Ваш SKU *;Фото 1;Фото 2;Фото3;Главное фото\n1;b.jpg;c.jpg;d.jpg;a.jpg\n").by_id["1"]
    assert offer.pictures == ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    assert read("sku,base_image,additional_images\n1,a.jpg,b.jpg\n").by_id["1"].pictures == ("a.jpg", "b.jpg")


@pytest.mark.parametrize("before", ["\n", "\r\n  \r\n", "\nsep=;\n", "sep=;;;\n", "sep = ;\n"])
def test_blank_lines_and_what_excel_makes_of_its_own_come_before_the_header(before: str) -> None:
    offers = read(f"{before}id;picture;name\n1;a.jpg;Cream, mild, 50 ml\n;b.jpg;\n")
    assert offers.by_id["1"].product.name == "Cream, mild, 50 ml"
    line = len(before.splitlines()) + 3
    assert offers.notes == (f"rows without an id, left out: 1 (first: line {line})",)


def test_digits_that_are_kept_from_excel_are_those_digits() -> None:
    assert list(read('id,picture,name\n="00125",a.jpg,"Cream ""C"""\n').by_id) == ["00125"]
    assert list(read('id;picture\n"=""00126""";a.jpg\n').by_id) == ["00126"]


def test_further_rows_of_a_product_add_their_barcodes() -> None:
    product = read("id,picture,barcode\n1,a.jpg,4600000000017|4600000000031\n1,b.jpg,4600000000024\n").by_id["1"].product
    assert product.barcodes == ("4600000000017", "4600000000031", "4600000000024")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_cyrillic_header_in_utf_16_without_a_mark_is_understood(encoding: str) -> None:
    assert read("Код;Фото;Название\n1;a.jpg;Крем\n", encoding).by_id["1"].product.name == "Крем"


def test_a_byte_that_is_no_character_is_told_with_its_line_and_encoding() -> None:
    with pytest.raises(FeedError, match="no text after line 2: byte 0x98 in cp1251"):
        read("id;picture;name\n1;a.jpg;Крем для рук\n2;b.jpg;Ы\n".encode("cp1251").replace("Ы".encode("cp1251"), b"\x98"))


@pytest.mark.parametrize(
    ("name", "read_as"),
    [
        (r'"Сок \"Добрый\", 1 л"', 'Сок "Добрый", 1 л'),
        (r'"TV 42\", чёрный"', 'TV 42", чёрный'),
        ('"Сок \\"А\\"\nи \\"Б\\", 1 л"', 'Сок "А" и "Б", 1 л'),
        (r'"a \\\"b\\\", c"', r'a \"b\", c'),
        (r'TV 42\" чёрный', r'TV 42\" чёрный'),
        (r'"C:\"', "C:" + chr(92)),
        (r'"C:\","x"', "C:" + chr(92)),
        ('"Крем ""Роза"", 1 л"', 'Крем "Роза", 1 л'),
    ],
)
def test_quotation_marks_that_mysql_escapes_are_read_where_the_row_is_none_otherwise(name: str, read_as: str) -> None:
    offers = read(f"id,picture,name,vendor\n1,a.jpg,{name}\n2,b.jpg,x\n")
    assert offers.by_id["1"].product.name == read_as
    assert (list(offers.by_id), offers.notes) == (["1", "2"], ())


def test_rows_that_are_wider_than_the_header_are_noted() -> None:
    offers = read('id,name,picture\n1,Мыло,a.jpg,,\n2,"Крем "Роза", 50 мл",b.jpg\n3,Крем,1,50,c.jpg\n')
    assert list(offers.by_id) == ["1", "2", "3"]
    (note,) = offers.notes
    assert note.startswith("rows with more cells than the header") and note.endswith(": 2 (first: line 3)")


@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_tables_that_were_joined_repeat_their_header_which_is_no_product(mark: str) -> None:
    table = "id;picture;name\n{};{}.jpg;Крем\n"
    offers = read(f"{mark}{table.format(1, 1)}{mark}{table.format(2, 2)}{mark}{'id;picture;title'}\n{mark}3;3.jpg\n")
    assert {identity: offer.pictures for identity, offer in offers.by_id.items()} == {
        number: (f"{number}.jpg",) for number in "123"
    }


@pytest.mark.parametrize("mark", ["\u200b", "\u2060", "\xa0"])
@pytest.mark.parametrize("cell", ["{}", '"{}"'])
def test_what_is_not_seen_around_a_cell_is_no_part_of_it(mark: str, cell: str) -> None:
    row = ";".join(cell.format(f"{mark}{one}{mark}") for one in ("1", "https://e.example/1.jpg"))
    offers = read(f"id;picture\n{row}\n1;b.jpg\n")
    assert offers.by_id["1"].pictures == ("https://e.example/1.jpg", "b.jpg")


@pytest.mark.parametrize(
    "table",
    [
        'id,picture,name\r1,a.jpg,"Крем\nдля рук"\r2,b.jpg,x\r3,c.jpg,y',
        'id\tpicture\tname\r1\ta.jpg\tКрем для рук\r2\tb.jpg\t"x\n\n\n\n\ny"\r3\tc.jpg\tz\r',
        "id;picture;name\r1;a.jpg;Крем для рук\r2;b.jpg;x\r3;c.jpg;y\r\n",
    ],
)
def test_lines_may_end_by_a_carriage_return_whatever_stands_in_cells(table: str) -> None:
    offers = read(table)
    assert list(offers.by_id) == ["1", "2", "3"]
    assert offers.by_id["1"].product.name == "Крем для рук"


def test_carriage_returns_in_cells_end_no_line_of_others() -> None:
    offers = read('id,picture,name\n1,a.jpg,"a\rb\rc\rd\re"\n2,b.jpg,x\n')
    assert [offer.product.name for offer in offers.by_id.values()] == ["a b c d e", "x"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_ends_lines_elsewhere_is_a_space_outside_of_quoted_cells(end: str) -> None:
    other = "\n" if end == "\r" else "\r"
    lines = ["id,picture,name,vendor", f'1,a.jpg,Крем{other}для рук,"x"', "2,b.jpg,y,z", "3,c.jpg,y,z", ""]
    offers = read(end.join(lines))
    assert (list(offers.by_id), offers.by_id["1"].product.name) == (["1", "2", "3"], "Крем для рук")


def test_a_long_table_whose_lines_end_by_a_carriage_return_is_read() -> None:
    rows = "".join(f"{n};{n}.jpg;{'Крем ' * 100}\r" for n in range(2_400))
    assert len(read(f"id;picture;name\r{rows}").by_id) == 2_400


@pytest.mark.parametrize(
    "table", ['"id;picture;name"\n"1;a.jpg;Крем, ""5"" мл"\n', '"id,picture,name"\n"1,a.jpg,""Крем, """"5"""" мл"""\n']
)
def test_lines_that_excel_took_for_one_cell_each_are_read(table: str) -> None:
    assert read(table).by_id["1"].product.name == 'Крем, "5" мл'


def test_ids_that_a_spreadsheet_has_shortened_are_noted() -> None:
    offers = read("id;picture\n4,60E+12;a.jpg\n4,60E+12;b.jpg\n7E+5x;c.jpg\n")
    (note,) = offers.notes
    assert "format the column as text" in note and note.endswith(": 2 (first: 4,60E+12 in line 2)")


def test_ids_that_a_program_has_taken_for_numbers_are_noted() -> None:
    offers = read("id,picture\n101.0,a.jpg\n102.0,b.jpg\n1.10,c.jpg\nv1.0,d.jpg\n")
    (note,) = offers.notes
    assert "keep the column as text" in note and note.endswith(": 2 (first: 101.0 in line 2)")


def test_a_column_of_ids_that_is_empty_throughout_counts_as_not_there() -> None:
    header = "ID,Type,SKU,Name,Images"
    offers = read(f"{header}\n,simple,S1,Крем,a.jpg\n,simple,S2,Мыло,b.jpg\n")
    assert [(offer.product.id, offer.pictures) for offer in offers.by_id.values()] == [("S1", ("a.jpg",)), ("S2", ("b.jpg",))]
    offers = read(f"{header}\n,simple,S1,Крем,a.jpg\n5,simple,S2,Мыло,b.jpg\n")
    assert (list(offers.by_id), offers.notes) == (["5"], ("rows without an id, left out: 1 (first: line 2)",))
    with pytest.raises(FeedError, match=r"no offers \(rows without an id, left out: 1 \(first: line 2\)\)"):
        read(f"{header}\n,simple,,Крем,a.jpg\n")
    with pytest.raises(FeedError, match="rows without an id"):
        read(f"{header}\n,simple,S1,Крем,a.jpg\n", id="ID")


ABOVE = [
    "Прайс-лист от 01.11.2026\n",
    ";;;\n\nПрайс-лист;;;\n;;;\n",
    'ООО «Ромашка», тел. +7 (495) 000-00-00;"пр. Мира, 1\nоф. 2";;\nВсе цены, в рублях, с НДС;;;\n\n',
    "Фото и цены;;;\n" * 18,
]


@pytest.mark.parametrize("above", ABOVE)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "utf-16"])
def test_what_a_price_list_has_above_its_header_is_passed_over(above: str, encoding: str) -> None:
    offers = read(f"{above}Артикул;Название;Фото;Цена, руб.\n1;Крем, 5 мл;a.jpg;9,50\n;x;b.jpg;\n", encoding)
    assert (offers.by_id["1"].product.name, offers.by_id["1"].pictures) == ("Крем, 5 мл", ("a.jpg",))
    assert offers.notes == (f"rows without an id, left out: 1 (first: line {above.count(chr(10)) + 3})",)


def test_columns_that_are_named_by_hand_are_looked_for_below_titles_too() -> None:
    table = "Прайс-лист\n\nНомер;Снимок;Название\n1;a.jpg;Крем\n"
    assert read(table, id="Номер", picture="Снимок").by_id["1"].pictures == ("a.jpg",)
    with pytest.raises(FeedError, match=r"no column id and picture; it has Номер, Снимок, Название"):
        read(table)
    with pytest.raises(FeedError, match=r"no column Foto; it has Номер, Снимок, Название"):
        read(table, id="Номер", picture="Foto")


@pytest.mark.parametrize("row", ["Код;Фото товара;x", "1;Фото;Код"])
def test_no_row_of_a_table_without_a_header_is_one_unless_it_names_all_that_is_needed(row: str) -> None:
    assert list(read("1;a.jpg;Крем\n2;b.jpg;Фото\n").by_id) == ["1", "2"]
    with pytest.raises(FeedError, match="it has Номер, Название, Вид"):
        read("Номер;Название;Вид\n1;Крем;фото\nКод;Товар;x\n")
    with pytest.raises(FeedError, match="it has Номер, Название, Вид"):
        read("Номер;Название;Вид\n1;Крем;x\nx;x;Код\n", picture="")
    far = "Номер;Название;Вид\n" + "1;Крем;x\n" * 30
    with pytest.raises(FeedError, match="it has Номер, Название, Вид"):
        read(f"{far}{row}\n1;a.jpg;b.jpg\n")


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Артикул;Название;Габариты (Д, Ш, В, мм, см);Картинка", "1;Крем;1, 2, 3;a.jpg"),
        ("Артикул,Название,Состав; вес; объём; цвет,Картинка", "1,Крем,1; 2,a.jpg"),
        ('Артикул,Название,"Состав; вес; объём; цвет",Картинка', '1,Крем,"1, 2; 3",a.jpg'),
        ("Артикул|Название|Габариты (Д, Ш, В; мм)|Картинка", "1|Крем|1, 2; 3|a.jpg"),
        ("Артикул\tНазвание\tГабариты (Д, Ш, В; мм; см)\tКартинка", "1\tКрем\t1, 2; 3\ta.jpg"),
        ("Артикул;Название;\tВид;Картинка", "1;Крем;a\tb\tc;a.jpg"),
    ],
)
def test_what_stands_between_cells_is_what_gives_a_header_that_is_understood(header: str, row: str) -> None:
    offer = read(f"{header}\n{row}\n").by_id["1"]
    assert (offer.product.name, offer.pictures) == ("Крем", ("a.jpg",))


def test_without_a_header_cells_stand_between_what_rows_have_alike() -> None:
    offers = read("1;a,1.jpg;Крем\n2;a,b,c,2.jpg;Мыло\n3;c.jpg;Чай, чёрный\n").by_id
    assert [offer.pictures for offer in offers.values()] == [("a,1.jpg",), ("a,b,c,2.jpg",), ("c.jpg",)]


@pytest.mark.parametrize("delimiter", ["\t", ";", ",", "|"])
@pytest.mark.parametrize("between", [";", ",", "|"])
@pytest.mark.parametrize("header", [True, False])
def test_many_pictures_in_a_cell_do_not_say_what_stands_between_cells(delimiter: str, between: str, header: bool) -> None:
    if between == delimiter:
        return
    rows = [["id", "picture", "name"]] * header
    rows += [[str(one), between.join(f"{one}{letter}.jpg" for letter in "abcdefg"), "Cream"] for one in (1, 2)]
    offers = read("\n".join(map(delimiter.join, rows))).by_id
    assert {identity: offer.pictures for identity, offer in offers.items()} == {
        one: tuple(f"{one}{letter}.jpg" for letter in "abcdefg") for one in ("1", "2")
    }


def test_a_header_goes_before_addresses_that_look_like_a_first_row() -> None:
    offers = read("id,name,image\n1,Cream,https://e.example/?n=1;https://e.example/2.jpg;https://e.example/3.jpg;b\n").by_id
    assert list(offers) == ["1"]
    assert offers["1"].product.name == "Cream"


@pytest.mark.parametrize("total", ["Итого", "Итого:", "ВСЕГО ПО ПРАЙСУ", "Всего позиций: 2", "Total"])
def test_sums_below_a_table_are_no_products(total: str) -> None:
    offers = read(f"Код;Наименование;Фото;Цена\n1;Крем;a.jpg;9\n{total};;;9\n")
    assert list(offers.by_id) == ["1"]
    assert offers.notes == (
        f"rows that are words alone, taken for titles of what is below or totals and left out: 1 (first: “{total}” in line 3)",
    )


@pytest.mark.parametrize("title", ["1. Кремы", "Уход за кожей (20)", "Кремы:", "Hair care 2"])
def test_titles_may_hold_numbers_and_marks(title: str) -> None:
    offers = read(f"Код;Наименование;Фото\n{title};;\n1;Крем;a.jpg\nABC 12;;\nК-7;;\n").by_id
    assert list(offers) == ["1", "ABC 12", "К-7"]


def test_rows_that_explain_the_columns_are_no_products() -> None:
    offers = read(
        "Артикул;Название;Фото;Бренд\n"
        "обязательно;обязательно;обязательно;\n"
        ";Составьте по схеме;;\n"
        "Уникальный код товара, до 50 знаков;Как на сайте;Ссылки, до 15 штук;\n"
        "Крем для рук;Крем;нет фото;\n"
        "Total Care;Крем;кадр первый;\n"
    )
    assert list(offers.by_id) == ["Крем для рук", "Total Care"]
    assert offers.notes == (
        "rows below the header that seem to say what belongs into its columns, left out: 2 (first: “обязательно” in line 2)",
        "rows without an id, left out: 1 (first: line 3)",
    )


@pytest.mark.parametrize("delimiter", [";", ",", "|", "\t"])
def test_a_quotation_mark_that_never_ends_takes_nothing_with_it(delimiter: str) -> None:
    rows = [["id", "name", "picture"], ["1", '"Rose cream', "a.jpg"], ["2", '"Soap"', '"b.jpg"'], ["3", 'TV 24"', "c.jpg"]]
    offers = read("\n".join(map(delimiter.join, rows))).by_id
    assert [offer.product.name for offer in offers.values()] == ['"Rose cream', "Soap", 'TV 24"']
    assert [offer.pictures for offer in offers.values()] == [("a.jpg",), ("b.jpg",), ("c.jpg",)]
