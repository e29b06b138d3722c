"""Training examples: a catalog asked about its own photos, each left out of everything: index, words, expectations, projection.

Every photo is asked twice: as a photo of its product, and as if that product had never been listed, when the right
answer is none. Each question is put a second time with an augmented copy of the photo: part of its words lost or misread,
part of its key points lost, its vector moved. Catalog photos often share hand, light and background, and a fit on them alone
would trust appearance too much for photos taken elsewhere. A third kind of question is a sibling that is not listed: the same
photo with other words where the product's name should stand, for which the right answer is none as well. A photo that is its
product's only one cannot be left out without leaving the product without any, so only its augmented copy is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import faiss
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.parameters import FIT, ExampleParameters, FitParameters, ProjectionParameters
from packsight.indexer.build.projection import fit_like
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.normalise import is_number, tokens
from packsight.shared.catalog.words.word_index import NAMED, VENDOR
from packsight.shared.matching.candidates import Exclusion, Query
from packsight.shared.vision.features import Features, FloatArray, LocalFeatures


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One question: the photo, as what it is asked, and the product that is the right answer (None: none of them).

    product: of the catalog photo that it was made from. exclusion: what the snapshot is asked without. weight: how many of the
    catalog's photos it stands for.
    """

    photo: int
    product: int
    query: Query
    snapshot: Snapshot
    exclusion: Exclusion | None
    truth: int | None
    augmented: bool
    weight: float


