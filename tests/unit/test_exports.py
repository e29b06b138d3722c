"""Tables and feeds as programs of shops export them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest

from packsight.indexer.feed.offers import FeedError, Offer
from packsight.indexer.feed.pictures import pictures_in
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Catalog, Settings
from packsight.shared.tables import kinds, workbook
from packsight.shared.tables.columns import columns
from packsight.shared.tables.table import read_table
from tests.feeds import read_offers


def read(tmp_path: Path, data: str | bytes, name: str = "feed.csv", **rules: object) -> dict[str, Offer]:
    file = tmp_path / name
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    settings = Settings(_env_file=None, catalog=Catalog.model_validate(rules))
    return read_offers(str(file), settings).by_id


WOOCOMMERCE = """ID,Type,SKU,"GTIN, UPC, EAN, or ISBN",Name,Published,Short description,Regular price,Categories,Images,Brands
15,simple,S-15,4600000000017,"Crème ""Rose"" 50",1,<p>Soft&nbsp;cream</p>,900,Care,"https://e.example/a.jpg, https://e.example/b,2.jpg",ROSE
16,variable,S-16,,Soap,1,,,Care,https://e.example/c.jpg,
"""
SHOPIFY = """Handle,Title,Body (HTML),Vendor,Type,Variant SKU,Variant Price,Variant Barcode,Image Src,Image Position
rose-cream,Rose cream,<p>Soft</p>,ROSE,Care,S-1,900,4600000000017,https://e.example/1.jpg,1
rose-cream,,,,,,,,https://e.example/2.jpg,2
soap,Soap,,ROSE,Care,S-2,100,,https://e.example/3.jpg,1
"""
ONE_C = "Код;Артикул;Наименование;Производитель;Штрихкод;Цена;Фото\n"
ONE_C += "00-15;А-15;Крем «Роза»;РОЗА;4600000000017;900,00;фото\\15.jpg\n"
GOOGLE_TABLE = (
    "id\ttitle\tdescription\tlink\timage_link\tadditional_image_link\tbrand\tgtin\tavailability\n"
    "7\tRose cream\tSoft\thttps://e.example/7\thttps://e.example/7.jpg\thttps://e.example/7b.jpg,https://e.example/7c.jpg"
    "\tROSE\t4600000000017\tin stock\n"
    "8\tSoap\t\thttps://e.example/8\thttps://e.example/8.jpg\t\tROSE\t\tout_of_stock\n"
)
RSS = """<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>A shop</title><link>https://e.example</link>
<item><g:id>7</g:id><title>Rose &amp;amp; cream</title><link>https://e.example/7?a=1&amp;amp;b=2</link><g:image_link>https://e.example/7.jpg</g:image_link>
<g:additional_image_link>https://e.example/7b.jpg</g:additional_image_link><g:brand>ROSE</g:brand><g:gtin>4600000000017</g:gtin></item>
<item><title>Nobody</title></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>A shop</title>
<entry><g:id>7</g:id><title>Rose cream</title><link href="https://e.example/7"/><g:image_link>https://e.example/7.jpg</g:image_link></entry></feed>"""


def test_pictures_of_google_feeds_may_stand_in_elements_beside_what_is_said_of_them(tmp_path: Path) -> None:
    nested = "<g:image><g:url>https://e.example/7c.jpg</g:url><g:tag>front</g:tag></g:image>"
    (offer,) = read(tmp_path, RSS.replace("<g:brand>", f"{nested}<g:brand>"), "feed.xml").values()
    assert offer.pictures == ("https://e.example/7.jpg", "https://e.example/7c.jpg", "https://e.example/7b.jpg")


def test_a_table_of_woocommerce(tmp_path: Path) -> None:
    offers = read(tmp_path, WOOCOMMERCE)
    product = offers["15"].product
    assert offers["15"].pictures == ("https://e.example/a.jpg", "https://e.example/b,2.jpg")
    assert (product.name, product.vendor, product.vendor_code, product.price) == ('Crème "Rose" 50', "ROSE", "S-15", "900")
    assert (product.description, product.barcodes) == ("Soft cream", ("4600000000017",))


