"""Labels of one photo: what says the same counts once, and what contradicts is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from packsight.producer.evaluation.labels import items
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.references import shown
from packsight.shared.tables.labels import Label

_NAMED = 3
"""Pairs of lines that are named."""

Pair = tuple[Label, Label]
"""The first label of a photo, and a later one."""


def once(labels: Sequence[Label], root: Path) -> tuple[list[Label], list[Pair]]:
    """One label for each photo, paths from `root` on, with the kinds of all that name it; and the later ones, which are left out.

    A photo is what a path leads to, however it is spelt, or an address. Raises UserError for one that does not exist, or of which
    labels name different products.
    """
    first: dict[str | tuple[int, int], Label] = {}
    again: list[Pair] = []
    wrong: list[Pair] = []
    for label, item in zip(labels, items(labels, root), strict=True):
        photo = _identity(item.where)
        known = first.setdefault(photo, label)
        if known is label:
            continue
        if not _agree(known, label):
            wrong.append((known, label))
            continue
        again.append((known, label))
        kinds = tuple(dict.fromkeys((*known.kinds, *label.kinds)))
        first[photo] = replace(known, kinds=kinds, nearest_id=known.nearest_id or label.nearest_id)
    if wrong:
        raise UserError(f"Labels contradict each other: {_told(wrong, _products)}. Correct them: a photo shows one product.")
    return list(first.values()), again


def hint(again: Sequence[Pair]) -> str:
    """What is said of labels that were left out; empty where none was."""
    return f"Photos that the labels name more than once count once: {_told(again, _names)}." if again else ""


def _identity(where: Path | str) -> str | tuple[int, int]:
    if isinstance(where, str):
        return where
    found = where.stat()
    return found.st_dev, found.st_ino


def _agree(one: Label, other: Label) -> bool:
    """Whether two labels say the same; one may say no nearest product."""
    nearest = {label.nearest_id for label in (one, other) if label.nearest_id}
    return one.product_id == other.product_id and len(nearest) < 2


def _told(pairs: Sequence[Pair], one: Callable[[Label, Label], str]) -> str:
    more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    return "; ".join(one(*pair) for pair in pairs[:_NAMED]) + more


def _names(first: Label, later: Label) -> str:
    return f"{shown(later.image)} in line {later.line} is {shown(first.image)} of line {first.line}"


def _products(first: Label, later: Label) -> str:
    return f"{_names(first, later)}: {_said(later)} there, {_said(first)} here"


def _said(label: Label) -> str:
    nearest = f", nearest {label.nearest_id}" if label.nearest_id not in {"", label.product_id} else ""
    return (label.product_id or "no listed product") + nearest
