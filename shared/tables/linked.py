"""Cells that lead somewhere, or that a picture lies in, beside the text that they show."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote

from packsight.shared.vision.suffixes import IMAGE_SUFFIXES

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
    """The picture that a cell stands for: what its text names, else where it leads, else its text.

    Who links a name of a picture to the same name at an address means that.
    """
    if not isinstance(cell, Linked) or REMOTE.match(cell):
        return cell
    if names_pictures(cell):
        return cell.target if REMOTE.match(cell.target) and _ends_in(cell.target, cell) else str(cell)
    return cell.target if names_pictures(cell.target) else address_of(cell)


def _ends_in(target: str, name: str) -> bool:
    """Whether an address is that of a name, or the same without its scheme; letters of either case, escaped or not."""
    address, wanted = (unquote(one.partition("?")[0]).casefold() for one in (target, name))
    before = "/." if "/" in wanted else "/"  # a host may have a further name before it
    return any(address.endswith(mark + wanted) for mark in before)


def address_of(cell: str) -> str:
    """The address that a cell stands for: its own, else the one that it leads to, else its text."""
    if not isinstance(cell, Linked) or REMOTE.match(cell):
        return cell
    return cell.target if REMOTE.match(cell.target) else str(cell) or cell.target


def names_pictures(text: str) -> bool:
    """Whether it ends as a picture's path or address does, perhaps with a query: it may be several."""
    path = text.rstrip("|,; \n").replace("\\", "/").partition("?")[0]
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def holds_picture(cell: str) -> bool:
    """Whether a picture lies in the cell itself."""
    return isinstance(cell, Linked) and not cell.target
