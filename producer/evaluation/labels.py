"""Labelled photos: which are sent, and their labels beside what was answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from packsight.producer.evaluation.metrics import Answer
from packsight.producer.sources import Item, resolve
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Outcome
from packsight.shared.storage.jobs import Unopened
from packsight.shared.tables.labels import Label

TOP_K = 5


def items(labels: Sequence[Label], root: Path) -> list[Item]:
    """The photos to send, paths from `root` on, found as those of lists are; raises UserError when some do not exist."""
    found = list(resolve(((label.image, {}) for label in labels), root))
    lacking = [item.where for item in found if isinstance(item.where, Path) and not _is_there(item.where)]
    if lacking:
        more = f", nor do {len(lacking) - 1} more of {len(found)}" if len(lacking) > 1 else ""
        raise UserError(f"{lacking[0]} does not exist{more}. Correct the labels or name the photos' folder with --root.")
    return found


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for one, as of several photos
        return False


def unreadable(one: Unopened) -> UserError:
    """What is raised for a photo that cannot be sent: measures over a part of the labels would mislead."""
    return UserError(f"{one.name} cannot be read: {one.failure.message}. All labelled photos must be readable.")


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
            timings=outcome.timings,
            version=(outcome.provenance.catalog_version or "") if outcome.provenance else "",
        )
        for label, outcome in zip(labels, outcomes, strict=True)
    ]
