"""Whether a version recognises its photos worse than one before it: by the photos that both were asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from packsight.indexer.binomial import tail
from packsight.indexer.gate.parameters import GateParameters
from packsight.indexer.gate.questions import by_photo
from packsight.shared.catalog.told import MADE, OWN, Asked, Kind

_SCHEMA = pa.schema([
    ("photo", pa.string()), ("sha256", pa.string()), ("id", pa.string()), ("taken_for", pa.string()),
    ("picture", pa.string()), ("confidence", pa.float64()),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pairs:
    """Photos of one kind that two versions were asked about.

    lost: recognised by the older one alone, with the newer one's answers; gained: how many by the newer one alone.
    """

    kind: Kind
    asked: int
    lost: tuple[Asked, ...]
    gained: int

    @property
    def probability(self) -> float:
        """Of so many losses or more, if a photo on which the two differ were as likely to be gained as lost.

        McNemar's test in its exact form, one-sided (Q. McNemar, Psychometrika 12, 1947): a sign test of the pairs that differ.
        """
        return tail(len(self.lost), len(self.lost) + self.gained, 0.5)

    def are_worse(self, parameters: GateParameters) -> bool:
        """Whether more is lost than chance and tolerance explain."""
        return (
            len(self.lost) - self.gained > parameters.tolerance * self.asked
            and self.probability <= parameters.significance
        )


def pairs(before: Sequence[Asked], after: Sequence[Asked], kind: Kind) -> Pairs:
    """Compare what two versions answered."""
    old, new = by_photo(before, kind), by_photo(after, kind)
    both = [(old[key], one) for key, one in new.items() if key in old]
    lost = tuple(now for was, now in both if was.right and not now.right)
    return Pairs(kind, len(both), lost, sum(now.right and not was.right for was, now in both))


def forgotten(found: Sequence[Pairs]) -> pa.Table:
    """Photos that are recognised no longer, as a list of the report: what each is `taken_for`, and a `picture` of that."""
    rows = [
        {
            "photo": one.photo.name, "sha256": one.photo.sha256, "id": one.photo.product, "taken_for": one.answer.first,
            "picture": one.answer.picture, "confidence": one.answer.confidence,
        }
        for pair in found
        for one in pair.lost
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def told(found: Sequence[Pairs], version: str) -> list[str]:
    """A line on each kind of photo."""
    what = {OWN: "own photos, each left out", MADE: "made photos"}
    return [
        f"{what[pair.kind]}: of {pair.asked} that {version} was asked about too, {len(pair.lost)} are recognised no longer, "
        f"{pair.gained} anew"
        for pair in found
        if pair.asked
    ]
