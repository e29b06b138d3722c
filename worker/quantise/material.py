"""The photos that networks are tried on: of the catalog's current version, and labelled ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import ImageError, UserError
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.settings import Decode
from packsight.shared.storage import layout
from packsight.shared.storage.names import find
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.tables import labels
from packsight.worker.pipeline.decode import Photo, decode

T = TypeVar("T")

LEAST = 20
"""Photos needed to calibrate on, and to judge by; fewer tell nothing."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A photo with what it shows.

    product: its number in the version, -1 where that does not hold it; exclusion: what is left out of the version when it is
    asked.
    """

    name: str
    data: bytes
    product: int
    exclusion: Exclusion | None = None

    def photo(self, limits: Decode) -> Photo:
        """Decode it. Raises UserError that names it."""
        try:
            return decode(self.data, limits)
        except ImageError as error:
            raise UserError(f"{self.name} cannot be used: {error}") from None


@dataclass(frozen=True, slots=True)
class Material:
    """Photos to calibrate on, and others to judge by: the catalog's own and labelled ones."""

    calibration: list[Shot]
    judged: list[Shot]
    labelled: list[Shot]

    def digest(self) -> str:
        """Hash of the calibration photos' hashes."""
        hashes = sorted(hashlib.sha256(shot.data).hexdigest() for shot in self.calibration)
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def gather(snapshot: Snapshot, store: ObjectStore, count: int, labelled: list[Shot]) -> Material:
    """Fetch up to `count` catalog photos to calibrate on and as many to judge by.

    Raises UserError when the catalog has too few.
    """
    ours, theirs = split(snapshot.photo_starts, count)
    table = snapshot.photo_table
    # The same picture may stand at several products.
    seen = {table.sha256(photo) for photo in theirs}
    ours = [photo for photo in ours if table.sha256(photo) not in seen]
    if min(len(ours), len(theirs)) < LEAST:
        raise UserError(
            f"{snapshot.manifest.catalog} leaves {len(ours)} photos to calibrate on and {len(theirs)}, of products with two "
            f"photos or more, to judge by; {LEAST} of each are needed. Add photos to the catalog or raise --photos."
        )

    def shot(photo: int, exclusion: Exclusion | None) -> Shot:
        name = layout.photo(table.sha256(photo))
        return Shot(name, store.read(name).data, int(snapshot.photo_product[photo]), exclusion)

    judged = [shot(photo, Exclusion.of_photo(snapshot, photo)) for photo in theirs]
    return Material([shot(photo, None) for photo in ours], judged, labelled)


def split(starts: npt.NDArray[np.int64], count: int) -> tuple[list[int], list[int]]:
    """Photos to calibrate on and to judge by, up to `count` each, evenly spread over products and of different ones.

    starts: [products + 1], where each product's photos begin. A product is judged by all its photos, so that each can be
    left out; so it needs two.
    """
    sizes = np.diff(starts)
    several = np.flatnonzero(sizes > 1)[::2]
    fitting = max(1, int(count / sizes[several].mean())) if len(several) else 0
    judged = set(spread(several.tolist(), fitting))
    rest = [photo for product in range(len(sizes)) if product not in judged for photo in _photos(starts, product)]
    return spread(rest, count), [photo for product in sorted(judged) for photo in _photos(starts, product)]


def labelled_shots(file: Path, root: Path, snapshot: Snapshot) -> list[Shot]:
    """Read the photos of a table of labels, paths from `root` on; raises UserError when a column or a photo is missing."""
    number = {product: index for index, product in enumerate(snapshot.products.column("id"))}
    try:
        return [
            Shot(label.image, find(root, label.image).read_bytes(), number.get(label.product_id, -1))
            for label in labels.read_labels(file)
        ]
    except OSError as error:
        raise UserError(f"A photo of {file} cannot be read: {error}. Correct the table or --root.") from None


def _photos(starts: npt.NDArray[np.int64], product: int) -> range:
    return range(int(starts[product]), int(starts[product + 1]))


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` items, evenly spread."""
    return [items[place] for place in evenly_spread(len(items), count).tolist()]
