"""What a sync has to do: the difference between the shop's offers and the version that is published. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packsight.indexer.feed.extra_photos import ExtraPhoto
from packsight.indexer.feed.offers import Offers
from packsight.indexer.feed.source import reference_of
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.shown import matched
from packsight.shared.contract.outcomes import Failure

PhotoKey = tuple[str, bool]
"""A picture's address (or an extra photo's path), and whether it is an extra photo."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Products and photos of a version."""

    products: Sequence[ProductRow] = ()
    photos: Sequence[PhotoRow] = ()

    def same_content(self, other: Rows) -> bool:
        """Tell whether both name the same products and the same photos, whatever their order and validators."""
        return {p.id: p for p in self.products} == {p.id: p for p in other.products} and _content(self) == _content(
            other
        )

    def matched_alike(self, other: Rows) -> bool:
        """The same of what matching knows of them, whatever is shown."""
        mine, theirs = ({p.id: matched(p) for p in rows.products} for rows in (self, other))
        return mine == theirs and _content(self) == _content(other)


def _content(rows: Rows) -> dict[tuple[str, str, bool], str]:
    return {(photo.product_id, photo.source, photo.extra): photo.sha256 for photo in rows.photos}


@dataclass(frozen=True, slots=True)
class SourceState:
    """What was last seen at a photo's source.

    `failure` without `sha256`: it could not be fetched; with it: these bytes cannot be described and are not sent again.
    """

    sha256: str = ""
    validator: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class PhotoRequest:
    """A photo of the catalog: where it is and which products it shows."""

    key: PhotoKey
    reference: str
    product_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The catalog as the shop wants it, and how far that is from the parent version."""

    products: tuple[ProductRow, ...]
    photos: dict[PhotoKey, PhotoRequest]
    keys_of: dict[str, tuple[PhotoKey, ...]]
    """Photos of each product, main picture first."""
    parent: Rows
    added: int
    removed: int
    changed: int
    """Products whose fields changed; that alone needs no photo described again."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResolvedRows:
    """Rows of the new version and what became of photos that could not be used."""

    rows: Rows
    kept_old: int
    failures: dict[PhotoKey, Failure]
    without_photos: frozenset[str]
    """Products without a usable photo, which can be found by their words alone."""
    notes: tuple[str, ...]


def plan(offers: Offers, extras: Mapping[str, Sequence[ExtraPhoto]], parent: Rows, *, feed: str) -> Plan:
    """Compare what the shop offers with the parent version's rows; `feed` is what relative pictures are relative to."""
    references: dict[PhotoKey, str] = {}
    shown: dict[PhotoKey, list[str]] = {}
    keys_of: dict[str, tuple[PhotoKey, ...]] = {}
    codes: set[str] = set()
    for identity, offer in offers.by_id.items():
        code = offer.product.vendor_code
        codes.add(code)
        pairs = [((picture, False), reference_of(picture, feed)) for picture in offer.pictures]
        pairs += [((photo.source, True), photo.reference) for photo in extras.get(code, ())]
        references.update(pairs)
        keys_of[identity] = tuple(dict.fromkeys(key for key, _ in pairs))
        for key in keys_of[identity]:
            shown.setdefault(key, []).append(identity)
    before = {product.id: product for product in parent.products}
    products = tuple(offer.product for offer in offers.by_id.values())
    strangers = sorted(extras.keys() - codes)
    notes = (
        [f"folders of extra photos that belong to no offer: {len(strangers)} (first: {strangers[0]})"]
        if strangers
        else []
    )
    return Plan(
        products=products,
        photos={key: PhotoRequest(key, references[key], tuple(ids)) for key, ids in shown.items()},
        keys_of=keys_of,
        parent=parent,
        added=sum(product.id not in before for product in products),
        removed=len(before.keys() - offers.by_id.keys()),
        changed=sum(product.id in before and before[product.id] != product for product in products),
        notes=(*offers.notes, *notes),
    )


def known_states(parent: Rows) -> dict[PhotoKey, SourceState]:
    """What the parent version says of the sources of its photos."""
    return {(photo.source, photo.extra): SourceState(photo.sha256, photo.etag) for photo in parent.photos}


def resolve(wanted: Plan, states: Mapping[PhotoKey, SourceState], refused: Mapping[str, Failure]) -> ResolvedRows:
    """Choose each product's photos from what is at its sources; `refused` are the bytes, by sha256, that cannot be described.

    A source that failed keeps the photo which the parent has of it. The same bytes count once for a product. A product
    without photos stays if it has a name: it can still be found by its words.
    """
    before = {(photo.product_id, photo.source, photo.extra): photo for photo in wanted.parent.photos}
    products: list[ProductRow] = []
    photos: list[PhotoRow] = []
    failures: dict[PhotoKey, Failure] = {}
    kept = 0
    without_photos: list[str] = []
    nameless: list[str] = []
    for product in wanted.products:
        own: dict[str, PhotoRow] = {}
        for source, extra in wanted.keys_of[product.id]:
            state = states[source, extra]
            failure = refused.get(state.sha256, state.failure)
            if failure is None:
                row = PhotoRow(
                    product_id=product.id, sha256=state.sha256, source=source, extra=extra, etag=state.validator
                )
            else:
                failures[source, extra] = failure
                old = before.get((product.id, source, extra))
                if old is None or old.sha256 in refused:
                    continue
                kept += 1
                row = old
            own.setdefault(row.sha256, row)
        if own or product.name:
            products.append(product)
            photos += own.values()
        if not own:
            (without_photos if product.name else nameless).append(product.id)
    notes = []
    if without_photos:
        count, first = len(without_photos), without_photos[0]
        notes.append(f"products without a usable photo, found by their words alone: {count} (first: {first})")
    if nameless:
        notes.append(f"products with neither photo nor name, left out: {len(nameless)} (first: {nameless[0]})")
    return ResolvedRows(Rows(products, photos), kept, failures, frozenset(without_photos + nameless), tuple(notes))
