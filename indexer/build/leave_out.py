"""A catalog asked about its own photos, each photo left out of everything: index, words, expectations and projection.

Every photo is asked twice: as a photo of its product, and as if that product had never been listed, when the right
answer is none. Each question is put a second time with a worn copy of the photo: part of its words lost or misread, part
of its key points lost, its look moved. Catalog photos often share hand, light and background, and a fit on them alone would
trust looks too much for photos taken elsewhere. A third kind of question is a sibling that is not listed: the same photo
with other words where the product's name should stand, for which the right answer is none as well. A photo that is its
product's only one cannot be left out without leaving the product without looks, so only its worn copy is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import faiss
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.projection import fit_like
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.decision_model import Model
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.normalise import is_number, tokens
from packsight.shared.catalog.words.word_index import NAMED, VENDOR
from packsight.shared.matching.candidates import Leave, Query
from packsight.shared.matching.matcher import Ranking, Variant, rank
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures

MAX_ASKED = 600
"""Photos asked at most, evenly spread over the catalog, which bounds the time of a build."""
FOLDS = 10
MAX_REFITTED = 1000
"""Photos up to which the projection is fitted without those asked; in larger catalogs one photo moves it by nothing."""
WORN_LIKENESS = (0.0, 0.9)
"""Range of the cosine between a worn copy's look and the photo's: photos taken elsewhere may hardly look alike."""
LOST_WORDS = 0.4
MISREAD_WORDS = 0.15
SIBLING_EVERY = 4
"""One photo in so many is asked as a sibling that is not listed."""
CHANGED_WORDS = 0.8
"""Chance that a word of the name is another on a sibling's pack; at least two are."""
SIBLING_LIKENESS = (0.3, 0.9)
"""Range of the cosine between a sibling's look and the photo's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: the photo, as what it is asked, and the product that is the right answer (None: none of them)."""

    photo: int
    product: int
    query: Query
    snapshot: Snapshot
    leave: Leave | None
    truth: int | None
    worn: bool
    weight: float


def asked_photos(snapshot: Snapshot) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Photos that are asked in rising order, with how many of the catalog's each stands for, 1 on average.

    All, or an even spread of as many photos that are their product's only one as of others, if there are so many: only those
    others can be left out, and they show what two photos of a product have in common.
    """
    alone = np.diff(snapshot.photo_starts)[snapshot.photo_product] == 1
    groups = [np.flatnonzero(alone), np.flatnonzero(~alone)]
    fewer = min(map(len, groups))
    sizes = [min(len(group), max(MAX_ASKED // 2, MAX_ASKED - fewer)) for group in groups]
    spread = [group[evenly_spread(len(group), size)] for group, size in zip(groups, sizes, strict=True)]
    stands_for = [len(group) / max(size, 1) for group, size in zip(groups, sizes, strict=True)]
    photos = np.concatenate(spread)
    weight = np.repeat(stands_for, sizes) * len(photos) / max(len(alone), 1)
    order = np.argsort(photos)
    return photos[order], weight[order]


def questions(snapshot: Snapshot, features: Mapping[str, Features]) -> Iterator[Asked]:
    """Ask every photo, present first, then absent; features by sha256."""
    photos, stands_for = asked_photos(snapshot)
    alone = np.diff(snapshot.photo_starts) == 1
    folds = FOLDS if len(snapshot.photo_product) <= MAX_REFITTED else 1
    hashes = snapshot.photo_table.column("sha256")
    raw = np.stack([features[one].embedding for one in hashes]) if folds > 1 and hashes else np.zeros((0, 0), np.float32)
    for fold in range(min(folds, len(photos))):
        group = photos[fold::folds]
        without = _refitted(snapshot, raw, group) if folds > 1 else snapshot
        for photo, weight in zip(group.tolist(), stands_for[fold::folds].tolist(), strict=True):
            product = int(snapshot.photo_product[photo])
            own = features[hashes[photo]]
            query = Query.of(own, without)
            absent = Leave.whole_product(snapshot, product)
            copy = worn(own, without)
            if alone[product]:
                yield Asked(photo, product, copy, without, None, product, True, weight)
            else:
                leave = Leave.one_photo(snapshot, photo)
                yield Asked(photo, product, query, without, leave, product, False, weight)
                yield Asked(photo, product, copy, without, leave, product, True, weight)
            if len(snapshot.products) > 1:
                yield Asked(photo, product, query, without, absent, None, False, weight)
                yield Asked(photo, product, copy, without, absent, None, True, weight)
            other = sibling(own, product, without) if photo % SIBLING_EVERY == 0 else None
            if other is not None:
                own_photo = None if alone[product] else Leave.one_photo(snapshot, photo)
                yield Asked(photo, product, other, without, own_photo, None, True, weight)


def leave_one_out(
    snapshot: Snapshot, features: Mapping[str, Features], variant: Variant = Variant.FITTED, model: Model | None = None
) -> Iterator[tuple[Asked, Ranking]]:
    """Answer every question by one way of deciding."""
    for asked in questions(snapshot, features):
        yield asked, rank(asked.query, asked.snapshot, leave=asked.leave, variant=variant, model=model)


def worn(features: Features, snapshot: Snapshot) -> Query:
    """A worn copy of a catalog photo, the same at every call: chance is seeded by the photo's own hash."""
    chance = np.random.default_rng(int(features.sha256[:12], 16))
    kept = []
    for line in features.words:
        words = [word for word in line.text.split() if chance.random() >= LOST_WORDS]
        words = [_misread(word, chance) if chance.random() < MISREAD_WORDS else word for word in words]
        if words:
            kept.append(line.model_copy(update={"text": " ".join(words)}))
    points = np.sort(
        chance.permutation(len(features.local.points))[: int(len(features.local.points) * chance.uniform(0.2, 1))]
    )
    local = LocalFeatures(features.local.points[points], features.local.descriptors[points])
    query = Query.of(replace(features, words=tuple(kept), local=local), snapshot)
    return replace(query, vector=_moved(query.vector, float(chance.uniform(*WORN_LIKENESS)), chance))


