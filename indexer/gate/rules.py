"""What is refused, and why, in sentences with cause, numbers and remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from packsight.indexer.gate.changes import Changes
from packsight.indexer.gate.churn import NO_CHURN, Cause, Churn
from packsight.indexer.gate.parameters import GateParameters
from packsight.indexer.gate.recognition import Pairs
from packsight.indexer.gate.tables import Levels
from packsight.shared.catalog.told import MADE, OWN
from packsight.shared.settings import Catalog

_FEED = "Look whether the feed is whole."


class Refusal(BaseModel):
    """A reason not to publish a version."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    gate: str
    """One word that names the rule."""
    text: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was found out of a version, as far as it was looked at.

    levels: by version, of those that it is held against, newest first. recognition: by version. shared: pictures of several
    products, those of most first; shared_before: how many products each of those pictures stood for in the parent, as a share.
    """

    own: Levels
    levels: Mapping[str, Levels] = field(default_factory=dict)
    changes: Changes | None = None
    shared: pa.Table | None = None
    shared_before: Mapping[str, float] = field(default_factory=dict)
    recognition: Mapping[str, Sequence[Pairs]] = field(default_factory=dict)
    churn: Churn = NO_CHURN


def refusals(found: Findings, limits: Catalog, parameters: GateParameters) -> list[Refusal]:
    """All reasons at once."""
    rules = (
        *(_lost(found.changes, limits) if found.changes is not None else ()),
        *_fallen(found.own, found.levels, limits),
        *(_changed(found.changes, limits, parameters) if found.changes is not None else ()),
        *_shared(found, limits, parameters),
        *_forgotten(found.recognition, parameters),
        *_answers(found.churn, limits, parameters),
    )
    return list(rules)


def _lost(changes: Changes, limits: Catalog) -> Iterator[Refusal]:
    if changes.before and changes.lost > limits.max_loss * changes.before:
        lost = [f"the feed lacks {len(changes.gone)}"] if len(changes.gone) else []
        lost += [f"no photo is left of {len(changes.photoless)}"] if len(changes.photoless) else []
        yield Refusal(
            gate="lost",
            text=f"Of the {changes.before} products that are published, {' and '.join(lost)}: more than "
            f"{limits.max_loss:.0%}. {_FEED}",
        )


def _fallen(own: Levels, levels: Mapping[str, Levels], limits: Catalog) -> Iterator[Refusal]:
    """What falls short of the most that one of the versions before had."""
    for name, what, remedy in (
        ("products", "products", _FEED),
        ("photos", "photos of the shop", "Look whether its pictures can be fetched, and whether extra photos are still named."),
        ("names", "distinct names", "Look whether another column of the feed has come to be the name."),
        ("pictures", "distinct pictures of the shop", "Look whether its server sends one picture for all."),
    ):
        pairs = {version: pair for version, one in levels.items() if (pair := _comparable(own, one, name)) is not None}
        if not pairs:
            continue
        best = max(pairs, key=lambda version: pairs[version][1] / max(pairs[version][0], 1))
        now, most = pairs[best]
        if now < (1 - limits.max_loss) * most:
            yield Refusal(
                gate=f"fewer {name}",
                text=f"It has {now} {what}, version {best} had {most}, the most of the last {len(pairs)}: more than "
                f"{limits.max_loss:.0%} less. {remedy}",
            )


def _comparable(own: Levels, before: Levels, name: str) -> tuple[int, int] | None:
    """A level and what it was: without confirmed photos where both tell that; None where one is not known."""
    for level in (f"shop_{name}", name):
        now, was = getattr(own, level, None), getattr(before, level, None)
        if now is not None and was is not None:
            return now, was
    return None


def _changed(changes: Changes, limits: Catalog, parameters: GateParameters) -> Iterator[Refusal]:
    for gate, table, of, limit, what, remedy in (
        (
            "renamed", changes.renamed, changes.stayed, limits.max_renamed, "products that stay have another name",
            "Look whether the feed's columns moved; PACKSIGHT_CATALOG__MAX_RENAMED is the limit.",
        ),
        (
            "pictured anew", changes.repictured, changes.stayed, limits.max_repictured,
            "products that stay have none of their photos any more",
            "Look at the pictures that their addresses lead to; PACKSIGHT_CATALOG__MAX_REPICTURED is the limit.",
        ),
        (
            "other ids", changes.reidentified, changes.before, limits.max_reidentified, "products came back under another id",
            "Look whether the shop numbers its products anew, and choose by PACKSIGHT_CATALOG__IDENTITY what they are known by; "
            "PACKSIGHT_CATALOG__MAX_REIDENTIFIED is the limit.",
        ),
    ):  # fmt: skip
        if len(table) > max(limit * of, parameters.few):
            first = table.slice(0, 1).to_pylist()[0]
            text = f"{len(table)} of {of} {what} (first: {_example(first)}): more than {limit:.0%}. {remedy}"
            yield Refusal(gate=gate, text=text)


def _example(row: Mapping[str, str]) -> str:
    return f"{row['id']}, '{row.get('name_before', row['name'])}'" + (f" -> '{row['name']}'" if "name_before" in row else "")


def _shared(found: Findings, limits: Catalog, parameters: GateParameters) -> Iterator[Refusal]:
    """A picture that has come to stand for too many products; one that did before is known. In a first version each has come."""
    first = found.changes is None
    limit, name = (limits.max_placeholder, "MAX_PLACEHOLDER") if first else (limits.max_shared_picture, "MAX_SHARED_PICTURE")
    if found.shared is None:
        return
    products = found.own.products
    many = found.shared.filter(pc.greater_equal(found.shared["products"], max(int(limit * products) + 1, parameters.placeholder)))
    for row in many.to_pylist():
        if found.shared_before.get(row["sha256"], 0.0) <= limit:
            yield Refusal(
                gate="one picture for many",
                text=f"One picture stands for {row['products']} of {products} products ({row['source']}; first: {row['first']}): "
                f"more than {limit:.0%}. Look whether it is what the shop shows for want of a picture, and take it from the "
                f"feed; PACKSIGHT_CATALOG__{name} is the limit.",
            )


def _forgotten(recognition: Mapping[str, Sequence[Pairs]], parameters: GateParameters) -> Iterator[Refusal]:
    kinds = {OWN: "its own photos, each left out", MADE: "photos made of its own"}
    for kind, what in kinds.items():
        worse = {
            version: pair
            for version, all_pairs in recognition.items()
            for pair in all_pairs
            if pair.kind == kind and pair.are_worse(parameters)
        }
        if worse:
            version = max(worse, key=lambda name: len(worse[name].lost) - worse[name].gained)
            pair = worse[version]
            first = pair.lost[0]
            yield Refusal(
                gate="forgotten",
                text=f"Of {pair.asked} {what}, that version {version} was asked about too, {len(pair.lost)} are recognised no "
                f"longer and {pair.gained} anew (first: {first.photo.name} of {first.photo.product} is taken for "
                f"{first.answer.first or 'none'}). Look at the photos that changed.",
            )


def _answers(found: Churn, limits: Catalog, parameters: GateParameters) -> Iterator[Refusal]:
    if found.unexplained > max(limits.max_changed_answers * found.asked, parameters.changed_answers):
        unknown = [change for change in found.changes if change.cause is Cause.UNKNOWN]
        first, withheld = unknown[0], sum(not change.after.answered for change in unknown)
        fit = (
            "Most of them are answered by no product now: verdicts of people may have raised the thresholds, one of a `matched` "
            "answer that is said to be wrong above all (`packsight review show`). "
        )
        yield Refusal(
            gate="other answers",
            text=f"{found.unexplained} of {found.asked} stored queries are answered otherwise (first: {first.after.photo.name}, "
            f"from {first.before.answered or 'none'} to {first.after.answered or 'none'}): more than "
            f"{limits.max_changed_answers:.0%}. {fit if 2 * withheld > len(unknown) else ''}Look at both pictures of each in the "
            "report; PACKSIGHT_CATALOG__MAX_CHANGED_ANSWERS is the limit.",
        )
