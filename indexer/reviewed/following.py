"""Confirmed photos go along with products whose ids have changed since people said what the photos show."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from packsight.indexer.gate.tables import read_products
from packsight.indexer.parent import Parent
from packsight.indexer.reviewed.harvest import Harvest
from packsight.indexer.reviewed.moved import LOST, Offers, moved
from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, StorageError
from packsight.shared.storage.review_use import KnownProduct
from packsight.shared.storage.verdicts import NAME

log = logging.getLogger(__name__)


def follow(harvest: Harvest, state: State, catalogs: CatalogStore, parent: Parent | None) -> None:
    """Tell what people said that photos show by the ids that are offered now; the caller holds the transaction.

    Where nothing is offered otherwise it costs nothing but for what was said since.
    """
    new, known, since = harvest.new_products, harvest.known_products, harvest.followed_until
    served = parent.manifest.version if parent is not None else ""
    unchanged = served != "" and since == served
    if unchanged:
        ids = sorted({one.id for one in known.values()})
        still = resolution.live(state, ids) - resolution.touched(state, ids)
        known = {verdict: one for verdict, one in known.items() if one.id not in still}
    asked = {**known, **new}
    here = _offered(state, (one.id for one in asked.values()))
    # Of whom nothing but an id was said before there was a version nobody knows more than who has it.
    unsaid = {""} if not served else set()
    found = {verdict: here[one.id] for verdict, one in new.items() if one.id in here and one.name in {here[one.id].name, *unsaid}}
    found |= {verdict: one for verdict, one in known.items() if one.id in here and _is_same(here[one.id], one)}
    open_ = {verdict: one for verdict, one in asked.items() if verdict not in found}
    told_in = {verdict: since if verdict in known else harvest.said_in.get(verdict, served) for verdict in open_}
    tables = {version: _published(catalogs, version) for version in {told_in[one] for one in open_ if open_[one].id != LOST}}
    asked_ids = {one.id for one in open_.values()}
    had = {version: Offers.of(_rows(table, ids=asked_ids)).by_id for version, table in tables.items() if table is not None}
    for verdict, one in open_.items():
        was = had.get(told_in[verdict], {}).get(one.id)
        if was is not None and one.name in {"", was.name}:
            open_[verdict] = was
        else:
            told_in[verdict] = ""  # nobody knows when it was called so
    names = {one.name for one in open_.values() if one.id != LOST or one.alone} - {""}
    named = _named(state, names, everything=not unchanged or not new.keys() <= found.keys()) if names else []
    now = Offers.of({one.id: one for one in (*here.values(), *named)}.values())
    names |= {here[one.id].name for one in open_.values() if one.id in here}
    before = {version: Offers.of(_rows(table, names, set(now.by_id))) for version, table in tables.items() if table is not None}
    found |= {verdict: moved(one, before.get(told_in[verdict], Offers()), now) for verdict, one in open_.items()}
    harvest.follow(found)


def _is_same(here: KnownProduct, one: KnownProduct) -> bool:
    return (here.name, here.picture) == (one.name, one.picture)


def _named(state: State, names: Collection[str], *, everything: bool) -> list[KnownProduct]:
    """All products that are offered under one of these names, if one of them is offered otherwise than before.

    everything: also if none is.
    """
    if not everything and not any(row.name[:NAME] in names for row in resolution.touched_rows(state)):
        return []
    return [_known(row) for row in resolution.offered(state) if row.name[:NAME] in names]


def _offered(state: State, ids: Iterable[str]) -> dict[str, KnownProduct]:
    return {row.id: _known(row) for row in resolution.live_rows(state, sorted(set(ids)))}


def _published(catalogs: CatalogStore, version: str) -> pa.Table | None:
    """The products of a version, their names as far as they are compared; None where it is not to be had."""
    if not version:
        return None
    try:
        table = read_products(catalogs, version).select(["id", "name", "picture"])
    except (CatalogError, StorageError) as error:
        log.warning("where products are that version %s had is hardly known: %s", version, error)
        return None
    return table.set_column(1, "name", pc.utf8_slice_codeunits(table["name"], 0, NAME))


def _rows(table: pa.Table, names: Collection[str] = (), ids: Collection[str] = ()) -> Iterator[KnownProduct]:
    """Products with one of these names or ids."""
    by_name, by_id = (
        pc.is_in(table[field], value_set=pa.array(list(values), pa.string())) for field, values in (("name", names), ("id", ids))
    )
    return (KnownProduct(**row) for row in table.filter(pc.or_(by_name, by_id)).to_pylist())


def _known(row: ProductRow) -> KnownProduct:
    return KnownProduct(id=row.id, name=row.name[:NAME], picture=row.picture)
