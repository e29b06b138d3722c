"""What programs write where there is nothing."""

from __future__ import annotations

import re

_WORDS = frozenset(("null", "none", "nan", "undefined", "n/a", "#n/a", "#н/д", "\\n"))
_DASHES = "-–—"
_ERROR = re.compile(r"#(?:VALUE|NAME|REF|NULL|NUM|DIV/0|SPILL|ЗНАЧ|ИМЯ|ССЫЛКА|ПУСТО|ЧИСЛО|ДЕЛ/0|ПЕРЕНОС)[!?]")
"""Of a spreadsheet's formula."""
_LONGEST = 10


def is_nothing(text: str) -> bool:
    """Whether a text stands for nothing: a word for it of a program or database, a dash, or the error of a formula."""
    if len(text) > _LONGEST or text.isdecimal():
        return False
    return text.casefold() in _WORDS or (text[:1] in _DASHES and not text.strip(_DASHES)) or _ERROR.fullmatch(text) is not None