def test_a_table_of_shopify_has_further_pictures_in_further_rows(tmp_path: Path) -> None:
    offers = read(tmp_path, SHOPIFY)
    assert offers["rose-cream"].pictures == ("https://e.example/1.jpg", "https://e.example/2.jpg")
    assert [offer.product.name for offer in offers.values()] == ["Rose cream", "Soap"]


def test_a_table_of_shopify_by_its_newer_names(tmp_path: Path) -> None:
    table = "Title,URL handle,SKU,Product image URL,Image position,Variant image URL\n"
    (offer,) = read(tmp_path, f"{table}Rose,rose,R-1,https://e.example/1.jpg,1,https://e.example/v.jpg\n").values()
    assert (offer.product.id, offer.product.vendor_code, offer.product.name) == ("rose", "R-1", "Rose")
    assert offer.pictures == ("https://e.example/1.jpg", "https://e.example/v.jpg")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "utf-16"])
def test_a_table_of_1c(tmp_path: Path, encoding: str) -> None:
    (offer,) = read(tmp_path, ONE_C.encode(encoding)).values()
    assert (offer.product.id, offer.product.vendor_code, offer.product.name) == ("00-15", "А-15", "Крем «Роза»")
    assert offer.pictures == ("фото\\15.jpg",)


def test_a_table_of_google(tmp_path: Path) -> None:
    offers = read(tmp_path, GOOGLE_TABLE, include_unavailable=False)
    assert list(offers) == ["7"]
    assert offers["7"].pictures == tuple(f"https://e.example/7{x}.jpg" for x in ("", "b", "c"))


@pytest.mark.parametrize("feed", [RSS, ATOM])
def test_feeds_of_google(tmp_path: Path, feed: str) -> None:
    (offer,) = read(tmp_path, feed, "feed.xml").values()
    assert offer.product.name in ("Rose & cream", "Rose cream")
    assert offer.product.url in ("https://e.example/7?a=1&b=2", "https://e.example/7")
    assert offer.pictures[0] == "https://e.example/7.jpg"


@pytest.mark.parametrize("other", ["<id>https://e.example/entry/1</id>", "<content><id>9</id></content><id>tag:1</id>"])
@pytest.mark.parametrize("own_first", [True, False])
def test_the_id_of_google_goes_before_that_of_the_entry(tmp_path: Path, other: str, own_first: bool) -> None:
    own = "<g:id>7</g:id>"
    feed = ATOM.replace(own, own + other if own_first else other + own)
    assert list(read(tmp_path, feed, "feed.xml")) == ["7"]
    assert list(read(tmp_path, ATOM.replace(own, "<id>9</id>"), "feed.xml")) == ["9"]


@pytest.mark.parametrize(
    ("picture", "pictures"),
    [
        *((f"https://e.example/1.jpg{mark}https://e.example/2.jpg", ("https://e.example/1.jpg", "https://e.example/2.jpg"))
          for mark in (",", ", ", " ", "\n", ";", "|", " ,\n  ")),
        ("//e.example/1.jpg, s3://b/2.jpg,", ("//e.example/1.jpg", "s3://b/2.jpg")),
        ("https://e.example/w=1,h=2/a, b.jpg", ("https://e.example/w=1,h=2/a, b.jpg",)),
        ("https://e.example/?of=https://e.example/1.jpg", ("https://e.example/?of=https://e.example/1.jpg",)),
        ("a, b.jpg", ("a, b.jpg",)),
        ("a.jpg,", ("a.jpg,",)),
        ("photos/1.jpg, photos/2.jpg", ("photos/1.jpg", "photos/2.jpg")),
        ("https://e.example/1.jpg / https://e.example/2.jpg", ("https://e.example/1.jpg", "https://e.example/2.jpg")),
        ('["https://e.example/1.jpg", "2.jpg"]', ("https://e.example/1.jpg", "2.jpg")),
        ("\u200bhttps://e.example/1.jpg\ufeff", ("https://e.example/1.jpg",)),
        ("нет", ()),
    ],
)  # fmt: skip
def test_an_element_of_yml_may_name_several_addresses(tmp_path: Path, picture: str, pictures: tuple[str, ...]) -> None:
    feed = YML.format("", "").replace("</offer>", f"<picture>{picture}</picture></offer>")
    assert read(tmp_path, feed, "feed.xml")["1"].pictures == pictures