def sibling(features: Features, product: int, snapshot: Snapshot) -> Query | None:
    """A photo of a product of the same line that is not listed: some words of the name that the pack shows are others.

    None when the photo shows fewer than two of the name's words beyond the brand's: one could be a misreading.
    """
    words = snapshot.words
    row = slice(int(words.products.starts[product]), int(words.products.starts[product + 1]))
    named = (np.asarray(words.marks[row]) & (NAMED | VENDOR)) == NAMED
    names = {words.vocabulary.key(int(term)) for term in np.asarray(words.products.values[row])[named]}
    shown = sorted({token.key for line in features.words for token in tokens(line.text)} & names)
    if len(shown) < 2:
        return None
    chance = np.random.default_rng(int(features.sha256[12:24], 16))
    changed = {key for key in shown if chance.random() < CHANGED_WORDS} | set(chance.permutation(shown)[:2].tolist())
    lines = []
    for line in features.words:
        text = line.text
        for token in tokens(text):
            if token.key in changed:
                text = text.replace(token.text, token.text[::-1])
        lines.append(line.model_copy(update={"text": text}))
    query = Query.of(replace(features, words=tuple(lines)), snapshot)
    return replace(query, vector=_moved(query.vector, float(chance.uniform(*SIBLING_LIKENESS)), chance))


def _misread(word: str, chance: np.random.Generator) -> str:
    if len(word) < 4 or is_number(word):
        return word
    at = int(chance.integers(len(word)))
    return word[:at] + "abcdefghijklmnopqrstuvwxyz"[int(chance.integers(26))] + word[at + 1 :]


def _moved(vector: FloatArray, cosine: float, chance: np.random.Generator) -> FloatArray:
    """A unit vector at this cosine to `vector`, in a random direction."""
    other = chance.normal(size=len(vector))
    other -= (other @ vector) * vector
    length = float(np.linalg.norm(other))
    if not vector.any() or length < 1e-9:
        return vector
    return np.asarray(cosine * vector + np.sqrt(1 - cosine**2) * other / length, np.float32)


def _refitted(snapshot: Snapshot, raw: FloatArray, without: npt.NDArray[np.int64]) -> Snapshot:
    """The snapshot with a projection that has not seen these photos; raw [photos, dimension] as the network gave them."""
    projection = fit_like(snapshot.projection, np.delete(raw, without, axis=0))
    vectors = projection(raw).astype(np.float16)
    index = faiss.IndexFlatIP(projection.dimension)
    index.add(vectors.astype(np.float32))
    return replace(snapshot, projection=projection, vectors=vectors, index=index)
