"""Confirmed photos go along with products whose ids have changed since the versions from which these are known."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from packsight.indexer.gate.tables import read_products
from packsight.indexer.parent import Parent
from packsight.indexer.reviewed.harvest import Harvest
from packsight.indexer.reviewed.moved import moved, renamed
from packsight.indexer.state import resolution
from packsight.indexer.state.database import State
from packsight.shared.catalog.tables import product_table
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError

log = logging.getLogger(__name__)


def follow(harvest: Harvest, state: State, catalogs: CatalogStore, parent: Parent | None) -> None:
    """Tell what people said that photos show by the ids that are offered now; the caller holds the transaction."""
    served = parent.manifest.version if parent is not None else ""
    known = harvest.products(served, changed=resolution.is_touched(state))
    harvest.follow({version: _moved(state, catalogs, version, ids, parent) for version, ids in known.items()}, served)


def _moved(
    state: State, catalogs: CatalogStore, version: str, ids: Sequence[str], parent: Parent | None
) -> dict[str, str]:
    """The ids now of products that a version has under these, of those that have another one, or GONE."""
    if parent is not None and version == parent.manifest.version:
        ids = resolution.changed_ids(state, ids, parent.number)
    elif version not in {one.version for one in catalogs.versions()}:
        return {}  # it is gone, or a name that somebody made up: ids are taken as they stand
    if not ids:
        return {}
    try:
        before = read_products(catalogs, version)
    except CatalogError as error:  # likewise where it is damaged
        log.warning("whether ids of products have changed since version %s is not known: %s", version, error)
        return {}
    if not (unsure := renamed(ids, before, resolution.live_rows(state, ids))):
        return {}  # as after most changes, for which not all products need be gone through
    return moved(unsure, before, product_table(resolution.offered(state)))
