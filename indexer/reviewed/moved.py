"""Which product an id names now: shops number their products anew, and give an id that is free to another product."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from packsight.indexer.reviewed.parameters import REVIEWED, ReviewedParameters
from packsight.shared.catalog.manifest import ProductRow

NOBODY = ""
"""Stands for the id of a product that an id named, and which is not found under another one."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Named:
    """A product by what stays when its id does not. picture: its main one as the feed names it; either may be empty."""

    id: str
    name: str
    picture: str


def moved(
    ids: Collection[str], before: pa.Table, after: pa.Table, parameters: ReviewedParameters = REVIEWED
) -> dict[str, str]:
    """Where the products are now that these ids named before, of those ids that name another product or none.

    before, after: tables of all products with `id`, `name` and `picture`. A product whose name one other id has taken over, or
    else its main picture, has moved there. One that is offered under the id and has neither, nor a name like it, is another
    product: NOBODY. What is offered no more and found nowhere is left out.
    """
    former = _rows(before, "id", ids)
    now = {one.id: one for one in _rows(after, "id", ids)}
    heirs_by_name, heirs_by_picture = (_heirs(field, former, before, after) for field in ("name", "picture"))
    found: dict[str, str] = {}
    for one in former:
        here = now.get(one.id)
        if here is not None and here.name == one.name:
            continue
        if heir := heirs_by_name.get(one.name):
            found[one.id] = heir
        elif here is not None and (_alike(here.name, one.name, parameters.alike) or here.picture == one.picture != ""):
            continue
        elif heir := heirs_by_picture.get(one.picture):
            found[one.id] = heir
        elif here is not None:
            found[one.id] = NOBODY
    return found


def renamed(ids: Collection[str], before: pa.Table, now: Iterable[ProductRow]) -> list[str]:
    """Those of these ids under which nothing of the same name is offered now."""
    names = {row.id: row.name for row in now}
    return [one.id for one in _rows(before, "id", ids) if names.get(one.id) != one.name]


def _rows(products: pa.Table, field: str, values: Collection[str]) -> list[Named]:
    chosen = products.filter(pc.is_in(products[field], value_set=pa.array(list(values), pa.string())))
    return [Named(**row) for row in chosen.select(["id", "name", "picture"]).to_pylist()]


def _heirs(field: str, former: Collection[Named], before: pa.Table, after: pa.Table) -> Mapping[str, str]:
    """The id that has taken over a name or a picture, where one alone has."""
    values = {value for one in former if (value := getattr(one, field))}
    had, has = (_owners(field, _rows(products, field, values)) for products in (before, after))
    new = {value: owners - had[value] for value, owners in has.items()}
    return {value: next(iter(owners)) for value, owners in new.items() if len(owners) == 1}


def _owners(field: str, rows: Collection[Named]) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for one in rows:
        found[getattr(one, field)].add(one.id)
    return found


def _alike(name: str, other: str, share: float) -> bool:
    """Whether two names have so many words in common that one may be the other's product under a better name."""
    words, others = (set(_WORD.findall(text.casefold())) for text in (name, other))
    return len(words & others) >= share * max(1, min(len(words), len(others)))
