"""The pictures that a field names, however exports write several, or none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from pathlib import PurePosixPath
from typing import Any

from packsight.indexer.feed.nothing import is_nothing
from packsight.indexer.feed.readable import address
from packsight.indexer.feed.xml import text_of
from packsight.shared.tables.columns import KNOWN, plain
from packsight.shared.tables.linked import REMOTE
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES

_BEHIND = "|".join(f"(?<={re.escape(suffix)})" for suffix in sorted(IMAGE_SUFFIXES))
_NEXT_ADDRESS = re.compile(
    r"""["']?(?:(?<![\s,;|])[\s,;|]++|(?<!\s)\s++/\s++|(?<!\\[rn])(?:\\[rn])++)["']?(?=(?:https?:)?//|s3://)"""
    rf"""|(?=[^\w/?&=%])(?:{_BEHIND})[^\w/?&=%]{{1,9}}(?=https?://)""",
    re.IGNORECASE,
)
"""What stands before a further address; behind a suffix it may be any marks that addresses do not go on with.

It is looked for at the beginning of each run alone: from each blank of a long one on would take the square of their number."""
_APART = re.compile(r"[|\n\r]|<br\s*+/?>", re.IGNORECASE)
_LISTED = re.compile(r"[,;]")
_SHOWN = re.compile(r"""<img\s[^<>]*?\bsrc\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_LINKED = re.compile(r"""<a\s[^<>]*?\bhref\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_WRITTEN = re.compile(r"""!?\[[^\[\]]{0,500}\]\(((?:[^()\s]|\([^()\s]*+\))++)\)""")
"""A picture, or a link, in Markdown."""
_SERIALISED = re.compile(r"a:\d+:\{.*\}", re.DOTALL)
"""A list of PHP."""
_BESIDE = re.compile(r"(?<!\s)\s++!\s++\w++\s*+:.*", re.DOTALL)
"""What WooCommerce's suite writes behind an address: ` ! alt : text ! title : text`."""
_FORMULA = re.compile(r"""=\s*(?:_xlfn\.)?(?:HYPERLINK|IMAGE|ГИПЕРССЫЛКА|ИЗОБРАЖЕНИЕ)\s*\(\s*"([^"]+)\"""", re.IGNORECASE)
"""How a spreadsheet writes a link, or a picture, that it shows."""
_PLACES = frozenset(("src", "url", "href", "link", "path", "file", "file name", "filename", *KNOWN["picture"]))
"""What objects of JSON call the place of a picture."""
_NONE = frozenset(("0", "нет", "нет фото", "no", "na", "false"))
"""What also stands for no picture; none is called so."""


def pictures_in(cell: str) -> list[str]:
    """The pictures that one cell names: apart by bars or line breaks, or by commas and semicolons where each part is a picture.

    What stands between addresses parts them; a comma inside of one does not. They may stand in a list of JSON or of a program, in
    HTML, in Markdown or in a formula; a word for nothing names none.
    """
    found: list[str] = []
    for part in map(str.strip, _APART.split(_bare(cell.strip()))):
        parts = [_BESIDE.sub("", one) for one in _NEXT_ADDRESS.split(part)]
        if len(parts) == 1 and not REMOTE.match(part):
            listed = _listed_in(part)
            parts = listed if all(looks_like_picture(one) for one in listed if one) else parts
            parts = [one for names in parts for one in _names_apart(names)]
        else:
            parts = [one for address_ in parts for one in _paths_apart(address_)]
        found += [one for one in (address(text).strip(",;\"'") for text in parts) if _is_one(one)]
    return found


def addresses_in(text: str) -> list[str]:
    """The addresses or paths that a text holds, where it holds nothing else; else the text, or nothing where it says that.

    A single one stays as it is written.
    """
    if (bare := _bare(text)) is not text or (not REMOTE.match(text) and len(pictures_in(text)) > 1):
        return pictures_in(bare)
    if "<" in text or ("!" in text and _BESIDE.search(text)):
        return pictures_in(text)
    parts = _NEXT_ADDRESS.split(text) if text.count("//") > 1 and REMOTE.match(text) else [text]
    return [part.rstrip(",;| ") for part in parts] if len(parts) > 1 else list(filter(_is_one, parts))


def places_in(element: Any) -> str:
    """The addresses that an element of XML and those in it hold, a line each: as text, or where one has none in an attribute.

    What stands beside pictures, as their titles do, is left out.
    """
    if not len(element):
        return _place_of(element)
    within = [each for each in element.iter("*") if each is not element]
    if not any(_place_of(each) or REMOTE.match((each.tail or "").strip()) for each in within):
        # One address, with something in it.
        return text_of(element) or _place_of(element)
    texts = (text.strip() for each in element.iter("*") for text in (_place_of(each), (each is not element and each.tail) or ""))
    found = list(filter(None, texts))
    return "\n".join(list(filter(looks_like_picture, found)) or found)


def _place_of(element: Any) -> str:
    text = element.text
    if text and not text.isspace():
        return str(text)
    return next((value for name in ("url", "src", "href", "link", "value") if (value := element.get(name))), "")


def looks_like_picture(text: str) -> bool:
    """Whether it is an address, or a path with the suffix of a picture, perhaps with a query."""
    return bool(REMOTE.match(text)) or has_picture_suffix(text)


def has_picture_suffix(text: str) -> bool:
    """Whether it is a path or an address that ends as a picture's, perhaps with a query."""
    path = text.strip().replace("\\", "/").partition("?")[0]
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def _is_one(text: str) -> bool:
    return bool(text) and text.casefold() not in _NONE and not is_nothing(text)


def _bare(text: str) -> str:
    """What a list of JSON or of a program, HTML, or a formula holds, a picture in each line; another text as it is."""
    if text[:1] + text[-1:] in {"[]", "{}", "()"}:
        for written in (text, text.replace("'", '"'), f"[{text[1:-1]}]".replace("'", '"')):
            with suppress(ValueError, RecursionError):
                return "\n".join(_listed(json.loads(written)))
        return text[1:-1] if text[0] == "[" or all(map(looks_like_picture, _listed_in(text[1:-1]))) else text
    if _SERIALISED.fullmatch(text):
        return "\n".join(filter(looks_like_picture, text.split('"')))
    if "](" in text and not REMOTE.match(text) and (written_so := _WRITTEN.findall(text)):
        return "\n".join(written_so)
    if "<" in text and (found := _in_html(text)):
        return "\n".join(map(unescape, found))
    return formula[1] if (formula := _FORMULA.match(text)) else text


def _in_html(text: str) -> list[str]:
    """What links lead to where each picture that is shown may be a small one of that, else those, else any link."""
    shown, linked = _SHOWN.findall(text), _LINKED.findall(text)
    large = list(filter(has_picture_suffix, linked))
    return large if len(large) >= max(len(shown), 1) else shown or linked


def _listed(value: object) -> Iterator[str]:
    """The texts of a list, and of objects those that look like pictures, or else are called so: others say what is on them."""
    if isinstance(value, dict) and all(map(str.isdecimal, value)):
        value = list(value.values())  # as PHP writes some lists
    if isinstance(value, dict):
        texts = {key: each for key, each in value.items() if isinstance(each, str)}
        found = [one for one in texts.values() if looks_like_picture(one)]
        yield from found or (one for key, one in texts.items() if plain(key) in _PLACES)
        for each in value.values():
            for item in each if isinstance(each, list) else [each]:
                if isinstance(item, dict):
                    yield from _listed(item)
                elif item is not each:
                    yield from filter(looks_like_picture, _listed(item))
    elif isinstance(value, list):
        for each in value:
            yield from _listed(each)
    elif isinstance(value, str):
        yield value


def _listed_in(text: str) -> list[str]:
    return [one.strip() for one in _LISTED.split(text)]


def _names_apart(text: str) -> list[str]:
    """Paths with blanks between, where each part is surely one: the copy of a file may be called `1.jpg (2).jpg`."""
    parts = text.split()
    return parts if all(has_picture_suffix(one) and not one.startswith("(") for one in parts) else [text]


def _paths_apart(text: str) -> list[str]:
    """An address, and what is below its server behind commas; a comma is a part of many addresses otherwise."""
    first, *others = _listed_in(text)
    sure = others and has_picture_suffix(first) and all(one.startswith("/") and has_picture_suffix(one) for one in others if one)
    return [first, *others] if sure else [text]
