"""Catalogs that are hard to match in: a shop, and thousands of products made of its vocabulary, print and looks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.described import seen
from packsight.deploy.demo.shop.products import Item, items
from packsight.deploy.demo.shop.scenes import SCENES, catalog_photo, query_photo
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.normalise import tokens
from packsight.shared.settings import Settings
from packsight.shared.storage.feature_store import join
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures, make_features
from packsight.worker.networks.base import Embedder, Spotter

CATALOG_PHOTOS = 2
ASKED = 100
"""Number of a product's photo that is asked about; those of the catalog are 0 and 1, spare ones come after it."""
SPARE = 3
"""Further photos of each product, for distractors to copy: their key points are as near to a query's as those of the catalog's
photos, those of a photo that were copied with noise would be farther from every query than its own."""
EDGE = (-0.3, 0.0)
"""Where a copied part of a photo ends, from the photo's middle in its sides: a pack reaches some 0.4 from there."""
ALIKE, CHANCE = (0.6, 0.9), (0.8, 1.2)
"""Share of the sibling's looks in a distractor's beside those of another photo, and factors by which each number of them varies:
half of the distractors have a cosine of 0.98 and more to a catalog photo, as drawn siblings have to each other (0.987)."""
LOST, MISREAD = 0.25, 0.15
"""Shares of lines that are not read on a photo that is badly read, and of words with a letter misread."""

Edge = npt.NDArray[np.float64]
"""Direction (x, y) into the copied part, and where it begins along it."""
Describe = Callable[[bytes, Item, int], Features]
"""Features of a drawn photo, from its bytes, its product and its number."""


@dataclass(frozen=True)
class Shop:
    """A catalog with features, by sha256, photos to ask it about with the product that each shows, and other photos of them."""

    products: list[ProductRow]
    photos: list[PhotoRow]
    features: dict[str, Features]
    asked: list[tuple[str, Features]]
    spare: list[tuple[str, Features]] = field(default_factory=list)


def by_networks(embedder: Embedder, spotter: Spotter) -> Describe:
    """Photos as workers see them: lines with their places, and looks."""
    settings = Settings()
    return lambda data, *_: seen(hashlib.sha256(data).hexdigest(), data, embedder, spotter, settings)