def test_pictures_of_yml_may_stand_in_an_element_of_their_own(tmp_path: Path) -> None:
    feed = YML.format("", "").replace("</offer>", "<pictures><picture>a.jpg</picture><picture>b.jpg</picture></pictures></offer>")
    assert read(tmp_path, feed, "feed.xml")["1"].pictures == ("a.jpg", "b.jpg")


@pytest.mark.parametrize(
    ("text", "barcodes"),
    [
        ("4600000000015, 4600000000022", ("4600000000015", "4600000000022")),
        ("4600000000015;", ("4600000000015",)),
        ("EAN: 4600000000015|EAN-13:4600000000022", ("4600000000015", "4600000000022")),
        ("4600000000015.0", ("4600000000015",)),
        ("-5.05", ("-5.05",)),
    ],
)
def test_barcodes_of_tables_and_of_yml_are_read_alike(tmp_path: Path, text: str, barcodes: tuple[str, ...]) -> None:
    feed = YML.format("", "").replace("</offer>", f"<barcode>{text}</barcode></offer>")
    assert read(tmp_path, feed, "feed.xml")["1"].product.barcodes == barcodes
    assert read(tmp_path, f'id\tpicture\tШтрихкод\n1\ta.jpg\t"{text}"\n')["1"].product.barcodes == barcodes


@pytest.mark.parametrize("written", ["'00012", "\u200b00012\ufeff", "\u206000012 "])
def test_an_id_is_without_what_keeps_it_text_or_is_not_seen(tmp_path: Path, written: str) -> None:
    assert list(read(tmp_path, f"id;picture\n{written};a.jpg\n")) == ["00012"]
    assert list(read(tmp_path, YML.format("", "").replace('"1"', f'"{written}"'), "feed.xml")) == ["00012"]


@pytest.mark.parametrize("word", ["-", "ЛОЖЬ", "N", "discontinued", "Отсутствует", "Sold out", "нет", "false"])
def test_what_is_not_to_be_had_is_left_out_however_that_is_said(tmp_path: Path, word: str) -> None:
    table = f"id;picture;Наличие\n1;a.jpg;{word}\n2;b.jpg;да\n"
    assert list(read(tmp_path, table, include_unavailable=False)) == ["2"]
    offers = OFFER.replace("</offer>", f"<available>{word}</available></offer>") + OFFER.replace('"1"', '"2"')
    feed = YML.format("", "").replace(OFFER, offers)
    assert list(read(tmp_path, feed, "feed.xml", include_unavailable=False)) == ["2"]


@pytest.mark.parametrize(
    ("header", "field"),
    [
        *((name, "barcodes") for name in ("Штрихкод (Серийный номер / EAN)", "Баркоды", "Штрихкод EAN13")),
        *((name, "picture") for name in ("additional_image_urls", "MORE_PHOTO", "Галерея")),
    ],
)
def test_barcodes_and_pictures_are_found_under_what_marketplaces_call_them(tmp_path: Path, header: str, field: str) -> None:
    offer = read(tmp_path, f"id;{header}\n1;4600000000015.jpg\n", columns={} if field == "picture" else {"picture": ""})["1"]
    assert "4600000000015.jpg" in getattr(offer.product, field)


@pytest.mark.parametrize("header", ["ItemID;ImageURL;ItemName", "Идентификатор;Картинка (ссылка);Название [title]"])
def test_names_of_columns_may_be_written_in_one_word_or_with_brackets(tmp_path: Path, header: str) -> None:
    offer = read(tmp_path, f"{header}\n1;a.jpg;Cream\n")["1"]
    assert (offer.product.name, offer.pictures) == ("Cream", ("a.jpg",))


def test_names_in_one_word_are_those_that_they_were(tmp_path: Path) -> None:
    table = "id;picture;barCode;permaLink\n1;a.jpg;4600104029677;https://e.example/1\n"
    product = read(tmp_path, table)["1"].product
    assert (product.barcodes, product.url) == (("4600104029677",), "https://e.example/1")
    assert columns(["id", "imageurl"], {"picture": "imageURL"})["picture"] == [1]
    assert columns(["id", "imageURL"], {"picture": "imageurl"})["picture"] == [1]


