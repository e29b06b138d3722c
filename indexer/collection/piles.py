"""What lies in object storage, sorted by who needs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from packsight.shared.storage.objects import Listed


@dataclass(slots=True)
class Pile:
    """Objects of one room that are there for the same reason, or for none any more."""

    room: str
    why: str
    goes: bool = False
    """Whether nothing needs them, and they are old enough to be removed."""
    bytes: int = 0
    oldest: datetime | None = None
    keys: list[str] = field(default_factory=list)
    """Of those that go, in the order in which they may; the others are only counted."""
    objects: int = 0

    def add(self, found: Listed) -> None:
        """Take an object in."""
        self.objects += 1
        self.bytes += found.size
        self.oldest = found.modified if self.oldest is None else min(self.oldest, found.modified)
        if self.goes:
            self.keys.append(found.key)


class Piles:
    """All piles, in the order in which they were begun."""

    def __init__(self) -> None:
        self._piles: dict[tuple[str, str, bool], Pile] = {}

    def put(self, room: str, found: Listed, why: str, *, goes: bool = False) -> None:
        """Lay an object on its pile."""
        self._piles.setdefault((room, why, goes), Pile(room, why, goes)).add(found)

    def all(self) -> list[Pile]:
        """Every pile."""
        return list(self._piles.values())
