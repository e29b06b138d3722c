"""What a shop offers, however it was read: products with the addresses of their pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
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
        """The same product with pictures and barcodes of another offer too, whose other fields stand where this one has none."""
        mine, its = self.product.model_dump(), other.product.model_dump()
        missing = {name: value for name, value in its.items() if value and not mine[name]}
        if set(other.product.barcodes) - set(self.product.barcodes):
            missing["barcodes"] = tuple(dict.fromkeys((*self.product.barcodes, *other.product.barcodes)))
        product = self.product.model_copy(update=missing) if missing else self.product
        return Offer(product, tuple(dict.fromkeys((*self.pictures, *other.pictures))))

    def dump(self) -> str:
        """The offer as text."""
        return f"{json.dumps(self.pictures, ensure_ascii=False)}\n{self.product.model_dump_json()}"

    @classmethod
    def parse(cls, text: str) -> Offer:
        """The offer of what `dump` wrote."""
        pictures, _, product = text.partition("\n")
        return cls(ProductRow.model_validate_json(product), tuple(json.loads(pictures)))


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of a feed, told from all others by the digest of what it says."""

    digest: bytes
    offer: Offer | None
    """None for one that is known by its digest already, which is not read again."""


Known = Callable[[bytes], bool]
"""Tells whether an item of this digest is known; asked once for each item that may be an offer."""


Counts = dict[str, tuple[int, str]]
"""How many faults there are of each kind, and where the first one is."""


@dataclass(slots=True)
class Faults:
    """What was left out, counted, with the place of the first of each kind."""

    _seen: Counts = field(default_factory=dict)
    _latest: Counts = field(default_factory=dict)
    """Since an item was begun: what is wrong with that, if it is one that can be used."""

    def count(self, kind: str, place: str, number: int = 1) -> None:
        """Count faults of this kind."""
        before, first = self._latest.get(kind, (0, place))
        self._latest[kind] = (before + number, first)

    def begin(self) -> None:
        """Begin an item: what was counted before is no fault of it."""
        for kind, (number, place) in self._latest.items():
            before, first = self._seen.get(kind, (0, place))
            self._seen[kind] = (before + number, first)
        self._latest = {}

    def taken(self) -> Counts:
        """What was counted since an item was begun, which does not count here any more."""
        latest, self._latest = self._latest, {}
        return latest

    def notes(self) -> tuple[str, ...]:
        """One sentence for each kind."""
        self.begin()
        return tuple(f"{kind}: {number} (first: {first})" for kind, (number, first) in self._seen.items())