def test_codes_of_something_else_are_no_ids_and_of_several_names_none_is_guessed() -> None:
    assert "id" not in columns(["Код (категории)", "Название", "Фото"], {})
    assert "name" not in columns(["id", "Фото", "Название (англ.)", "Название (рус.)"], {})


def test_what_stands_in_brackets_tells_columns_apart(tmp_path: Path) -> None:
    table = "id;Название (англ);Название;Фото (обложка);Фото;Наличие (склад 2)\n1;Rose;Роза;b.jpg;a.jpg;0\n"
    offer = read(tmp_path, table, include_unavailable=False)["1"]
    assert (offer.product.name, offer.pictures) == ("Роза", ("a.jpg",))


def test_a_separator_that_is_told_wrongly_is_passed_over(tmp_path: Path) -> None:
    offer = read(tmp_path, "sep=,\nid;picture;name\n1;a.jpg;Cream, soft\n")["1"]
    assert offer.product.name == "Cream, soft"


def test_a_separator_that_is_told_to_excel_is_no_row(tmp_path: Path) -> None:
    for line in ("sep=;", '"sep=;"', "SEP=;\r"):
        (offer,) = read(tmp_path, f"{line}\nid;picture;name\n1;a.jpg;Cream, soft\n").values()
        assert offer.product.name == "Cream, soft"


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
def test_a_quoted_cell_may_hold_line_breaks(tmp_path: Path, delimiter: str) -> None:
    header = ["id", "picture", "name"]
    rows = [header, ["1", "a.jpg", '"Крем\nдля ""рук"""'], ["2", "b.jpg", '"Soap\r\n\r\nbar"'], ["3", "c.jpg", "x"]]
    offers = read(tmp_path, "\n".join(map(delimiter.join, rows)))
    assert [offer.product.name for offer in offers.values()] == ['Крем для "рук"', "Soap bar", "x"]


def test_a_quotation_mark_that_never_ends_costs_no_other_row(tmp_path: Path) -> None:
    rows = "".join(f'{n}\t{n}.jpg\t"Name {n}\n' for n in range(3000))
    assert len(read(tmp_path, f"id\tpicture\tname\n{rows}")) == 3000