def drawn_shop(describe: Describe, families: int | None = None, spare: int = SPARE) -> Shop:
    """The demo's shop, or its first few families; spare: further photos of each product, at most 3."""
    shown = [item for item in items() if item.listed and (families is None or item.family.code <= families)]
    strangers = [item for item in items() if not item.family.listed]
    shop = Shop([], [], {}, [])
    for item in shown:
        family = item.family
        shop.products.append(ProductRow(id=item.id, name=f"{family.brand} {item.name}", vendor=family.brand, model=item.name))
        for number in range(CATALOG_PHOTOS):
            data = catalog_photo(item, number, np.random.default_rng([number, int(item.id)]))
            _add(shop, item.id, describe(data, item, number))
        for number in range(ASKED + 1, ASKED + 1 + spare):
            data = catalog_photo(item, number - ASKED - 1, np.random.default_rng([number, int(item.id)]))
            shop.spare.append((item.id, describe(data, item, number)))
        chance = np.random.default_rng([ASKED, int(item.id)])
        data = query_photo(item, SCENES[int(item.id) % len(SCENES)], strangers, chance, occluded=int(item.id) % 3 == 0)
        shop.asked.append((item.id, describe(data, item, ASKED)))
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
    """Add products that are not asked about, each a sibling of one that may be: its brand and the start of its name, the end of
    another name, and one photo.

    The photo copies key points and lines, where they stand, of half to nearly all of a spare photo of the sibling (where there is
    none, of one of the catalog). Of the rest it has the lines' places alone, with words of other photos: print of its own would
    draw no votes but by chance. Where the name stood, its own stands. So hundreds of products share each print, as where a few
    brands sell thousands of varieties; most shops of that size sell more brands, and are easier.
    """
    chance = np.random.default_rng(seed)
    owner = {product.id: product for product in shop.products}
    photos = shop.spare or [(row.product_id, shop.features[row.sha256]) for row in shop.photos]
    shown = [(photo, owner[product]) for product, photo in photos if owner[product].model]
    lines = [line.text for photo, _ in shown for line in photo.words]
    listed = [_keys(product.name) for product in shop.products]
    more = Shop(list(shop.products), list(shop.photos), dict(shop.features), shop.asked, shop.spare)
    while len(more.products) < len(shop.products) + count:
        (one, sibling), (two, other) = (shown[i] for i in chance.integers(len(shown), size=2).tolist())
        head, tail = sibling.model.split(), other.model.split()
        start = head[: int(chance.integers(1, max(len(head) // 2, 1) + 1))]
        model = " ".join([*start, *tail[int(chance.integers(len(tail))) :]])
        number, vendor = len(more.products), sibling.vendor
        product = ProductRow(id=f"distractor-{number}", name=f"{vendor} {model}".strip(), vendor=vendor, model=model)
        name = _keys(product.name)
        if any(name <= one for one in listed):  # it would be the same product
            continue
        angle = chance.uniform(0, 2 * np.pi)
        edge = np.array([np.cos(angle), np.sin(angle), chance.uniform(*EDGE)])
        others = [lines[i] for i in chance.integers(len(lines), size=len(one.words)).tolist()]
        share = chance.uniform(*ALIKE)
        looks = (share * one.embedding + (1 - share) * two.embedding) * chance.uniform(*CHANCE, len(one.embedding))
        texts = _relabelled(one, sibling, product, edge, others)
        words = [line.model_copy(update={"text": text}) for line, text in zip(one.words, texts, strict=True) if text]
        local = _copied(one, texts, edge)
        sha256 = hashlib.sha256(product.id.encode()).hexdigest()
        more.products.append(product)
        _add(more, product.id, make_features(sha256, (one.width, one.height), looks, words, local, one.thumbnail))
    return more


def badly_read(photo: Features) -> Features:
    """A photo with some of its lines lost and some words misread, the same at every call."""
    chance = np.random.default_rng(int(photo.sha256[:8], 16))
    kept = [line for line in photo.words if chance.random() >= LOST]
    return replace(photo, words=tuple(line.model_copy(update={"text": misread(line.text, chance)}) for line in kept))


def misread(text: str, chance: np.random.Generator) -> str:
    """A text with a letter of some words misread."""
    words = text.split()
    for place, word in enumerate(words):
        if len(word) > 3 and chance.random() < MISREAD:
            at = int(chance.integers(len(word)))
            words[place] = word[:at] + "ilcoes"[int(chance.integers(6))] + word[at + 1 :]
    return " ".join(words)


def _add(shop: Shop, product: str, photo: Features) -> None:
    shop.photos.append(PhotoRow(product_id=product, sha256=photo.sha256, source=f"{product}/{photo.sha256[:8]}"))
    shop.features[photo.sha256] = photo


def _relabelled(
    photo: Features, former: ProductRow, product: ProductRow, edge: Edge, others: Sequence[str]
) -> list[str]:
    """What a product has where the lines of another one's photo stand; nothing where its name is at its end."""
    names = [_keys(line.text) & _keys(former.name) for line in photo.words]
    shared = [bool(name) and name <= _keys(product.name) for name in names]
    printed = {key for line, kept in zip(photo.words, shared, strict=True) if kept for key in _keys(line.text)}
    left = [word for word in product.model.split() if not _keys(word) or not _keys(word) <= printed]
    replaced = [bool(name) and not kept for name, kept in zip(names, shared, strict=True)]
    own = iter(np.array_split(np.array(left, np.str_), max(sum(replaced), 1)))
    copied = _inside(_middles(photo), edge).tolist()
    return [
        " ".join(next(own).tolist()) if anew else line.text if kept or (inside and not name) else other
        for line, name, kept, anew, inside, other in zip(photo.words, names, shared, replaced, copied, others, strict=True)
    ]


def _copied(photo: Features, texts: Sequence[str], edge: Edge) -> LocalFeatures:
    """Key points of a part of a photo, without those of lines that have other texts."""
    local = photo.local
    copied = _inside(local.points, edge)
    for line, text in zip(photo.words, texts, strict=True):
        if text != line.text:
            box = np.array(line.box, np.float32) / (photo.width, photo.height)
            copied &= ((local.points < box.min(axis=0)) | (local.points > box.max(axis=0))).any(axis=1)
    leading = None if local.leading is None else int(copied[: local.leading].sum())
    return LocalFeatures(local.points[copied], local.descriptors[copied], leading)


def _keys(text: str) -> frozenset[str]:
    return frozenset(token.key for token in tokens(text))


def _middles(photo: Features) -> FloatArray:
    """Middles [lines, 2] of a photo's lines, as shares of its sides."""
    boxes = np.array([line.box for line in photo.words], np.float32).reshape(-1, 4, 2)
    return np.asarray(boxes.mean(axis=1) / (photo.width, photo.height), np.float32)


def _inside(points: FloatArray, edge: Edge) -> npt.NDArray[np.bool_]:
    """Which points [n, 2] belong to the part that is copied."""
    return np.asarray((points - 0.5) @ edge[:2] >= edge[2], np.bool_)
