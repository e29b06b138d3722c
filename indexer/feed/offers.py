"""What a shop offers, however it was read: products with the addresses of their pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.contract.errors import UserError


class FeedError(UserError):
    """A feed or table that cannot be used; the catalog that was published before goes on serving."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A product with its pictures as the feed names them, main picture first."""

    product: ProductRow
    pictures: tuple[str, ...] = ()

    def joined(self, other: Offer) -> Offer:
        """The same product with the pictures of another offer of it, whose fields stand where this one has none."""
        mine, its = self.product.model_dump(), other.product.model_dump()
        missing = {name: value for name, value in its.items() if value and not mine[name]}
        product = self.product.model_copy(update=missing) if missing else self.product
        return Offer(product, tuple(dict.fromkeys((*self.pictures, *other.pictures))))


@dataclass(frozen=True, slots=True)
class Offers:
    """All offers by product id, in the feed's order, and what an operator should know about the reading."""

    by_id: dict[str, Offer]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Faults:
    """What was left out, counted, with the place of the first of each kind."""

    _seen: dict[str, tuple[int, str]] = field(default_factory=dict)

    def count(self, kind: str, place: str, number: int = 1) -> None:
        """Count faults of this kind."""
        before, first = self._seen.get(kind, (0, place))
        self._seen[kind] = (before + number, first)

    def notes(self) -> tuple[str, ...]:
        """One sentence for each kind."""
        return tuple(f"{kind}: {number} (first: {first})" for kind, (number, first) in self._seen.items())


def collect(offers: Iterable[Offer], faults: Faults, name: str, *, join: bool = False) -> Offers:
    """Index offers by id.

    join: whether several offers with the same id are one product; else the last one stands, and the others are counted.

    Raises FeedError when there is no offer at all: an empty feed is a mistake, not a wish to sell nothing.
    """
    by_id: dict[str, Offer] = {}
    for offer in offers:
        identity = offer.product.id
        before = by_id.get(identity)
        if before is not None and not join:
            faults.count("offers whose id came before, the last one stands", f"id {identity}")
        by_id[identity] = before.joined(offer) if before is not None and join else offer
    if not by_id:
        raise FeedError(f"{name} has no offers, so nothing was changed. Correct the feed and sync again.")
    return Offers(by_id, faults.notes())