@pytest.mark.parametrize(
    ("cell", "pictures"),
    [
        ("a.jpg, b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg, a.jpg?v=2", ["a.jpg", "a.jpg?v=2"]),
        ("a.jpg|b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg\nb.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg;b.png;", ["a.jpg", "b.png"]),
        ("one, two.jpg", ["one, two.jpg"]),
        ("two  spaces.jpg", ["two  spaces.jpg"]),
        ("https://e.example/a?size=1,2", ["https://e.example/a?size=1,2"]),
        ("https://e.example/a https://e.example/b", ["https://e.example/a", "https://e.example/b"]),
        ("https://e.example/a;//cdn.example/b", ["https://e.example/a", "//cdn.example/b"]),
        ("https://e.example/a?x=1&amp;y=2", ["https://e.example/a?x=1&y=2"]),
        ("", []),
        ('["https://e.example/a","https://e.example/b"]', ["https://e.example/a", "https://e.example/b"]),
        (r'["https:\/\/e.example\/a.jpg"]', ["https://e.example/a.jpg"]),
        ("[https://e.example/a, https://e.example/b]", ["https://e.example/a", "https://e.example/b"]),
        ("['a.jpg', 'b.jpg']", ["a.jpg", "b.jpg"]),
        ('"https://e.example/a", "https://e.example/b"', ["https://e.example/a", "https://e.example/b"]),
        ("[1].jpg", ["[1].jpg"]),
        ("https://e.example/a / https://e.example/b", ["https://e.example/a", "https://e.example/b"]),
        ("https://e.example/1.jpg,/img/2.jpg", ["https://e.example/1.jpg", "/img/2.jpg"]),
        ("https://e.example/1.jpg,2.jpg", ["https://e.example/1.jpg,2.jpg"]),
        ("https://e.example/a,/b.jpg", ["https://e.example/a,/b.jpg"]),
        ('<img alt="" src="https://e.example/a?x=1&amp;y=2"><br><img src=b.jpg>', ["https://e.example/a?x=1&y=2", "b.jpg"]),
        ('<a href="https://e.example/a">фото</a>', ["https://e.example/a"]),
        ('=HYPERLINK("https://e.example/a";"фото")', ["https://e.example/a"]),
        ('=image( "https://e.example/a" )', ["https://e.example/a"]),
        ("\u200bhttps://e.example/a\ufeff", ["https://e.example/a"]),
        ('=_xlfn.IMAGE("https://e.example/a")', ["https://e.example/a"]),
        ('[{"src": "https://e.example/a", "alt": "Крем"}, {"url": "b.jpg"}]', ["https://e.example/a", "b.jpg"]),
        ('{"main": "a.jpg", "more": ["b.jpg"], "title": "Крем"}', ["a.jpg", "b.jpg"]),
        ("{https://e.example/a,https://e.example/b}", ["https://e.example/a", "https://e.example/b"]),
        ("('a.jpg', 'b.jpg')", ["a.jpg", "b.jpg"]),
        ('a:2:{i:0;s:5:"a.jpg";i:1;s:19:"https://e.example/b";}', ["a.jpg", "https://e.example/b"]),
        ("![Крем](https://e.example/a)", ["https://e.example/a"]),
        ("https://e.example/a ! alt : b ! title : c | https://e.example/b ! alt :", ["https://e.example/a", "https://e.example/b"]),
        ("https://e.example/a<br>https://e.example/b", ["https://e.example/a", "https://e.example/b"]),
        ("a.jpg<BR />b.jpg", ["a.jpg", "b.jpg"]),
        (r"https://e.example/a\nhttps://e.example/b", ["https://e.example/a", "https://e.example/b"]),
        (r"photos\new\rose.jpg", [r"photos\new\rose.jpg"]),
        ("https://e.example/a.jpg，https://e.example/b.jpg", ["https://e.example/a.jpg", "https://e.example/b.jpg"]),
        ("https://e.example/a.jpg::https://e.example/b.jpg", ["https://e.example/a.jpg", "https://e.example/b.jpg"]),
        ("https://e.example/a.jpg?of=https://e.example/b.jpg", ["https://e.example/a.jpg?of=https://e.example/b.jpg"]),
        ("https://e.example/w_9/https://e.example/b.jpg", ["https://e.example/w_9/https://e.example/b.jpg"]),
        ("(1).jpg", ["(1).jpg"]),
        ("(1) крем (2)", ["(1) крем (2)"]),
        ("{code}.jpg {x}", ["{code}.jpg {x}"]),
        ("https://e.example/[x](y).jpg", ["https://e.example/[x](y).jpg"]),
        ("![a](https://e.example/b_(1).jpg)", ["https://e.example/b_(1).jpg"]),
        ("https://e.example/f_auto,w_3.5xx:https://e.example/b.jpg", ["https://e.example/f_auto,w_3.5xx:https://e.example/b.jpg"]),
        ("https://e.example/a.jpg ! alt : b, https://e.example/c.jpg ! alt : d", ["https://e.example/a.jpg", "https://e.example/c.jpg"]),
        *((nothing, []) for nothing in ("нет", "-", "—", "NULL", "\\N", "#N/A", "0", "none", "нет | -")),
    ],
)
def test_a_cell_may_name_several_pictures(cell: str, pictures: list[str]) -> None:
    assert pictures_in(cell) == pictures


@pytest.mark.parametrize("piece", [" ", r"\n", "<br", "[", "](", " ! a", "\"", ".jpg#"])
def test_what_parts_pictures_is_looked_for_in_time_whatever_a_cell_holds(piece: str) -> None:
    (found,) = pictures_in(f"https://e.example/a{piece * 100_000}b")
    assert found.startswith("https://e.example/a")


