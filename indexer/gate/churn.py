"""Whose answer changes between two versions: stored queries that both were asked."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import pyarrow as pa

from packsight.indexer.gate.questions import by_photo
from packsight.shared.catalog.told import QUERY, Asked


@dataclass(frozen=True, slots=True)
class Change:
    """A query that is answered otherwise; `explained` when one of the two products is in one of the versions only."""

    before: Asked
    after: Asked
    explained: bool


@dataclass(frozen=True, slots=True)
class Churn:
    """Queries that both versions were asked, and those that are answered otherwise."""

    asked: int
    changes: tuple[Change, ...]

    @property
    def unexplained(self) -> int:
        """Answers that change though the products of both are in both versions."""
        return sum(not change.explained for change in self.changes)

    def told(self, version: str) -> list[str]:
        """A line on them."""
        if not self.asked:
            return ["no stored query was asked: PACKSIGHT_CATALOG__QUERIES names photos that versions are asked about"]
        return [
            f"stored queries: of {self.asked} that {version} was asked too, {len(self.changes)} are answered otherwise, "
            f"{len(self.changes) - self.unexplained} of them since a product came or went"
        ]


NO_CHURN = Churn(0, ())


def churn(before: Sequence[Asked], after: Sequence[Asked], moved: Set[str]) -> Churn:
    """Compare answers; moved: ids of products that are in one of the versions only."""
    old, new = by_photo(before, QUERY), by_photo(after, QUERY)
    both = [(old[key], one) for key, one in new.items() if key in old]
    changed = [(was, now) for was, now in both if was.answered != now.answered]
    return Churn(len(both), tuple(Change(was, now, bool({was.answered, now.answered} & moved)) for was, now in changed))


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
            "explained": "came or went" if change.explained else "",
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
