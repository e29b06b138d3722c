"""A catalog asked as if a photo or a product were not in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from packsight.shared.catalog.snapshot import Snapshot

NO_PHOTO = -1

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What a catalog is to be answered without: one of its photos, or a product altogether (then photo is NO_PHOTO).

    dropped_terms: terms that the product no longer has.
    """

    product: int
    photo: int
    dropped_terms: IntArray

    @property
    def key(self) -> tuple[int, int]:
        """Tells it from others of the same catalog."""
        return self.product, self.photo

    @property
    def whole_product(self) -> bool:
        """Whether the product is left out with all its photos."""
        return self.photo == NO_PHOTO

    @classmethod
    def of_photo(cls, snapshot: Snapshot, photo: int) -> Exclusion:
        """As if this photo had never been taken."""
        product = int(snapshot.photo_product[photo])
        return cls(product, photo, snapshot.words.only_on(photo, product))

    @classmethod
    def of_product(cls, snapshot: Snapshot, product: int) -> Exclusion:
        """As if this product had never been listed."""
        return cls(product, NO_PHOTO, np.asarray(snapshot.words.products.row(product), np.int64))
