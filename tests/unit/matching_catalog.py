"""Small catalogs of made-up packs for the tests of matching: features are drawn, no network runs."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from packsight.indexer.build.version import build_version
from packsight.shared.catalog.descriptor_codes import CODE_BYTES, CODEBOOK, decode
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.vision.features import ByteArray, Features, LocalFeatures, make_features

DIMENSION = 48
RECIPE = recipe("embedder-000000000000", "spotter-000000000000")
BOX = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]


def photo(
    name: str,
    lines: Sequence[str],
    look: int,
    *,
    noise: float = 0.3,
    local: LocalFeatures | None = None,
    colour: tuple[int, int, int] = (120, 90, 60),
) -> Features:
    """Features of a photo called `name`: its look is a direction of its own plus some noise that the name determines."""
    digest = hashlib.sha256(name.encode()).digest()
    direction = np.random.default_rng([7, look]).normal(size=DIMENSION)
    chance = np.random.default_rng(list(digest[:8])).normal(size=DIMENSION)
    jpeg = io.BytesIO()
    Image.new("RGB", (128, 128), colour).save(jpeg, "JPEG")
    return make_features(
        digest.hex(),
        (400, 400),
        (10 + direction + noise * chance).astype(np.float32),
        [WordRead(text=line, confidence=0.95, box=BOX) for line in lines],
        local or LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8)),
        jpeg.getvalue(),
    )


KINDS_APART = 15_000
"""Squared distance of a point of any kind from a flat place, and half that of points of two kinds."""


def points(*kinds: int, at: tuple[float, float] = (0.5, 0.5)) -> LocalFeatures:
    """Key points of these kinds, 0 to 15, all at one place: those of a kind are equal, of two kinds equally far apart.

    A version keeps them as they are: flat but for two parts of the descriptor, which no other kind has.
    """
    book = CODEBOOK.astype(int)
    flat = (book**2).sum(axis=2).argmin(axis=1)
    far = ((book - book[np.arange(len(book)), flat][:, None]) ** 2).sum(axis=2)
    codes = np.tile(flat.astype(np.uint8), (len(kinds), 1))
    for row, kind in enumerate(kinds):
        first, second = 2 * kind, 2 * kind + 1
        codes[row, [first, second]] = np.argwhere(np.add.outer(far[first], far[second]) == KINDS_APART)[0]
    return LocalFeatures(np.full((len(kinds), 2), at, np.float32), decode(codes))


def unlike(kinds: Iterable[int]) -> ByteArray:
    """Descriptors of any kinds, far apart: each of codes drawn by lot."""
    codes = [np.random.default_rng(int(kind)).integers(0, 256, CODE_BYTES) for kind in kinds]
    return decode(np.array(codes, np.uint8).reshape(-1, CODE_BYTES))


def product(number: int, vendor: str, model: str) -> ProductRow:
    return ProductRow(id=f"p{number}", name=f"{vendor} {model}".strip(), vendor=vendor, model=model)


def build(
    folder: Path, products: Sequence[ProductRow], photos: Mapping[str, Sequence[Features]], parent: Snapshot | None = None,
    catalog: str = "test",
) -> Snapshot:
    """Build and open a version; photos by product id."""
    rows = [
        PhotoRow(product_id=owner, sha256=features.sha256, source=f"{owner}/{features.sha256[:6]}")
        for owner, group in photos.items()
        for features in group
    ]
    known = {features.sha256: features for group in photos.values() for features in group}
    build_version(
        folder, catalog=catalog, parent=parent, products=products, photos=rows, features=known,
        recipe=RECIPE,
    )  # fmt: skip
    return Snapshot.open(folder)


NAMES = [
    ("Arvelo", "Night Cream"), ("Bontira", "Day Lotion"), ("Castoly", "Hand Soap"), ("Dervina", "Rose Shampoo"),
    ("Elgorin", "Mint Balm"), ("Fostane", "Lip Gloss"), ("Gravelle", "Eye Serum"), ("Hastira", "Body Scrub"),
    ("Ilvesto", "Face Mask"), ("Jolanta", "Nail Polish"), ("Kermolo", "Beard Oil"), ("Lustrine", "Foot Powder"),
]  # fmt: skip


def printed(number: int) -> LocalFeatures:
    """Key points of a print that only one product has, in ten places."""
    row = np.arange(10)
    places = np.stack([0.2 + 0.06 * row, 0.25 + 0.5 * ((7 * row + number) % 10) / 10], axis=1)
    return LocalFeatures(places.astype(np.float32), unlike(10 * number + row))


Shop = tuple[Snapshot, dict[str, list[Features]]]
"""A version, and its photos by product id."""


def shop(folder: Path, *, print_: bool = False, catalog: str = "test") -> Shop:
    """Twelve products with three photos each that show brand and name, and their print if wanted."""
    products = [product(number, *names) for number, names in enumerate(NAMES)]
    photos = {
        f"p{number}": [
            photo(f"{vendor}-{shot}", [vendor.upper(), model, "50 ml"], number, local=printed(number) if print_ else None)
            for shot in range(3)
        ]
        for number, (vendor, model) in enumerate(NAMES)
    }
    return build(folder, products, photos, catalog=catalog), photos