@pytest.mark.parametrize(
    "table",
    [
        "Номер;Снимок;Название\n1;a.jpg;Крем\n",
        "id;Снимок;name\n1;a.jpg;Крем\n",
        "sku;title\n1;Cream\n",
    ],
)
def test_a_header_that_is_not_understood_is_refused_with_its_columns(tmp_path: Path, table: str) -> None:
    with pytest.raises(FeedError, match=r"has no column .*(id|picture).*--map") as caught:
        read(tmp_path, table)
    assert table.split("\n", maxsplit=1)[0].rsplit(";", maxsplit=1)[-1].split(",", maxsplit=1)[0] in str(caught.value)


def test_columns_can_be_named(tmp_path: Path) -> None:
    table = "Номер;Снимок;Название\n1;a.jpg;Крем\n"
    (offer,) = read(tmp_path, table, columns={"id": "номер", "picture": "Снимок"}).values()
    assert (offer.product.id, offer.pictures, offer.product.name) == ("1", ("a.jpg",), "Крем")
    (offer,) = read(tmp_path, "sku;title\n1;Cream\n", columns={"picture": ""}).values()
    assert offer.pictures == ()
    with pytest.raises(FeedError, match="no column Foto"):
        read(tmp_path, table, columns={"id": "Номер", "picture": "Foto"})
    with pytest.raises(FeedError, match="colour is no field"):
        read(tmp_path, table, columns={"colour": "Номер"})


def test_a_product_is_known_by_what_the_operator_chose(tmp_path: Path) -> None:
    table = (
        "id;sku;picture;name;url\n1;A;1.jpg;Cream;https://e.example/?utm_term=T1\n2;A;2.jpg;;https://e.example/?utm_term=T2\n"
        "3;;3.jpg;Soap;\n"
    )
    by_code = read(tmp_path, table, identity="vendor_code")
    assert {name: offer.pictures for name, offer in by_code.items()} == {"A": ("1.jpg", "2.jpg"), "3": ("3.jpg",)}
    assert list(read(tmp_path, table, identity="url:utm_term")) == ["T1", "T2"]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("<![CDATA[ORISTO&nbsp;Soft &quot;new&quot; L&#039;Or &amp; Co<br/>50 ml]]>", "ORISTO Soft \"new\" L'Or & Co 50 ml"),
        ("<![CDATA[Крем <script>if (a < b) track('ORISTO')</script><STYLE>b {}</STYLE >50 мл]]>", "Крем 50 мл"),
        ("<![CDATA[Крем <script>мятный]]>", "Крем мятный"),
        ("Крем &amp;laquo;Роза&amp;raquo; A&amp;amp;B", "Крем «Роза» A&B"),
        ("5 &lt; 6 &gt; 4", "5 < 6 > 4"),
        ("Vertical\x0btab", "Vertical tab"),
        ("&lt;![CDATA[Крем]]&gt;", "Крем"),
    ],
)
def test_names_come_out_readable(tmp_path: Path, raw: str, name: str) -> None:
    offer = f'<offer id="1"><name>{raw}</name><vendor>{raw}</vendor></offer>'
    feed = f"<yml_catalog><shop><offers>{offer}</offers></shop></yml_catalog>"
    product = read(tmp_path, feed, "feed.xml")["1"].product
    assert (product.name, product.vendor) == (name, name)


OFFER = '<offer id="1"><name>Крем для рук</name></offer>'
YML = f'<?xml version="1.0"{{}}?>\n<yml_catalog{{}}><shop><offers>{OFFER}</offers></shop></yml_catalog>'


@pytest.mark.parametrize(
    ("declared", "real"),
    [
        ("windows-1251", "utf-8"), ("iso-8859-1", "utf-8"), ("koi8-r", "utf-8"), ("", "cp1251"), ("utf-8", "cp1251"),
        ("koi8-r", "koi8-r"), ("utf-16", "utf-16"), ("utf-8", "utf-16"), ("windows-1251", "cp1251"),
    ],
)  # fmt: skip
def test_the_bytes_decide_the_encoding_of_a_feed(tmp_path: Path, declared: str, real: str) -> None:
    feed = YML.format(f' encoding="{declared}"' if declared else "", "").encode(real)
    assert read(tmp_path, feed, "feed.xml")["1"].product.name == "Крем для рук"


