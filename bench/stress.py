"""Catalogs that are hard to match in: a shop, and thousands of products made of its vocabulary and looks.

No network runs. Words of a drawn photo are what its pack says, some lost or misread; its embedding is a direction of its
family, one of its own and chance; key points and thumbnail are those of the drawn photo.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from packsight.deploy.demo.shop.packs import SMALL_PRINT
from packsight.deploy.demo.shop.products import Item, items
from packsight.deploy.demo.shop.scenes import SCENES, catalog_photo, query_photo
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.settings import Decode
from packsight.shared.storage.feature_store import join
from packsight.shared.vision.features import Features, LocalFeatures, make_features
from packsight.worker.pipeline.decode import decode
from packsight.worker.pipeline.local_features import catalog_features, thumbnail

DIMENSION = 256
"""Of a drawn photo's embedding."""
CATALOG_PHOTOS = 2
OWN, CHANCE = 0.5, 0.7
"""Lengths of the product's own direction and of chance in an embedding, beside its family's 1."""
LOST, MISREAD = 0.25, 0.15
"""Shares of a query's lines that are not read, and of words with a letter misread."""
BOX = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]


@dataclass(frozen=True)
class Shop:
    """A catalog with features, by sha256, and photos to ask it about with the product that each shows."""

    products: list[ProductRow]
    photos: list[PhotoRow]
    features: dict[str, Features]
    asked: list[tuple[str, Features]]


def drawn_shop(families: int | None = None) -> Shop:
    """The demo's shop, or its first few families."""
    shown = [item for item in items() if item.listed and (families is None or item.family.code <= families)]
    strangers = [item for item in items() if not item.family.listed]
    shop = Shop([], [], {}, [])
    for item in shown:
        family = item.family
        shop.products.append(ProductRow(id=item.id, name=f"{family.brand} {item.name}", vendor=family.brand, model=item.name))
        for number in range(CATALOG_PHOTOS):
            data = catalog_photo(item, number, np.random.default_rng([number, int(item.id)]))
            _add(shop, item.id, _described(data, item, [number, int(item.id)], worn=False))
        chance = np.random.default_rng([100, int(item.id)])
        data = query_photo(item, SCENES[int(item.id) % len(SCENES)], strangers, chance, occluded=int(item.id) % 3 == 0)
        shop.asked.append((item.id, _described(data, item, [100, int(item.id)], worn=True)))
    return shop


def published(version: Path, shards: Sequence[Path]) -> Shop:
    """A published version with the shards of its features: of each product with several photos, the last is asked about."""
    snapshot = Snapshot.open(version)
    features = join(shards)
    shop = Shop(list(snapshot.products), [], {}, [])
    for number, product in enumerate(shop.products):
        rows = [row for row in map(snapshot.photo_table.__getitem__, snapshot.photos(number)) if row.sha256 in features]
        if len({row.sha256 for row in rows}) > 1:
            shop.asked.append((product.id, features[rows.pop().sha256]))
        shop.photos.extend(rows)
        shop.features.update((row.sha256, features[row.sha256]) for row in rows)
    return shop


def with_distractors(shop: Shop, count: int, seed: int = 0) -> Shop:
    """Add products that are not asked about: brand of one, start and end of the names of two others.

    Each has one photo: its name and lines of other photos are read on it, it looks like something between two photos
    and shares key points with one of them, as a sibling would.
    """
    chance = np.random.default_rng(seed)
    real = list(shop.features.values())
    lines = [line for photo in real for line in photo.words]
    named = [product for product in shop.products if product.model]
    listed = {_words(product) for product in shop.products}
    more = Shop(list(shop.products), list(shop.photos), dict(shop.features), shop.asked)
    while len(more.products) < len(shop.products) + count:
        vendor, first, second = (named[i] for i in chance.integers(len(named), size=3).tolist())
        head, tail = first.model.split(), second.model.split()
        start = head[: int(chance.integers(1, len(head) + 1))]
        model = " ".join([*start, *tail[int(chance.integers(len(tail))) :]])
        number = len(more.products)
        product = ProductRow(id=f"distractor-{number}", name=f"{vendor.vendor} {model}", vendor=vendor.vendor, model=model)
        if _words(product) in listed:  # it would be the same product
            continue
        more.products.append(product)
        own = [_line(text) for text in (vendor.vendor, " ".join(start), model)]
        others = [lines[i] for i in chance.integers(len(lines), size=int(chance.integers(1, 5))).tolist()]
        one, two = (real[i] for i in chance.integers(len(real), size=2).tolist())
        share = chance.uniform(0.3, 0.7)
        between = share * one.embedding + (1 - share) * two.embedding
        sha256 = hashlib.sha256(product.id.encode()).hexdigest()
        _add(more, product.id, replace(
            one, sha256=sha256, words=(*own, *others), local=_half(one.local, chance),
            embedding=(between * chance.uniform(0.7, 1.3, len(between))).astype(np.float16).astype(np.float32),
        ))  # fmt: skip
    return more


def _add(shop: Shop, product: str, photo: Features) -> None:
    shop.photos.append(PhotoRow(product_id=product, sha256=photo.sha256, source=f"{product}/{photo.sha256[:8]}"))
    shop.features[photo.sha256] = photo


def _words(product: ProductRow) -> frozenset[str]:
    return frozenset(f"{product.vendor} {product.model}".casefold().split())


def _half(local: LocalFeatures, chance: np.random.Generator) -> LocalFeatures:
    """Half of the key points, not copied."""
    half = len(local.points) // 2
    start = int(chance.integers(0, half + 1))
    return local[start : start + half]


def _line(text: str) -> WordRead:
    return WordRead(text=text, confidence=0.95, box=BOX)


def _described(data: bytes, item: Item, seed: list[int], *, worn: bool) -> Features:
    """Features of a drawn photo."""
    photo = decode(data, Decode())
    chance = np.random.default_rng([3, *seed])
    family = item.family
    texts = [family.brand, family.line, item.variant, f"{family.what} {family.size}".strip(),
             SMALL_PRINT[family.code % len(SMALL_PRINT)]]  # fmt: skip
    if worn:
        texts = [_misread(text, chance) for text in texts if chance.random() >= LOST]
    look = _direction([1, family.code]) + OWN * _direction([2, int(item.id)])
    look = look + (2 if worn else 1) * CHANCE * chance.normal(size=DIMENSION)
    return make_features(
        hashlib.sha256(data).hexdigest(), (photo.width, photo.height), (5 + look).astype(np.float32),
        [_line(text) for text in texts], catalog_features(photo), thumbnail(photo),
    )  # fmt: skip


def _direction(seed: list[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=DIMENSION)


def _misread(text: str, chance: np.random.Generator) -> str:
    words = text.split()
    for place, word in enumerate(words):
        if len(word) > 3 and chance.random() < MISREAD:
            at = int(chance.integers(len(word)))
            words[place] = word[:at] + "ilcoes"[int(chance.integers(6))] + word[at + 1 :]
    return " ".join(words)
