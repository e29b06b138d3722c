"""Text of fields as people would read it, and addresses as programs would."""

from __future__ import annotations

import html
import re

_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--.*?-->")
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
    """An address or path without space around it; `&amp;` in it, which was escaped twice, is `&`."""
    return text.strip().replace("&amp;", "&")