def test_space_before_the_declaration_and_a_namespace_do_not_matter(tmp_path: Path) -> None:
    feed = "\n \n" + YML.format("", ' xmlns="http://example.com/yml"')
    assert read(tmp_path, feed, "feed.xml")["1"].product.name == "Крем для рук"


@pytest.mark.parametrize(
    ("name", "advice"),
    [("a & b", "&amp;"), ("<b>a</i>", "by its own name")],
)
def test_the_advice_follows_the_error(tmp_path: Path, name: str, advice: str) -> None:
    feed = f'<yml_catalog><shop><offers>\n<offer id="1"><name>{name}</name></offer></offers></shop></yml_catalog>'
    with pytest.raises(FeedError, match="line 2, in or after offer '1'") as caught:
        read(tmp_path, feed, "feed.xml")
    assert advice in str(caught.value)
    with pytest.raises(FeedError, match="ends too early"):
        read(tmp_path, YML.format("", "").partition("рук")[0], "feed.xml")


def sheet(rows: list[list[str]], types: str = "") -> bytes:
    """A workbook as small as Excel reads it; cells of digits are numbers."""

    def cell(value: str) -> str:
        return f"<c><v>{value}</v></c>" if value.replace(".", "").isdigit() else f'<c t="inlineStr"><is><t>{value}</t></is></c>'

    data = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    content = "http://schemas.openxmlformats.org/package/2006/content-types"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{content}"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{kind}.sheet.main+xml"/><Override PartName="/xl/s.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="a" Type="{relations}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets><sheet name="s" sheetId="1" r:id="b"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}"><Relationship Id="b" Type="{relations}/worksheet" '
        'Target="s.xml"/></Relationships>',
        "xl/s.xml": f'<worksheet xmlns="{main}"><sheetData>{data}</sheetData></worksheet>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file.getvalue()


def test_a_workbook_is_a_table_for_feeds_and_lists(tmp_path: Path) -> None:
    data = sheet([["Артикул", "Фото", "Название"], ["101.0", "a.jpg", "Крем"], ["0102", "b.jpg", "Мыло"]])
    offers = read(tmp_path, data, "feed.xlsx")
    assert [offer.product.name for offer in offers.values()] == ["Крем", "Мыло"]
    assert next(iter(offers)) == "101"
    assert [row["фото"] for _, row in read_table(tmp_path / "feed.xlsx")] == ["a.jpg", "b.jpg"]


def test_a_workbook_may_have_titles_above_its_header(tmp_path: Path) -> None:
    data = sheet([[], ["Прайс-лист"], ["ООО Ромашка", "495 000"], [], ["Артикул", "Фото", "Название"], ["7", "a.jpg", "Крем"]])
    assert read(tmp_path, data, "feed.xlsx")["7"].product.name == "Крем"


PAGE = """<html xmlns:x="urn:schemas-microsoft-com:office:excel"><head>
<meta http-equiv=Content-Type content="text/html; charset={}">
<style>td {{ mso-number-format: "\\@" }}</style><!--[if gte mso 9]><xml><x:Name>Лист</x:Name></xml><![endif]--></head><body>
<table border=1><tr><td colspan=16384>Прайс-лист, ноябрь</td></tr><tr><td>&nbsp;</td></tr>
<tr><th>Артикул<th>Название</th><th>Фото<br>товара</th><th>Картинка</th></tr>
<TR><TD x:num="7">007</TD><TD>Крем
  <b>«Роза»</b>&nbsp;&amp; мёд</TD><TD>a.jpg<br/>b.jpg</TD><td><a href="/c"><img src="c.jpg"></a></td></TR>
<tr><td>8<td>Мыло<td><td><img src="d.jpg">
</table></body></html>"""


