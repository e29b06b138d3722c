"""The table of labels: what each photo shows.

It has the columns `image` and `product_id` (empty: the catalog does not hold the product), and may have `nearest_id`
(the product that comes closest) and `kind` (several, `;` between them).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packsight.producer.evaluation.metrics import Answer
from packsight.producer.sources import Item, read_table
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Outcome

TOP_K = 5


@dataclass(frozen=True, slots=True)
class Label:
    """What a photo shows; `product_id` is empty when the catalog does not hold it."""

    image: str
    product_id: str
    nearest_id: str
    kinds: tuple[str, ...]


def read_labels(path: Path, *, kind: str = "kind") -> list[Label]:
    """Read a table of labels; `kind` is the column of kinds. Raises UserError when a column or all rows are missing."""
    labels = []
    for number, row in enumerate(read_table(path), start=2):
        if missing := {"image", "product_id"} - row.keys():
            raise UserError(f"{path} has no column {' and '.join(sorted(missing))}; it has {', '.join(row)}.")
        if not row["image"].strip():
            raise UserError(f"{path}, line {number}: the image is empty. Every row must name a photo.")
        product = row["product_id"].strip()
        kinds = tuple(dict.fromkeys(part.strip() for part in row.get(kind.lower(), "").split(";") if part.strip()))
        labels.append(Label(row["image"].strip(), product, row.get("nearest_id", "").strip() or product, kinds))
    if not labels:
        raise UserError(f"{path} has no rows. Each row names a photo and its product.")
    return labels


def items(labels: Sequence[Label], root: Path) -> list[Item]:
    """The photos to send, paths from `root` on; raises UserError when one does not exist."""
    found = [Item(label.image, label.image if "://" in label.image else root / label.image) for label in labels]
    for item in found:
        if isinstance(item.where, Path) and not item.where.is_file():
            raise UserError(f"{item.where} does not exist. Correct the labels or name the photos' folder with --root.")
    return found


def unreadable(name: str, reason: str) -> UserError:
    """What is raised for a photo that cannot be sent: measures over a part of the labels would mislead."""
    return UserError(f"{name} cannot be read: {reason}. All labelled photos must be readable.")


def answers(labels: Sequence[Label], outcomes: Iterable[Outcome]) -> list[Answer]:
    """Pair labels with outcomes, both in the same order."""
    return [
        Answer(
            image=label.image,
            product_id=label.product_id,
            nearest_id=label.nearest_id,
            kinds=label.kinds,
            status=outcome.status,
            candidates=tuple(candidate.product.id for candidate in outcome.candidates),
            confidence=outcome.confidence,
            failure=outcome.failure.code.value if outcome.failure else "",
            reference=outcome.image,
            nearest_photo=(outcome.candidates[0].evidence.nearest_photo or "") if outcome.candidates else "",
        )
        for label, outcome in zip(labels, outcomes, strict=True)
    ]
