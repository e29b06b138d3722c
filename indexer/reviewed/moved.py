"""Where a product is that people meant: shops number their products anew, and give ids to others. What is not sure is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from packsight.shared.storage.review_use import KnownProduct
from packsight.shared.storage.verdicts import is_spelt_otherwise, may_be_one

LOST = ""
"""Instead of an id: nobody knows where the product is, or whether it is offered."""


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


def moved(one: KnownProduct, before: Offers, now: Offers) -> KnownProduct:
    """A product as it is offered now, or lost.

    before: what was offered when it was known as `one`; empty where that is not to be had, or it was lost then.

    A product that alone had its name is where that name alone is now: under another id, unless its own id has its picture still
    and neither of the two stood for another product before. Else it is under its id if it is called the same there, or the same
    in other words; nearly so is enough beside the picture.
    """
    alone = one.alone if one.id == LOST else before.named.get(one.name, set()) == {one.id}
    owners, here = now.named.get(one.name, set()), now.by_id.get(one.id)
    lost = one.model_copy(update={"id": LOST, "alone": alone})
    if here is not None and here.name == one.name and (alone or here.picture == one.picture):
        return here
    if alone and one.name and len(owners) == 1:
        (heir,) = owners
        doubtful = here is not None and here.picture == one.picture != ""
        if doubtful and heir not in before.by_id and not _was_anothers(here, before):
            return lost  # the id goes on with the picture, another one has the name
        return now.by_id[heir]
    if here is None or not one.name or here.name == one.name or _was_anothers(here, before):
        return lost
    pictured_alike = here.picture == one.picture != ""
    goes_on = is_spelt_otherwise(here.name, one.name) or (pictured_alike and may_be_one(here.name, one.name))
    return here if goes_on and before.by_id else lost


def _was_anothers(here: KnownProduct | None, before: Offers) -> bool:
    """Whether what stands under an id has the name of another product."""
    return here is not None and not before.named.get(here.name, set()) <= {here.id}
