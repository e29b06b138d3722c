"""A product as a version knows it: its photos, the words on them, and the products that are most like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.told import Asked
from packsight.shared.catalog.words.word_notes import NAMED
from packsight.shared.contract.errors import UserError
from packsight.shared.matching.kinship import kinship

WORDS = 20
"""Words that are shown, the rarest first: these tell the product from others."""
NEIGHBOURS = 8
_NEAR = 64
"""Photos that are looked at for neighbours, around each of the product's."""


@dataclass(frozen=True, slots=True)
class ProductView:
    """photos, words, neighbours: rows to be shown (packsight.indexer.tables.product)."""

    id: str
    version: str
    fields: dict[str, str]
    photos: list[tuple[str, ...]]
    words: list[tuple[str, ...]]
    neighbours: list[tuple[str, ...]]


def product_view(identity: str, snapshot: Snapshot, asked: Sequence[Asked]) -> ProductView:
    """Look a product up; asked: what the version answered to its own photos. Raises UserError when it is not there."""
    found = pc.index(snapshot.products.arrow["id"], pa.scalar(identity, pa.string())).as_py()
    if found < 0:
        raise UserError(
            f"Version {snapshot.manifest.version} has no product {identity}. `packsight catalog report` names what is gone."
        )
    fields = {name: _text(value) for name, value in snapshot.products[found].model_dump().items() if name != "id"}
    answers = {one.photo.sha256: one for one in asked if one.photo.product == identity}
    return ProductView(
        identity, snapshot.manifest.version, fields, _photos(found, snapshot, answers), _words(found, snapshot),
        _neighbours(found, snapshot),
    )  # fmt: skip


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple | list) else str(value)


def _photos(product: int, snapshot: Snapshot, answers: dict[str, Asked]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for photo in snapshot.photos(product):
        row = snapshot.photo_table[photo]
        words = " ".join(snapshot.words.vocabulary.text(term) for term in snapshot.words.photos.row(photo).tolist())
        rows.append((row.source, row.sha256, words or "none", _outcome(answers.get(row.sha256))))
    return rows


def _outcome(asked: Asked | None) -> str:
    if asked is None:
        return "not asked"
    return "recognised" if asked.right else f"taken for {asked.answer.first or 'none'}"


def _words(product: int, snapshot: Snapshot) -> list[tuple[str, ...]]:
    words = snapshot.words
    row = slice(int(words.products.starts[product]), int(words.products.starts[product + 1]))
    terms, seen, flags = (np.asarray(values[row]) for values in (words.products.values, words.photo_frequency, words.flags))
    frequency, photos = words.frequency(terms), len(snapshot.photos(product))
    return [
        (words.vocabulary.text(terms[i]), "yes" if flags[i] & NAMED else "no", f"{seen[i]} of {photos}", str(frequency[i]))
        for i in np.argsort(frequency, kind="stable")[:WORDS].tolist()
    ]


def _neighbours(product: int, snapshot: Snapshot) -> list[tuple[str, ...]]:
    """Other products by their looks, or else by details that agree, those most like it first."""
    kinship(product, snapshot)
    kin = dict(snapshot.kin[product])
    near = _near(product, snapshot)
    order = sorted({*near, *kin}, key=lambda other: (-kin.get(other, 0), -near.get(other, -1.0), other))[:NEIGHBOURS]
    return [
        (row.id, row.name, f"{near[other]:.2f}" if other in near else "–", str(kin.get(other, "–")))
        for other in order
        for row in (snapshot.products[other],)
    ]


def _near(product: int, snapshot: Snapshot) -> dict[int, float]:
    """Cosine of the nearest photos of each other product that is near."""
    photos = snapshot.photos(product)
    if not len(photos):
        return {}
    vectors = np.asarray(snapshot.vectors[photos.start : photos.stop], np.float32)
    similarity, found = snapshot.index.search(vectors, min(_NEAR, snapshot.index.ntotal))
    near: dict[int, float] = {}
    for photo, cosine in zip(found.ravel().tolist(), similarity.ravel().tolist(), strict=True):
        other = int(snapshot.photo_product[photo]) if photo >= 0 else product
        if other != product:
            near[other] = max(near.get(other, -1.0), cosine)
    return near
