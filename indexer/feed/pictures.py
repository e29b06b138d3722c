"""The pictures that a field names, however exports write several, or none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from pathlib import PurePosixPath

from packsight.indexer.feed.readable import address
from packsight.shared.vision.suffixes import IMAGE_SUFFIXES

_REMOTE = re.compile(r"(https?:)?//|s3://", re.IGNORECASE)
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
_NONE = frozenset(("-", "--", "—", "0", "нет", "нет фото", "no", "none", "null", "nan", "n/a", "na", "#n/a", "#н/д", "\\n"))
"""What stands for nothing in exports and databases; no picture is called so."""


def pictures_in(cell: str) -> list[str]:
    """The pictures that one cell names: apart by bars or line breaks, or by commas and semicolons where each part is a picture.

    What stands between addresses parts them; a comma inside of one does not. They may stand in a list of JSON or of a program, in
    HTML, in Markdown or in a formula; a word for nothing names none.
    """
    found: list[str] = []
    for part in map(str.strip, _APART.split(_bare(cell.strip()))):
        parts = [_BESIDE.sub("", one) for one in _NEXT_ADDRESS.split(part)]
        if len(parts) == 1 and not _REMOTE.match(part):
            listed = _listed_in(part)
            parts = listed if all(looks_like_picture(one) for one in listed if one) else parts
        else:
            parts = [one for address_ in parts for one in _paths_apart(address_)]
        found += [one for one in (address(text).strip(",;\"'") for text in parts) if _is_one(one)]
    return found


def addresses_in(text: str) -> list[str]:
    """The addresses or paths that a text holds, where it holds nothing else; else the text, or nothing where it says that.

    A single one stays as it is written.
    """
    if (bare := _bare(text)) is not text or (not _REMOTE.match(text) and len(pictures_in(text)) > 1):
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
    if text[:1] + text[-1:] in {"[]", "{}", "()"}:
        for written in (text, text.replace("'", '"'), f"[{text[1:-1]}]".replace("'", '"')):
            with suppress(ValueError, RecursionError):
                return "\n".join(_listed(json.loads(written)))
        return text[1:-1] if text[0] == "[" or all(map(looks_like_picture, _listed_in(text[1:-1]))) else text
    if _SERIALISED.fullmatch(text):
        return "\n".join(filter(looks_like_picture, text.split('"')))
    if "](" in text and not _REMOTE.match(text) and (written_so := _WRITTEN.findall(text)):
        return "\n".join(written_so)
    if "<" in text and (found := _SHOWN.findall(text) or _LINKED.findall(text)):
        return "\n".join(map(unescape, found))
    return formula[1] if (formula := _FORMULA.match(text)) else text


def _listed(value: object) -> Iterator[str]:
    """The texts of a list, and of objects those that look like pictures: others say what is on them."""
    if isinstance(value, dict):
        yield from (one for each in value.values() for one in _listed(each) if looks_like_picture(one))
    elif isinstance(value, list):
        for each in value:
            yield from _listed(each)
    elif isinstance(value, str):
        yield value


def _listed_in(text: str) -> list[str]:
    return [one.strip() for one in _LISTED.split(text)]


def _paths_apart(text: str) -> list[str]:
    """An address, and what is below its server behind commas; a comma is a part of many addresses otherwise."""
    first, *others = _listed_in(text)
    sure = others and has_picture_suffix(first) and all(one.startswith("/") and has_picture_suffix(one) for one in others if one)
    return [first, *others] if sure else [text]
