"""Cells that lead somewhere, or that a picture lies in, beside the text that they show."""

from __future__ import annotations

import re

REMOTE = re.compile(r"(https?:)?//|s3://", re.IGNORECASE)
"""The beginning of an address."""


class Linked(str):
    """A cell's text; what its link, or the formula of a picture, leads to, empty where a picture lies in the cell itself."""

    __slots__ = ("target",)

    target: str

    def __new__(cls, text: str, target: str) -> Linked:
        """A cell with this text."""
        cell = super().__new__(cls, text)
        cell.target = target
        return cell


def led_to(cell: str) -> str:
    """The address that a cell stands for: its own, else where it leads, else its text."""
    return cell if not isinstance(cell, Linked) or REMOTE.match(cell) else cell.target or str(cell)


def holds_picture(cell: str) -> bool:
    """Whether a picture lies in the cell itself."""
    return isinstance(cell, Linked) and not cell.target
