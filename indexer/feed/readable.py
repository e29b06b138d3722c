"""Text of fields as people would read it, and addresses as programs would."""

from __future__ import annotations

import html
import re

from packsight.indexer.feed.nothing import is_nothing
from packsight.indexer.feed.offers import Faults
from packsight.shared.tables.cells import BLANK
from packsight.shared.tables.spoilt import mended

_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--.*?-->|<!\[CDATA\[|\]\]>")
_UNSEEN = re.compile(r"<(script|style)\b[^<>]*+>(?:[^<]++|<(?!/?\1\b))*+</\1\s*+>", re.IGNORECASE)
"""What browsers do not show though it stands between tags."""
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
"""What says where a word may be broken, or may not, and is no part of it."""
_SPOILT = "texts that were spoilt when they were written, and are read as what they were; export them in their own encoding"
_LOST = re.compile("(?<![\\w?!])[?]{3}|\ufffd\ufffd|їЅ|ï¿½")
"""What a program leaves of letters that its encoding does not have, in whatever encoding that is read again."""
_LOST_LETTERS = "texts whose letters were lost when they were written; export them as UTF-8"
_SHOWN = 40
"""Characters of such a text that are shown."""


def readable(text: str, faults: Faults) -> str:
    """A field without HTML: entities are characters, tags, scripts and line breaks are spaces, also where it was escaped twice.

    What was taken for another encoding when it was written is what was meant, and is counted in `faults`.
    """
    for _ in range(2):
        if "&" in text:
            text = html.unescape(text)
    if not text.isascii() or "\\u" in text:
        whole = mended(text)
        if whole != text:
            faults.count(_SPOILT, f"“{text[:_SHOWN]}” as “{whole[:_SHOWN]}”")
        text = _INVISIBLE.sub("", whole)
    if _LOST.search(text):
        faults.count(_LOST_LETTERS, f"“{text[:_SHOWN]}”")
    if "<" in text:
        text = _TAG.sub(" ", _UNSEEN.sub(" ", text))
    text = " ".join(text.split())
    return "" if is_nothing(text) else text


def address(text: str) -> str:
    """An address or path without what is not seen around it; `&amp;` in it, which was escaped twice, is `&`."""
    return text.strip(None if text.isascii() else BLANK).replace("&amp;", "&")


def code(text: str) -> str:
    """An id, article number or barcode without what is not seen around it; empty where it stands for nothing.

    By an apostrophe before them spreadsheets keep digits as text.
    """
    bare = text.strip(None if text.isascii() else BLANK)
    return "" if is_nothing(bare) else bare[1:] if bare.startswith("'") and bare[1:2].isdigit() else bare
