"""Number formats of an .xlsx that show leading zeros (ECMA-376, part 1: 18.8.30)."""

from __future__ import annotations

import re
from functools import lru_cache

from packsight.shared.tables.xlsx_parts import Archive, Attributes, parse

_STYLES = "xl/styles.xml"
_CODE = 255
"""Characters of a number format in Excel, at most."""
_CONDITION = re.compile(r"\[[<>=]")
_ASIDE = re.compile(r'("[^"]*"|\\.)|\[[^\]]*\]|_.|\*.')
"""What a number format says of colours and the width of a cell, beside literals."""
_PADDED = re.compile(r'(?:"(?:[^\W\d_]|[ -])*"|\\(?:[^\W\d_]|[ -]))*0(?:0|\\?[ -]|"[ -]")*0')
"""One for whole numbers that always has several digits: letters may stand before them, dashes and blanks between."""
_PART = re.compile(r'"([^"]*)"|\\(.)|(.)')


def padding_formats(archive: Archive) -> dict[str, str]:
    """By the number of a style, as cells name it, its number format, of those alone that show leading zeros."""
    if _STYLES not in archive:
        return {}
    codes: dict[str, str] = {}
    styles: list[str] = []
    within = False

    def start(name: str, attributes: Attributes) -> None:
        nonlocal within
        if name == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            within = True
        elif name == "xf" and within:
            styles.append(attributes.get("numFmtId", ""))

    def end(name: str) -> None:
        nonlocal within
        within = within and name != "cellXfs"

    parse(archive, _STYLES, start, end)
    plain = {identity: _ASIDE.sub(r"\1", code.partition(";")[0]) for identity, code in codes.items() if _is_plain(code)}
    return {str(number): plain[one] for number, one in enumerate(styles) if _PADDED.fullmatch(plain.get(one, ""))}


def _is_plain(code: str) -> bool:
    """Whether a format is one of Excel's, and the same for all numbers above zero."""
    return len(code) <= _CODE and not _CONDITION.search(code)


@lru_cache(maxsize=1000)
def _literals(code: str) -> tuple[str, ...]:
    """The parts of a format from the right: a literal, or nothing for a digit."""
    parts = [quoted or escaped or ("" if one == "0" else one) for quoted, escaped, one in _PART.findall(code)]
    return tuple(reversed(parts))


def padded(digits: str, code: str) -> str:
    """A whole number as its format shows it; digits for which it has no place stand before the first that it has one for."""
    if not code.strip("0"):
        return digits.zfill(len(code))
    parts = _literals(code)
    digits = digits.zfill(parts.count(""))
    rest, places, shown = list(digits), parts.count(""), []
    for part in parts:
        if part:
            shown.append(part)
            continue
        places -= 1
        shown += [rest.pop()] if places else reversed(rest)
    return "".join(reversed(shown))
