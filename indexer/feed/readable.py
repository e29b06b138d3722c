"""Text of fields as people would read it, and addresses as programs would."""

from __future__ import annotations

import html
import re

from packsight.shared.tables.cells import BLANK

_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--.*?-->|<!\[CDATA\[|\]\]>")
_INVISIBLE = str.maketrans(dict.fromkeys("\u00ad\u200b\u2060\ufeff"))
"""What says where a word may be broken, or may not, and is no part of it."""


def readable(text: str) -> str:
    """A field without HTML: entities are characters, tags and line breaks are spaces, also where it was escaped twice."""
    for _ in range(2):
        if "&" in text:
            text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    return " ".join((text if text.isascii() else text.translate(_INVISIBLE)).split())


def address(text: str) -> str:
    """An address or path without what is not seen around it; `&amp;` in it, which was escaped twice, is `&`."""
    return text.strip(None if text.isascii() else BLANK).replace("&amp;", "&")


def code(text: str) -> str:
    """An id or article number without what is not seen around it, or the apostrophe by which spreadsheets keep digits as text."""
    bare = text.strip(None if text.isascii() else BLANK)
    return bare[1:] if bare.startswith("'") and bare[1:2].isdigit() else bare
