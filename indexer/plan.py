"""What a sync has to do: the difference between what the shop offers and the version that is published, counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from packsight.indexer.state import resolution
from packsight.indexer.state.database import State


@dataclass(frozen=True, slots=True)
class Plan:
    """How far the catalog as the shop wants it is from the parent version."""

    parent: int
    """Number of the parent in the state, `resolution.NO_VERSION` without one."""
    before: int
    """Products of the parent."""
    offered: int
    """Products that are offered."""
    added: int
    removed: int
    changed: int
    """Products whose fields changed; that alone needs no photo described again."""
    notes: tuple[str, ...]


def plan(state: State, parent: int) -> Plan:
    """Compare the products that are offered with the rows of the parent."""
    before = int(state.value("SELECT count(*) FROM published_products WHERE version = ?", parent))
    joined = "products p LEFT JOIN published_products f ON f.version = ? AND f.product = p.number WHERE p.live"
    added, same = state.one(
        f"SELECT coalesce(sum(f.product IS NULL), 0), coalesce(sum(p.content IS f.content), 0) FROM {joined}", parent
    )
    live = int(state.value("SELECT count(*) FROM products WHERE live"))
    known = live - int(added)
    strangers, first = state.one(
        "SELECT count(DISTINCT code), min(code) FROM extras WHERE code NOT IN (SELECT code FROM products WHERE live)"
    )
    notes = list(state.get("feed_notes") or ())
    if strangers:
        notes.append(f"folders of extra photos that belong to no offer: {strangers} (first: {first})")
    return Plan(parent, before, live, int(added), before - known, known - int(same), tuple(notes))


def without_useless(state: State, found: Plan) -> Plan:
    """The same without the products that are offered and, now that their photos are known, of no use: no version has them."""
    strangers, lost, changed = state.one(
        "SELECT coalesce(sum(f.product IS NULL), 0), count(f.product), "
        "coalesce(sum(f.product IS NOT NULL AND p.content IS NOT f.content), 0) FROM products p "
        f"LEFT JOIN published_products f ON f.version = ? AND f.product = p.number WHERE {resolution.USELESS}",
        found.parent,
    )
    return replace(found, added=found.added - strangers, removed=found.removed + lost, changed=found.changed - changed)
