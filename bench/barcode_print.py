"""Barcodes as they are printed: the bars of EAN-13, EAN-8, UPC-A and UPC-E (GS1 General Specifications, 5.2), with their digits.

Written apart from any reader, so that a reader is not judged by bars of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.gtin import check_digit, upc_a_of_upc_e

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

MODULE = 8
"""Pixels of the narrowest bar as it is printed: more than any photo shows, so that edges are sharp before the camera."""
QUIET = 11
"""Modules of blank paper left and right of the bars, as EAN-13 demands on its left."""

_LEFT = ("0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011")
_MIRRORED = ("000000", "001011", "001101", "001110", "010011", "011001", "011100", "010101", "010110", "011010")
"""Which of the six left digits are drawn from set B, by the first digit of an EAN-13."""
_MIRRORED_UPC_E = ("000111", *_MIRRORED[1:])
"""The same by the check digit of a UPC-E of number system 1; of number system 0, the others are."""


class Kind(StrEnum):
    """Symbols on packs in shops."""

    EAN_13 = "EAN-13"
    EAN_8 = "EAN-8"
    UPC_A = "UPC-A"
    UPC_E = "UPC-E"


@dataclass(frozen=True, slots=True)
class Code:
    """A number in the length in which its symbol prints it, check digit included."""

    kind: Kind
    digits: str

    @property
    def number(self) -> int:
        """The GTIN."""
        return int(upc_a_of_upc_e(self.digits) if self.kind is Kind.UPC_E else self.digits)


def random_code(kind: Kind, rng: np.random.Generator) -> Code:
    """Any number of a kind."""
    length = {Kind.EAN_13: 12, Kind.EAN_8: 7, Kind.UPC_A: 11, Kind.UPC_E: 6}[kind]
    digits = "".join(map(str, rng.integers(0, 10, length).tolist()))
    if kind is Kind.UPC_E:
        body = f"{rng.integers(0, 2)}{digits}"
        return Code(kind, body + str(check_digit(upc_a_of_upc_e(f"{body}0")[:-1])))
    return Code(kind, digits + str(check_digit(digits)))


def modules(code: Code) -> str:
    """Bars and gaps from left to right, a digit for each module: 1 is dark."""
    digits = code.digits
    if code.kind is Kind.UPC_E:
        mirrored = _MIRRORED_UPC_E[int(digits[7])]
        return f"101{_left(digits[1:7], mirrored if digits[0] == '1' else _complement(mirrored))}010101"
    if code.kind is Kind.UPC_A:
        digits = f"0{digits}"
    left, mirrored = (digits[:4], "0000") if code.kind is Kind.EAN_8 else (digits[1:7], _MIRRORED[int(digits[0])])
    right = "".join(_complement(_LEFT[int(digit)]) for digit in digits[-len(left) :])
    return f"101{_left(left, mirrored)}01010{right}101"


def _left(digits: str, mirrored: str) -> str:
    return "".join(
        _complement(_LEFT[int(digit)])[::-1] if flag == "1" else _LEFT[int(digit)]
        for digit, flag in zip(digits, mirrored, strict=True)
    )


def _complement(bits: str) -> str:
    return bits.translate(str.maketrans("01", "10"))


def printed(code: Code, *, height: float = 0.6, ink: Colour = (10, 10, 10), paper: Colour = (250, 250, 250)) -> Pixels:
    """The label: RGB [rows, columns, 3], MODULE pixels a module; `height` of the bars is a share of their width."""
    bars = np.array([int(bit) for bit in modules(code)], bool).repeat(MODULE)
    tall, low, edge = round(len(bars) * height), 9 * MODULE, QUIET * MODULE
    label = np.full((tall + low + 2 * MODULE, len(bars) + 2 * edge, 3), paper, np.uint8)
    label[2 * MODULE : 2 * MODULE + tall, edge:-edge][:, bars] = ink
    scale = 0.9 * len(bars) / cv2.getTextSize(code.digits, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 8)[0][0]
    at = (edge + round(0.05 * len(bars)), label.shape[0] - MODULE)
    cv2.putText(label, code.digits, at, cv2.FONT_HERSHEY_SIMPLEX, min(scale, 2.4), ink, MODULE, cv2.LINE_AA)
    return label
