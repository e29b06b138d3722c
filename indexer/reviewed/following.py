"""Confirmed photos go along with products whose ids have changed since people said what the photos show."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from packsight.indexer.gate.tables import read_products
from packsight.indexer.parent import Parent
from packsight.indexer.reviewed.harvest import Harvest
from packsight.indexer.reviewed.moved import Offers, moved
from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError
from packsight.shared.storage.review_use import KnownProduct

log = logging.getLogger(__name__)

_Products = Mapping[str, KnownProduct]
"""By verdict, or by id."""


def follow(harvest: Harvest, state: State, catalogs: CatalogStore, parent: Parent | None) -> None:
    """Tell what people said that photos show by the ids that are offered now; the caller holds the transaction.

    Where nothing is offered otherwise it costs nothing but for what was said since.
    """
    new, known = harvest.new_products, harvest.known_products
    since = parent is not None and harvest.followed_until == parent.manifest.version
    if since:
        ids = sorted({one.id for one in known.values()})
        still = resolution.live(state, ids) - resolution.touched(state, ids)
        known = {verdict: one for verdict, one in known.items() if one.id not in still}
    asked = {**known, **_as_published(state, catalogs, parent, new)}
    here = _offered(state, (one.id for one in asked.values()))
    # Of what has no name even now nothing is known but its id.
    found = {verdict: here[one.id] for verdict, one in asked.items() if one.id in here and one.name in {"", here[one.id].name}}
    open_ = {verdict: one for verdict, one in asked.items() if verdict not in found}
    named = _named(state, {one.name for one in open_.values()}, everything=not since or not new.keys().isdisjoint(open_))
    if named or any(one.id in here for one in open_.values()):
        names = {one.name for one in (*open_.values(), *here.values())}
        before = Offers.of(_published(catalogs, parent, names, {one.id for one in (*open_.values(), *named)}))
        owners = {identity for name in names for identity in before.named.get(name, ())}
        now = {one.id: one for one in (*_offered(state, owners).values(), *here.values(), *named)}
        offers = Offers.of(now.values())
        for verdict, one in open_.items():
            identity = moved(one, before, offers, new=verdict in new or not since)
            found[verdict] = now.get(identity) or one.model_copy(update={"id": identity})
    harvest.follow({**asked, **found})


def _as_published(state: State, catalogs: CatalogStore, parent: Parent | None, said: _Products) -> _Products:
    """What was said, with the main pictures that the version has which is served; and with names, where only an id was said."""
    if parent is None:
        return said
    ids = [one.id for one in said.values()]
    changed = set(resolution.changed_ids(state, ids, parent.number))
    was = _offered(state, set(ids) - changed)  # as most are, for which the version need not be read
    was |= {one.id: one for one in _published(catalogs, parent, (), changed)}
    return {
        verdict: was[one.id] if one.id in was and one.name in {"", was[one.id].name} else one for verdict, one in said.items()
    }


def _named(state: State, names: Collection[str], *, everything: bool) -> list[KnownProduct]:
    """All products that are offered under one of these names, if one of them is offered otherwise than before.

    everything: also if none is.
    """
    if not names:
        return []
    if not everything and not any(row.name in names for row in resolution.touched_rows(state)):
        return []
    return [_known(row) for row in resolution.offered(state) if row.name and row.name in names]


def _offered(state: State, ids: Iterable[str]) -> dict[str, KnownProduct]:
    return {row.id: _known(row) for row in resolution.live_rows(state, sorted(set(ids)))}


def _published(
    catalogs: CatalogStore, parent: Parent | None, names: Collection[str], ids: Collection[str]
) -> Iterator[KnownProduct]:
    """Products of the version that is served with these names or ids."""
    if parent is None or not (names or ids):
        return
    try:
        table = read_products(catalogs, parent.manifest.version)
    except CatalogError as error:  # it is damaged: nothing is known of who had which name
        log.warning("whether ids of products have changed is hardly known: %s", error)
        return
    by_name, by_id = (
        pc.is_in(table[field], value_set=pa.array(list(values), pa.string())) for field, values in (("name", names), ("id", ids))
    )
    for row in table.filter(pc.or_(by_name, by_id)).select(["id", "name", "picture"]).to_pylist():
        yield KnownProduct(**row)


def _known(row: ProductRow) -> KnownProduct:
    return KnownProduct(id=row.id, name=row.name, picture=row.picture)