def example_photos(
    snapshot: Snapshot, parameters: ExampleParameters = FIT.examples
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Photos that are asked in rising order, with how many of the catalog's each stands for, 1 on average.

    All, or an even spread of as many photos that are their product's only one as of others, if there are so many: only those
    others can be left out, and they show what two photos of a product have in common.
    """
    alone = np.diff(snapshot.photo_starts)[snapshot.photo_product] == 1
    groups = [np.flatnonzero(alone), np.flatnonzero(~alone)]
    fewer, most = min(map(len, groups)), parameters.max_photos
    sizes = [min(len(group), max(most // 2, most - fewer)) for group in groups]
    spread = [group[evenly_spread(len(group), size)] for group, size in zip(groups, sizes, strict=True)]
    stands_for = [len(group) / max(size, 1) for group, size in zip(groups, sizes, strict=True)]
    photos = np.concatenate(spread)
    weight = np.repeat(stands_for, sizes) * len(photos) / max(len(alone), 1)
    order = np.argsort(photos)
    return photos[order], weight[order]


def training_examples(
    snapshot: Snapshot, features: Mapping[str, Features], parameters: FitParameters = FIT
) -> Iterator[TrainingExample]:
    """Ask every photo, as listed first, then as not listed; features by sha256."""
    rules = parameters.examples
    photos, stands_for = example_photos(snapshot, rules)
    folds = rules.folds if len(snapshot.photo_product) <= rules.max_refitted else 1
    hashes = snapshot.photo_table.column("sha256")
    raw = np.stack([features[one].embedding for one in hashes]) if folds > 1 and hashes else np.zeros((0, 0), np.float32)
    for fold in range(min(folds, len(photos))):
        group = photos[fold::folds]
        without = _refitted(snapshot, raw, group, parameters.projection) if folds > 1 else snapshot
        for photo, weight in zip(group.tolist(), stands_for[fold::folds].tolist(), strict=True):
            yield from _of_photo(photo, features[hashes[photo]], without, weight, rules)


def _of_photo(
    photo: int, features: Features, snapshot: Snapshot, weight: float, parameters: ExampleParameters
) -> Iterator[TrainingExample]:
    """Examples made from one photo of the catalog."""
    product = int(snapshot.photo_product[photo])
    alone = len(snapshot.photos(product)) == 1
    query, copy = Query.of(features, snapshot), augmented(features, snapshot, parameters)
    without_photo = None if alone else Exclusion.of_photo(snapshot, photo)
    without_product = Exclusion.of_product(snapshot, product)

    def example(query: Query, exclusion: Exclusion | None, truth: int | None, *, augmented: bool) -> TrainingExample:
        return TrainingExample(
            photo=photo,
            product=product,
            query=query,
            snapshot=snapshot,
            exclusion=exclusion,
            truth=truth,
            augmented=augmented,
            weight=weight,
        )

    if not alone:
        yield example(query, without_photo, product, augmented=False)
    yield example(copy, without_photo, product, augmented=True)
    if len(snapshot.products) > 1:
        yield example(query, without_product, None, augmented=False)
        yield example(copy, without_product, None, augmented=True)
    other = sibling(features, product, snapshot, parameters) if photo % parameters.sibling_every == 0 else None
    if other is not None:
        yield example(other, without_photo, None, augmented=True)


def augmented(features: Features, snapshot: Snapshot, parameters: ExampleParameters = FIT.examples) -> Query:
    """An augmented copy of a catalog photo, the same at every call: chance is seeded by the photo's own hash."""
    chance = np.random.default_rng(int(features.sha256[:12], 16))
    kept = []
    for line in features.words:
        words = [word for word in line.text.split() if chance.random() >= parameters.lost_words]
        words = [
            _misread(word, chance, parameters.misread_from) if chance.random() < parameters.misread_words else word
            for word in words
        ]
        if words:
            kept.append(line.model_copy(update={"text": " ".join(words)}))
    order = chance.permutation(len(features.local.points))
    points = np.sort(order[: int(len(order) * chance.uniform(*parameters.kept_points))])
    local = LocalFeatures(features.local.points[points], features.local.descriptors[points])
    query = Query.of(replace(features, words=tuple(kept), local=local), snapshot)
    return replace(query, vector=_moved(query.vector, float(chance.uniform(*parameters.augmented_similarity)), chance))


def sibling(
    features: Features, product: int, snapshot: Snapshot, parameters: ExampleParameters = FIT.examples
) -> Query | None:
    """A photo of a product of the same line that is not listed: some words of the name that the pack shows are others.

    None when the photo shows too few of the name's words beyond the brand's.
    """
    words = snapshot.words
    row = slice(int(words.products.starts[product]), int(words.products.starts[product + 1]))
    named = (np.asarray(words.flags[row]) & (NAMED | VENDOR)) == NAMED
    names = {words.vocabulary.key(int(term)) for term in np.asarray(words.products.values[row])[named]}
    shown = sorted({token.key for line in features.words for token in tokens(line.text)} & names)
    if len(shown) < parameters.least_changed:
        return None
    chance = np.random.default_rng(int(features.sha256[12:24], 16))
    changed = {key for key in shown if chance.random() < parameters.changed_words}
    changed |= set(chance.permutation(shown)[: parameters.least_changed].tolist())
    lines = []
    for line in features.words:
        text = line.text
        for token in tokens(text):
            if token.key in changed:
                text = text.replace(token.text, token.text[::-1])
        lines.append(line.model_copy(update={"text": text}))
    query = Query.of(replace(features, words=tuple(lines)), snapshot)
    return replace(query, vector=_moved(query.vector, float(chance.uniform(*parameters.sibling_similarity)), chance))


def _misread(word: str, chance: np.random.Generator, least: int) -> str:
    if len(word) < least or is_number(word):
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


def _refitted(
    snapshot: Snapshot, raw: FloatArray, without: npt.NDArray[np.int64], parameters: ProjectionParameters
) -> Snapshot:
    """The snapshot with a projection that has not seen these photos; raw [photos, dimension] as the network gave them."""
    projection = fit_like(snapshot.projection, np.delete(raw, without, axis=0), parameters)
    vectors = projection(raw).astype(np.float16)
    index = faiss.IndexFlatIP(projection.dimension)
    index.add(vectors.astype(np.float32))
    return replace(snapshot, projection=projection, vectors=vectors, index=index)
