"""Which product an id names now: shops number their products anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from packsight.shared.catalog.manifest import ProductRow


@dataclass(frozen=True, slots=True)
class Named:
    """A product by what stays when its id does not. picture: its main one as the feed names it; either may be empty."""

    id: str
    name: str
    picture: str


def moved(ids: Collection[str], before: pa.Table, after: pa.Table) -> dict[str, str]:
    """The ids now of the products that these ids named before, of those that surely have another one.

    before, after: tables of all products with `id`, `name` and `picture`. A product has moved to the one id that has taken over
    its name, or else its main picture, where it alone had that before. One that keeps its picture under its id stays, unless the
    other id is an old one: where pictures go by ids, two that are swapped look so.
    """
    former = _rows(before, "id", ids)
    now = {one.id: one for one in _rows(after, "id", ids)}
    heirs_by_name, heirs_by_picture = (_heirs(field, former, before, after) for field in ("name", "picture"))
    named = {one.id for one in _rows(before, "id", heirs_by_name.values())}
    found: dict[str, str] = {}
    for one in former:
        here = now.get(one.id)
        if here is not None and here.name == one.name:
            continue
        pictured_alike = here is not None and here.picture == one.picture != ""
        heir = heirs_by_name.get(one.name)
        if not heir or (pictured_alike and heir not in named):
            heir = None if pictured_alike else heirs_by_picture.get(one.picture)
        if heir:
            found[one.id] = heir
    return found


def renamed(ids: Collection[str], before: pa.Table, now: Iterable[ProductRow]) -> list[str]:
    """Those of these ids under which nothing of the same name is offered now."""
    names = {row.id: row.name for row in now}
    return [one.id for one in _rows(before, "id", ids) if names.get(one.id) != one.name]


def _rows(products: pa.Table, field: str, values: Collection[str]) -> list[Named]:
    chosen = products.filter(pc.is_in(products[field], value_set=pa.array(list(values), pa.string())))
    return [Named(**row) for row in chosen.select(["id", "name", "picture"]).to_pylist()]


def _heirs(field: str, former: Collection[Named], before: pa.Table, after: pa.Table) -> Mapping[str, str]:
    """The id that has taken over a name or a picture, where one alone had it and another one alone has."""
    values = {value for one in former if (value := getattr(one, field))}
    had, has = (_owners(field, _rows(products, field, values)) for products in (before, after))
    return {
        value: next(iter(new))
        for value, owners in has.items()
        if len(had[value]) == 1 and len(new := owners - had[value]) == 1
    }


def _owners(field: str, rows: Collection[Named]) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for one in rows:
        found[getattr(one, field)].add(one.id)
    return found
