"""What `packsight storage` prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from packsight.indexer.collection.packs import Compaction
from packsight.indexer.collection.survey import Survey, total
from packsight.indexer.tables import size


def piles(found: Survey) -> RenderableType:
    """Everything that lies there, by room and reason, what goes last in each room."""
    table = _table("room", "why it is there", ("objects", "bytes", "oldest"))
    for pile in sorted(found.piles, key=lambda pile: (pile.room, pile.goes)):
        why = f"[yellow]{pile.why}: goes[/]" if pile.goes else escape(pile.why)
        table.add_row(escape(pile.room), why, f"{pile.objects:,}", size(pile.bytes), _age(pile.oldest))
    objects, all_bytes = total(found.piles)
    table.add_section()
    table.add_row("together", "", f"{objects:,}", size(all_bytes), "")
    return table


def versions(found: Survey) -> RenderableType:
    """What each version has for itself, and what it shares."""
    table = _table("catalog", "version", ("its own", "shared"))
    for one in found.versions:
        table.add_row(one.catalog, one.version, size(one.own), size(one.shared))
    return table


def packs(done: Sequence[Compaction]) -> RenderableType:
    """What became of packs of features."""
    table = _table("features", "", ("packs", "put together", "photos", "needed"))
    for one in done:
        together = f"{one.removed:,} to {one.written:,}" if one.removed else "–"
        table.add_row(one.part, "", f"{one.packs:,}", together, f"{one.rows:,}", f"{one.needed:,}")
    return table


def document(found: Survey, done: Sequence[Compaction] = ()) -> dict[str, Any]:
    """The same for programs; bytes as numbers, times in UTC."""
    return {
        "piles": [
            {
                "room": pile.room,
                "why": pile.why,
                "goes": pile.goes,
                "objects": pile.objects,
                "bytes": pile.bytes,
                "oldest": None if pile.oldest is None else pile.oldest.isoformat(),
            }
            for pile in found.piles
        ],
        "versions": [
            {"catalog": one.catalog, "version": one.version, "own": one.own, "shared": one.shared} for one in found.versions
        ],
        "packs": [
            {name: getattr(one, name) for name in ("part", "packs", "rows", "needed", "removed", "written", "bytes")}
            for one in done
        ],
        "notes": list(found.notes),
    }


def _table(first: str, second: str, numbers: tuple[str, ...]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    table.add_column(second)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _age(oldest: datetime | None) -> str:
    if oldest is None:
        return "–"
    hours = (datetime.now(UTC) - oldest).total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
