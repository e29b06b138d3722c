"""The numbers of barcodes: each GTIN as one integer, however long it is written.

A GTIN-8, -12 (UPC-A) or -13 (EAN-13) is a GTIN-14 without its leading zeros, and its check digit is the same (GS1 General
Specifications, 7.9.1); a UPC-E is a UPC-A with zeros left out (the same, 5.2.2.4).
"""

from __future__ import annotations

LENGTHS = (8, 12, 13, 14)
"""Digits of a GTIN."""
_WITHOUT_ZERO = 11
"""Digits that a spreadsheet leaves of a UPC-A: it takes the leading zero away, as it does of an EAN-13."""


def gtin(digits: str) -> int | None:
    """The number of a GTIN of 8, 12, 13 or 14 digits; None where length or check digit is wrong, or all are zeros."""
    if len(digits) not in LENGTHS or not _is_number(digits) or check_digit(digits[:-1]) != int(digits[-1]):
        return None
    return int(digits) or None


def check_digit(digits: str) -> int:
    """What makes the sum of all digits a multiple of ten, every other one, from the last of these on, counted three times."""
    odd, even = digits[::-2], digits[-2::-2]
    return -(3 * sum(map(int, odd)) + sum(map(int, even))) % 10


def upc_a_of_upc_e(digits: str) -> str:
    """The 12 digits of a UPC-A that is printed as these 8: number system 0 or 1, six digits, check digit."""
    system, body, check = digits[0], digits[1:7], digits[7]
    last = body[5]
    if last in "012":
        maker, item = f"{body[:2]}{last}00", f"00{body[2:5]}"
    elif last in "34":
        kept = int(last)
        maker, item = body[:kept].ljust(5, "0"), body[kept:5].rjust(5, "0")
    else:
        maker, item = body[:5], f"0000{last}"
    return f"{system}{maker}{item}{check}"


def listed_gtins(text: str) -> set[int]:
    """What a shop may mean by a barcode in its feed; empty for what is none.

    Blanks and hyphens between the digits don't count, nor does an apostrophe before them, which keeps them text in a
    spreadsheet. Eight digits are an EAN-8 or a UPC-E: both, where both check digits are right.
    """
    digits = "".join(text.split()).replace("-", "").removeprefix("'")
    if not _is_number(digits):
        return set()
    readings = [digits.rjust(12, "0") if len(digits) == _WITHOUT_ZERO else digits]
    if len(digits) == 8 and digits[0] in "01":
        readings.append(upc_a_of_upc_e(digits))
    return {number for number in map(gtin, readings) if number is not None}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
