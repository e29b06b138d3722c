"""Where a product is that people meant: shops number their products anew, and give ids to others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from packsight.shared.storage.review_use import KnownProduct
from packsight.shared.storage.verdicts import may_be_one

GONE = ""
"""Instead of an id: what it named is not offered any more, and it names another product."""


@dataclass(frozen=True, slots=True)
class Offers:
    """Products as far as they are asked about: each by its id, and the ids of all that have a name."""

    by_id: Mapping[str, KnownProduct] = field(default_factory=dict)
    named: Mapping[str, Set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, products: Iterable[KnownProduct]) -> Offers:
        """Those of these products."""
        by_id: dict[str, KnownProduct] = {}
        named: defaultdict[str, set[str]] = defaultdict(set)
        for one in products:
            by_id[one.id] = one
            named[one.name].add(one.id)
        return cls(by_id, named)


def moved(one: KnownProduct, before: Offers, now: Offers, *, new: bool) -> str:
    """The id now of a product, GONE for one whose id names another; its own where it is not offered.

    before: the version that is served. new: whether it is not yet known where the product is in that.

    A product has moved to the one id that has taken over its name, or that has it where it is new. One that keeps its picture
    under its id stays, unless that other id is an old one, or its own has the name of another: where pictures go by ids, products
    that are swapped or counted on look so. Else what stands under an id is another product if it has taken over another one's
    name, or has neither picture nor nearly the name of what it was.
    """
    here = now.by_id.get(one.id)
    if here is not None and here.name == one.name:
        return one.id
    owners, had = now.named.get(one.name, set()), before.named.get(one.name, set())
    heir = next(iter(owners)) if one.name and len(owners) == 1 and (len(had) < 2 if new else had <= {one.id}) else ""
    if here is None:
        return heir or one.id
    taken_over = any(_has_left(owner, here.name, now) for owner in before.named.get(here.name, set()) - {one.id})
    pictured_alike = here.picture == one.picture != ""
    if heir and (not pictured_alike or taken_over or heir in before.by_id):
        return heir
    stays = not taken_over and (pictured_alike or may_be_one(here.name, one.name))
    return one.id if stays else GONE


def _has_left(identity: str, name: str, now: Offers) -> bool:
    other = now.by_id.get(identity)
    return other is None or other.name != name
