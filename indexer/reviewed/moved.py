"""Which product an id names now: shops number their products anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.words.normalise import tokens


@dataclass(frozen=True, slots=True)
class Named:
    """A product by what stays when its id does not. picture: its main one as the feed names it; either may be empty."""

    id: str
    name: str
    picture: str


GONE = ""
"""Instead of an id: what it named is not offered any more, and it names another product."""


def moved(ids: Collection[str], before: pa.Table, after: pa.Table) -> dict[str, str]:
    """The ids now of the products that these ids named before, of those that have another one, or GONE.

    before, after: tables of all products with `id`, `name` and `picture`. A product has moved to the one id that has taken over
    its name, or else its main picture under a name of its kind, where it alone had that before. One that keeps its picture under
    its id stays, unless the other id is an old one, or its own has the name of another: where pictures go by ids, those that are
    swapped or counted on look so. An id without such an heir names another product if it has taken over the name of one, or has
    neither picture nor name of what it was.
    """
    former = _rows(before, "id", ids)
    now = {one.id: one for one in _rows(after, "id", ids)}
    heirs_by_name, heirs_by_picture = (_heirs(field, former, before, after) for field in ("name", "picture"))
    named = {one.id for one in _rows(before, "id", heirs_by_name.values())}
    names = {one.id: one.name for one in _rows(after, "id", {*heirs_by_picture.values(), *now})}
    taken_over = _taken_over(now, before, after)
    found: dict[str, str] = {}
    for one in former:
        here = now.get(one.id)
        if here is not None and here.name == one.name:
            continue
        pictured_alike = here is not None and here.picture == one.picture != ""
        stays = pictured_alike and one.id not in taken_over
        heir = heirs_by_name.get(one.name)
        if stays and heir not in named:
            continue
        if not heir and not pictured_alike:
            heir = heirs_by_picture.get(one.picture)
            heir = heir if heir and _is_kin(names[heir], one.name) else None
        if heir:
            found[one.id] = heir
        elif here is not None and (one.id in taken_over or not (pictured_alike or _is_kin(here.name, one.name))):
            found[one.id] = GONE
    return found


def renamed(ids: Collection[str], before: pa.Table, now: Iterable[ProductRow]) -> list[str]:
    """Those of these ids under which nothing of the same name is offered now."""
    names = {row.id: row.name for row in now}
    return [one.id for one in _rows(before, "id", ids) if names.get(one.id) != one.name]


def _rows(products: pa.Table, field: str, values: Collection[str]) -> list[Named]:
    chosen = products.filter(pc.is_in(products[field], value_set=pa.array(list(values), pa.string())))
    return [Named(**row) for row in chosen.select(["id", "name", "picture"]).to_pylist()]


def _taken_over(now: Mapping[str, Named], before: pa.Table, after: pa.Table) -> set[str]:
    """Those of these ids that have a name which another one had before and has not any more."""
    owners = _owners("name", _rows(before, "name", {one.name for one in now.values()}))
    every = {owner for ids in owners.values() for owner in ids}
    left = {(one.id, one.name) for one in _rows(after, "id", every)}
    return {
        one.id for one in now.values() if any((owner, one.name) not in left for owner in owners[one.name] - {one.id})
    }


def _is_kin(one: str, other: str) -> bool:
    """Whether two names may be one product's: they share half the words of the shorter one."""
    words, others = ({token.key for token in tokens(name)} for name in (one, other))
    return 2 * len(words & others) >= min(len(words), len(others))


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
