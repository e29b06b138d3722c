"""Photos of an earlier evaluation by the names that they have now: `q/x.jpg` may be `x.jpg` from another folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from packsight.producer.evaluation.metrics import Answer
from packsight.shared.contract.errors import UserError
from packsight.shared.tables.labels import Label


def met(file: str, then: Sequence[Answer], labels: Sequence[Label]) -> list[Answer]:
    """The answers of `file` with the names of these labels: as they are where any photo is in both, else by the ends of paths.

    Raises UserError where no photo is in both, or none with the same product: nothing could be compared.
    """
    old, new = dict.fromkeys(one.image for one in then), dict.fromkeys(one.image for one in labels)
    if not old.keys() & new.keys():
        called = _by_ends(old, new)
        if not called:
            example = f" (there {next(iter(old))}, here {next(iter(new))})" if old and new else ""
            raise UserError(
                f"No photo of {file} is among the labels, by its name or by an end of its path that tells all apart{example}. "
                "Name an evaluation of the same labels with --against."
            )
        then = [replace(one, image=called.get(one.image, one.image)) for one in then]
    ids = {one.image: one.product_id for one in labels}
    if not {(one.image, one.product_id) for one in then} & {(one.image, one.product_id) for one in labels}:
        other = next(one for one in then if one.image in ids)
        raise UserError(
            f"No photo has the same product in {file} and in the labels: {other.image} shows {other.product_id or 'none'} there, "
            f"{ids[other.image] or 'none'} here. If products were numbered anew since, nothing that was measured before can be "
            "compared; else name an evaluation of the same labels with --against."
        )
    return list(then)


def _by_ends(old: Collection[str], new: Collection[str]) -> dict[str, str]:
    """What old names are called now, by the shortest ends of paths that tell all photos of each side apart."""
    for depth in range(1, max((len(_parts(name)) for name in (*old, *new)), default=0) + 1):
        before, after = ({_parts(name)[-depth:]: name for name in names} for names in (old, new))
        if len(before) == len(old) and len(after) == len(new):
            return {name: after[end] for end, name in before.items() if end in after}
    return {}


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts
