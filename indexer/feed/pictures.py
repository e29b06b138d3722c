"""The pictures that a field names, however exports write several, or none."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from html import unescape
from pathlib import PurePosixPath

from packsight.indexer.feed.readable import address
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES

_REMOTE = re.compile(r"(https?:)?//|s3://", re.IGNORECASE)
_NEXT_ADDRESS = re.compile(r"""["']?(?:[\s,;|]+|\s+/\s+)["']?(?=(?:https?:)?//|s3://)""", re.IGNORECASE)
_APART = re.compile(r"\s*[|\n\r]+\s*")
_LISTED = re.compile(r"\s*[,;]\s*")
_SHOWN = re.compile(r"""<img\s[^<>]*?\bsrc\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_LINKED = re.compile(r"""<a\s[^<>]*?\bhref\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_FORMULA = re.compile(r"""=\s*(?:HYPERLINK|IMAGE|ГИПЕРССЫЛКА|ИЗОБРАЖЕНИЕ)\s*\(\s*"([^"]+)\"""", re.IGNORECASE)
"""How a spreadsheet writes a link, or a picture, that it shows."""
_NONE = frozenset(("-", "--", "—", "0", "нет", "нет фото", "no", "none", "null", "nan", "n/a", "na", "#n/a", "#н/д", "\\n"))
"""What stands for nothing in exports and databases; no picture is called so."""


def pictures_in(cell: str) -> list[str]:
    """The pictures that one cell names: apart by bars or line breaks, or by commas and semicolons where each part is a picture.

    What stands between addresses parts them; a comma inside of one does not. They may stand in a list of JSON, in HTML or in a
    formula; a word for nothing names none.
    """
    found: list[str] = []
    for part in _APART.split(_bare(cell.strip())):
        parts = _NEXT_ADDRESS.split(part)
        if len(parts) == 1 and not _REMOTE.match(part):
            listed = _LISTED.split(part)
            parts = listed if all(looks_like_picture(one) for one in listed if one) else parts
        else:
            parts = [one for address_ in parts for one in _paths_apart(address_)]
        found += [one for one in (address(text).strip(",;\"'") for text in parts) if _is_one(one)]
    return found


def addresses_in(text: str) -> list[str]:
    """The addresses that a text holds, where it holds nothing else; else the text, or nothing where it is a word for that."""
    if (bare := _bare(text)) is not text:
        return pictures_in(bare)
    parts = _NEXT_ADDRESS.split(text) if text.count("//") > 1 and _REMOTE.match(text) else [text]
    return [part.rstrip(",;| ") for part in parts] if len(parts) > 1 else list(filter(_is_one, parts))


def looks_like_picture(text: str) -> bool:
    """Whether it is an address, or a path with the suffix of a picture, perhaps with a query."""
    return bool(_REMOTE.match(text)) or has_picture_suffix(text)


def has_picture_suffix(text: str) -> bool:
    """Whether it is a path or an address that ends as a picture's, perhaps with a query."""
    path = text.strip().replace("\\", "/").partition("?")[0]
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def _is_one(text: str) -> bool:
    return bool(text) and text.casefold() not in _NONE


def _bare(text: str) -> str:
    """What a list of JSON or of a program, HTML, or a formula holds, a picture in each line; another text as it is."""
    if text.startswith("[") and text.endswith("]"):
        for written in (text, text.replace("'", '"')):
            with suppress(ValueError, RecursionError):
                return "\n".join(one for one in json.loads(written) if isinstance(one, str))
        return text[1:-1]
    if "<" in text and (found := _SHOWN.findall(text) or _LINKED.findall(text)):
        return "\n".join(map(unescape, found))
    return formula[1] if (formula := _FORMULA.match(text)) else text


def _paths_apart(text: str) -> list[str]:
    """An address, and what is below its server behind commas; a comma is a part of many addresses otherwise."""
    first, *others = _LISTED.split(text)
    sure = others and has_picture_suffix(first) and all(one.startswith("/") and has_picture_suffix(one) for one in others if one)
    return [first, *others] if sure else [text]
