"""Whose answer changes between two versions: stored queries that both were asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from packsight.indexer.gate.questions import by_photo
from packsight.shared.catalog.told import QUERY, Asked


class Cause(StrEnum):
    """Why an answer changes."""

    UNKNOWN = ""
    MOVED = "came or went"
    """One of the two products is in one of the versions only."""
    SAID = "as reviewed"
    """It is now what a person said of the photo."""


@dataclass(frozen=True, slots=True)
class Change:
    """A query that is answered otherwise."""

    before: Asked
    after: Asked
    cause: Cause


@dataclass(frozen=True, slots=True)
class Churn:
    """Queries that both versions were asked, and those that are answered otherwise."""

    asked: int
    changes: tuple[Change, ...]

    @property
    def unexplained(self) -> int:
        """Answers that change for no cause that is known."""
        return self._by(Cause.UNKNOWN)

    def told(self, version: str) -> list[str]:
        """A line on them."""
        if not self.asked:
            return ["no stored query was asked: PACKSIGHT_CATALOG__QUERIES names photos that versions are asked about"]
        return [
            f"stored queries: of {self.asked} that {version} was asked too, {len(self.changes)} are answered otherwise, "
            f"{self._by(Cause.MOVED)} of them since a product came or went, {self._by(Cause.SAID)} as people said"
        ]

    def _by(self, cause: Cause) -> int:
        return sum(change.cause is cause for change in self.changes)


NO_CHURN = Churn(0, ())


def churn(before: Sequence[Asked], after: Sequence[Asked], moved: Set[str], said: Mapping[str, str]) -> Churn:
    """Compare answers.

    moved: ids of products that are in one of the versions only; said: id of the product that a photo shows as people said, empty
    for none of the catalog, by the sha256 of the photo.
    """

    def cause(was: Asked, now: Asked) -> Cause:
        if {was.answered, now.answered} & moved:
            return Cause.MOVED
        return Cause.SAID if said.get(now.photo.sha256) == now.answered else Cause.UNKNOWN

    old, new = by_photo(before, QUERY), by_photo(after, QUERY)
    both = [(old[key], one) for key, one in new.items() if key in old]
    changed = [(was, now) for was, now in both if was.answered != now.answered]
    return Churn(len(both), tuple(Change(was, now, cause(was, now)) for was, now in changed))


def changed_answers(found: Churn) -> pa.Table:
    """The changes as a list of the report, with the pictures of both products."""
    rows = [
        {
            "query": change.after.photo.name,
            "sha256": change.after.photo.sha256,
            "from": change.before.answered,
            "from_confidence": change.before.answer.confidence,
            "from_picture": change.before.answer.picture,
            "to": change.after.answered,
            "to_confidence": change.after.answer.confidence,
            "to_picture": change.after.answer.picture,
            "explained": change.cause.value,
        }
        for change in found.changes
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


_SCHEMA = pa.schema([
    (name, pa.float64() if name.endswith("confidence") else pa.string())
    for name in (
        "query", "sha256", "from", "from_confidence", "from_picture", "to", "to_confidence", "to_picture", "explained",
    )
])  # fmt: skip
