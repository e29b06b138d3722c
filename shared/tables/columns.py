"""What the columns of shops' exports are called: by WooCommerce, Shopify, 1C, Bitrix, Yandex and Google, in English and Russian.

Sources of the names: WooCommerce's product CSV schema (https://woocommerce.com/document/product-csv-importer-exporter/),
Shopify's product CSV (https://help.shopify.com/en/manual/products/import-export/using-csv), Google's product data specification
(https://support.google.com/merchants/answer/7052112), Bitrix's CSV import, 1C's price lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count

from packsight.shared.contract.errors import UserError
from packsight.shared.tables.spoilt import mended

KNOWN: Mapping[str, tuple[str, ...]] = {
    "id": (
        "id", "offer id", "product id", "item id", "handle", "id товара", "ид", "внешний код", "ie xml id", "код", "код товара",
        "идентификатор", "идентификатор товара", "код 1с", "code", "product code", "item code", "url handle", "uid", "sku",
        "variant sku", "ваш sku", "артикул", "артикул товара", "артикул продавца", "артикул поставщика", "номенклатура код",
        "artikelnummer", "référence", "referencia", "vendor code", "vendorcode",
    ),
    "picture": (
        "picture", "image link", "primary image", "main image", "main image url", "base image", "главное фото",
        "главное изображение", "ссылка на главное фото", "picture url", "image url", "product image url", "image",
        "images", "image src", "photo", "photos", "photo url",
        "pictures", "picture urls", "image urls", "image urls x y z", "основное фото",
        "основное изображение", "фото", "изображения товара", "фото товара", "ссылка изображения", "медиафайлы", "файл картинки",
        "фотография", "фотографии", "изображение", "изображения", "картинка", "картинки", "ссылка на картинку",
        "ссылка на изображение", "ссылки на изображения", "ссылка на фото", "ссылки на фото", "url картинки", "url фото",
        "ссылка на фотографию", "ссылки на фотографии", "img", "pic", "foto", "fotos", "foto url", "bild", "bilder", "imagen",
        "detail picture", "preview picture", "ie detail picture", "ie preview picture",
        "variant image", "variant image url", "additional image link", "additional images",
        "additional image links", "gallery", "дополнительные фото", "дополнительные изображения", "доп фото", "доп изображения",
        "ссылки на дополнительные фото", "additional image urls", "more photo", "галерея",
        "image name",
    ),
    "name": (
        "name", "title", "product name", "product title", "название", "наименование", "название товара", "наименование товара",
        "имя", "ie name", "полное наименование", "товар", "номенклатура", "наименование номенклатуры", "название позиции",
        "название товара или услуги", "название номенклатуры", "item name", "nom", "nombre", "nome", "bezeichnung", "artikelname",
    ),
    "vendor": (
        "vendor", "brand", "brands", "brand name", "manufacturer", "бренд", "бренды", "бренд товара", "марка", "торговая марка",
        "производитель", "изготовитель", "marque", "marke", "hersteller",
    ),
    "model": ("model", "модель"),
    "url": (
        "url", "link", "product url", "permalink", "ссылка", "ссылка на товар", "ссылка на товар на сайте магазина", "url товара",
    ),
    "vendor_code": (
        "vendor code", "vendorcode", "sku", "variant sku", "mpn", "артикул", "артикул товара", "артикул производителя",
        "номенклатура артикул",
    ),
    "barcode": (
        "barcode", "gtin", "ean", "ean13", "ean 13", "upc", "variant barcode", "gtin upc ean or isbn", "штрихкод", "штрих код",
        "шк", "штрихкод ean13", "штрихкод ean", "штрихкод серийный номер ean", "штрихкоды", "баркод", "баркоды", "barcodes",
    ),
    "price": ("price", "regular price", "variant price", "цена", "базовая цена", "розничная цена"),
    "category": (
        "category", "categories", "product type", "product category", "google product category", "категория", "категории",
        "группа", "раздел",
    ),
    "description": ("description", "body html", "short description", "описание", "краткое описание", "ie detail text"),
    "available": ("available", "availability", "наличие", "в наличии"),
}  # fmt: skip
"""By field its usual names, the surest first, as `plain` writes them."""
FILE_OF_PICTURE = (
    "image path", "image file", "image filename", "image file name", "picture path", "picture file", "photo path", "photo file",
    "img path", "путь к фото", "путь к изображению", "файл фото", "файл изображения",
)  # fmt: skip
FILE = ("file name", "filename", "file path", "filepath", "file", "path", "имя файла", "путь к файлу", "файл", "путь")
"""What tables of photos beside those of shops call their column of pictures: in a shop's, a path may be one of categories."""
MANY = frozenset(("picture", "barcode"))
"""Fields that may stand in several columns, all of which count."""

