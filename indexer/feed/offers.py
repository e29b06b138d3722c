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


@dataclass(frozen=True, slots=True)
class Offers:
    """All offers by product id, in the feed's order, and what an operator should know about the reading."""

    by_id: dict[str, Offer]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Faults:
    """Rows that were left out, counted, with the place of the first of each kind."""

    _seen: dict[str, tuple[int, str]] = field(default_factory=dict)

    def count(self, kind: str, place: str) -> None:
        """Count a fault of this kind."""
        number, first = self._seen.get(kind, (0, place))
        self._seen[kind] = (number + 1, first)

    def notes(self) -> tuple[str, ...]:
        """One sentence for each kind."""
        return tuple(f"{kind}: {number} (first: {first})" for kind, (number, first) in self._seen.items())


def collect(offers: Iterable[Offer], faults: Faults, name: str) -> Offers:
    """Index offers by id; of offers with the same id the last one stands, the others are counted.

    Raises FeedError when there is no offer at all: an empty feed is a mistake, not a wish to sell nothing.
    """
    by_id: dict[str, Offer] = {}
    for offer in offers:
        if offer.product.id in by_id:
            faults.count("offers whose id came before, the last one stands", f"id {offer.product.id}")
        by_id[offer.product.id] = offer
    if not by_id:
        raise FeedError(f"{name} has no offers, so nothing was changed. Correct the feed and sync again.")
    return Offers(by_id, faults.notes())