@pytest.mark.parametrize(
    ("declared", "real"),
    [("utf-8", "utf-8"), ("windows-1251", "cp1251"), ("utf-8", "cp1251"), ("unicode", "utf-16"), ("koi8-r", "koi8-r")],
)
def test_a_table_of_a_web_page_that_is_called_a_workbook_is_read(tmp_path: Path, declared: str, real: str) -> None:
    page = PAGE.format(declared).replace("«Роза»", "Роза").encode(real)
    offers = read(tmp_path, page, "feed.xls", columns={"id": "Артикул"})
    assert [offer.product.name for offer in offers.values()] == ["Крем Роза & мёд", "Мыло"]
    assert (offers["007"].pictures, offers["8"].pictures) == (("a.jpg", "b.jpg", "c.jpg"), ("d.jpg",))
    labels = [(line, row) for line, row in read_table(tmp_path / "feed.xls", lambda row: "Артикул" in row)]
    first = {"артикул": "007", "название": "Крем Роза & мёд", "фото\nтовара": "a.jpg\nb.jpg", "картинка": "c.jpg"}
    assert labels[0] == (6, first)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<!DOCTYPE html><html><body><p>Log in</p></body></html>", "an HTML page, holds HTML without a table. Check the"),
        ("<html><table><tr><td>Login<td>Password</table></html>", "an HTML page, has no column id and .* it has Login, Pass"),
        (
            "<html><head><title>\n502 Bad&nbsp;Gateway</title></head><body><center><h1>502</h1></center></body></html>",
            "an HTML page called “502 Bad Gateway”, holds HTML without a table",
        ),
        ("<table><tr><td a='" + "x" * 1_200_000, "more than 1000000 characters in a tag"),
    ],
    ids=["none", "another", "error", "endless"],
)
def test_a_page_without_products_is_said_to_be_a_page(tmp_path: Path, page: str, said: str) -> None:
    with pytest.raises(FeedError, match=said):
        read(tmp_path, page, "feed.xls")


def test_what_a_program_says_in_html_before_a_feed_makes_it_no_page(tmp_path: Path) -> None:
    said = "<div><table class='error'><tr><td>Notice</td></tr></table></div>\n"
    assert read(tmp_path, said + YML.format("", ""), "feed.xml")["1"].product.name == "Крем для рук"
    assert kinds.is_html(b"<!---->" * 500) is False


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'[{"id": 1, "picture": "a.jpg"}]', "JSON"),
        (b'\xef\xbb\xbf\n{\n "offers": []}', "JSON"),
        ('{"offers": ["é"]}'.encode("utf-16"), "JSON"),
        (b'<?xml version="1.0"?>\n<?mso-application?>\n<Workbook xmlns="urn:x"/>', "a workbook of Excel 2003 in XML"),
        (b"\x09\x08\x08\x00\x00\x05\x05\x00\xf2\x15\xcc\x07", "a workbook of Excel before 1997"),
        (b"MIME-Version: 1.0\r\nContent-Type: multipart/related", "a web archive"),
        (b"%PDF-1.7\n", "a PDF file"),
        (bz2.compress(b"id;picture"), "packed with bzip2"),
        (lzma.compress(b"id;picture"), "packed with xz"),
        (b"\x28\xb5\x2f\xfd\x04\x00\x51\x00\x00id;picture", "packed with Zstandard"),
        (b"feed.csv".ljust(257, b"\0") + b"ustar  \0".ljust(255, b"\0") + b"id;picture\n", "an archive .tar."),
        (b"\xef\xbb\xbf" + gzip.compress(b"id;picture", mtime=0), "a gzip file that a byte order mark was written before"),
        (b'<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"/>', "a document of OpenDocument"),
    ],
)
def test_what_is_no_table_is_called_by_its_name(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(FeedError, match=rf"{said}.* Save it as .xlsx, or as CSV in UTF-8"):
        read(tmp_path, data, "feed.xls")
    with pytest.raises(UserError, match=rf"{said}.* Save it as .xlsx, or as CSV in UTF-8"):
        list(read_table(tmp_path / "feed.xls"))


def test_a_workbook_that_is_none_or_a_bomb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"workbook that cannot be read|broken ZIP"):
        read(tmp_path, b"PK\x03\x04" + b"nonsense" * 100, "feed.xlsx")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/s.xml", b" " * 50_000_000)
    with pytest.raises(UserError, match="unpacks to"):
        list(workbook.records(bomb.getvalue(), "bomb.xlsx"))