_INSTEAD = {"picture": ("image name",)}
"""By field names that count where it has no other column: they may be titles of what that holds."""
_SURE = {field: tuple(name for name in usual if name not in _INSTEAD.get(field, ())) for field, usual in KNOWN.items()}
_ASIDE = frozenset(("picture", "name", "vendor", "barcode"))
"""Fields whose names may have something in brackets beside them; codes, prices and stock there are of many things."""

_APART = re.compile(r"[\W_]+")
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_NUMBERED = re.compile(r" ?\d{1,2}")
"""Behind the name of a column of which there are several."""


def plain(name: str) -> str:
    """A column's name in lower case, its words apart by single spaces, without Google's `g:` before it."""
    return " ".join(_APART.sub(" ", name.casefold().removeprefix("g:")).split())


def check_fields(fields: Iterable[str]) -> None:
    """Raise UserError for fields that no column can be named for."""
    if unknown := sorted(set(fields) - KNOWN.keys()):
        raise UserError(f"{', '.join(unknown)} is no field that a column can be named for; there are {', '.join(KNOWN)}.")


def columns(header: Sequence[str], mapping: Mapping[str, str]) -> dict[str, list[int]]:
    """Find the columns of each field that a header names; `mapping` names columns by field and goes before the usual names.

    A field for which `mapping` has an empty name has no column. Those in MANY may be numbered: `photo 2` is another `photo`.
    Where there is no such column, words that capitals part are several (`imageLink`), and what stands in brackets does not count:
    `Фото (ссылка)` is `Фото`, unless several would be the one that counts.
    """
    header = mended("\x1f".join(header)).split("\x1f")  # of several words it is sooner sure that they were spoilt
    names = [plain(cell) for cell in header]
    parted = [plain(_CAPITAL.sub(" ", cell)) for cell in header]
    bare = [plain(_BRACKETS.sub(" ", _CAPITAL.sub(" ", cell))) for cell in header]
    found = {}
    for field, usual in _SURE.items():
        wanted = (plain(mapping[field]),) if field in mapping else usual
        many = field in MANY
        at = _called(names, wanted, numbered=many)
        if field not in mapping:
            at = at or _called(parted, wanted, numbered=many)
            aside = [] if at or field not in _ASIDE else _called(bare, wanted, numbered=many)
            at = at or (aside if many or len(set(aside)) == 1 else [])
            at = at or _called(parted, _INSTEAD.get(field, ()), numbered=many)
        if at:
            found[field] = list(dict.fromkeys(at)) if many else at[:1]
    return found


def apart(header: Sequence[str]) -> list[str]:
    """The names of a header, each once: the second `name` is `name (2)`. Empty ones stay."""
    found: dict[str, None] = {}
    names = []
    for name in header:
        others = (f"{name} ({number})" for number in count(2))
        names.append(name and next(one for one in chain((name,), others) if one not in found))
        found[names[-1]] = None
    return names


def _called(columns: Sequence[str], wanted: Iterable[str], *, numbered: bool) -> list[int]:
    return [index for name in wanted if name for index, one in enumerate(columns) if _is_called(one, name, numbered=numbered)]


def _is_called(column: str, name: str, *, numbered: bool) -> bool:
    return column == name or (numbered and column.startswith(name) and bool(_NUMBERED.fullmatch(column, len(name))))
