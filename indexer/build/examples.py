"""Training examples: a catalog asked about its own photos, each left out of everything: index, words, votes, expectations.

Every photo but the first of its product is asked twice: as a photo of its product, and as if that product had never been listed,
when the right answer is none. Nothing of a product's only photo may answer for itself, so it
is not asked itself, but a photo made of it (packsight.indexer.made) is, in the same two ways: it stays listed, since what is
asked is another photo of its product, though an easier one than customers send.

Photos that people reviewed (packsight.indexer.reviewed) are asked once each, as what the verdict says: as photos of their
product, or of none. One that has become a photo of the catalog is left out like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from types import MappingProxyType

import faiss
import numpy as np
import numpy.typing as npt

from packsight.indexer.build.parameters import FIT, ExampleParameters, FitParameters, ProjectionParameters
from packsight.indexer.build.projection import fit_like
from packsight.indexer.reviewed.pairs import NO_PAIRS, Pairs
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.vision.features import Features, FloatArray

NOTHING: Mapping[str, Features] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One question: a photo, and the product that is the right answer (None: none of them).

    product: that the photo shows, listed or not; -1 for one that never was. exclusion: what the snapshot is asked without. made:
    whether the photo was made of the product's only one. reviewed: whether a person said what it shows. sampled: whether that was
    drawn by lot among all answers that were `matched`. again: whether the same photo is asked as one of the catalog's own too.
    """

    product: int
    query: Query
    snapshot: Snapshot
    exclusion: Exclusion | None
    truth: int | None
    made: bool = False
    reviewed: bool = False
    sampled: bool = False
    again: bool = False


def example_photos(snapshot: Snapshot, parameters: ExampleParameters = FIT.examples) -> npt.NDArray[np.int64]:
    """All photos but the first of each product, in rising order; an even spread of them when there are many.

    First pictures are taken alike: where the own one is missing a sibling's comes nearest, which happens to no customer.
    """
    others = np.setdiff1d(np.arange(len(snapshot.photo_product)), snapshot.photo_starts[:-1])
    return np.asarray(others[evenly_spread(len(others), parameters.max_photos)], np.int64)


def training_examples(
    snapshot: Snapshot,
    features: Mapping[str, Features],
    parameters: FitParameters = FIT,
    made: Mapping[str, Features] = NOTHING,
    reviewed: Pairs = NO_PAIRS,
) -> Iterator[TrainingExample]:
    """Ask every photo, as listed first, then as not listed; then those that were made, then those that people reviewed.

    features: of catalog photos, by sha256; made: of photos made of them, by the sha256 of what they were made of.
    """
    yield from _left_out(snapshot, features, parameters)
    if made:
        yield from _made(snapshot, made)
    if reviewed.pairs:
        yield from _reviewed(snapshot, reviewed, set(example_photos(snapshot, parameters.examples).tolist()))


def _reviewed(snapshot: Snapshot, reviewed: Pairs, asked: Set[int]) -> Iterator[TrainingExample]:
    """asked: photos of the catalog that are asked as such."""
    products = snapshot.products.numbers("id", {pair.product for pair in reviewed.described})
    photos = snapshot.photo_table.numbers("sha256", {pair.sha256 for pair in reviewed.described})
    for pair in reviewed.described:
        truth, photo = products.get(pair.product), photos.get(pair.sha256)
        shown = None if photo is None else int(snapshot.photo_product[photo])
        if photo is not None and (truth is None or shown != truth or len(snapshot.photos(truth)) < 2):
            continue  # the shop has said meanwhile what it shows, or nothing of the product would be left
        exclusion = Exclusion.of_photo(snapshot, photo) if photo is not None else None
        query = Query.of(reviewed.features[pair.sha256], snapshot)
        yield TrainingExample(
            -1 if truth is None else truth, query, snapshot, exclusion, truth,
            reviewed=True, sampled=pair.sampled, again=photo in asked,
        )  # fmt: skip


def _made(snapshot: Snapshot, made: Mapping[str, Features]) -> Iterator[TrainingExample]:
    alone = np.diff(snapshot.photo_starts) == 1
    for photo, sha256 in enumerate(snapshot.photo_table.values("sha256")):
        product = int(snapshot.photo_product[photo])
        if sha256 in made and alone[product]:
            query = Query.of(made[sha256], snapshot)
            yield TrainingExample(product, query, snapshot, None, product, made=True)
            if len(snapshot.products) > 1:
                without = Exclusion.of_product(snapshot, product)
                yield TrainingExample(product, query, snapshot, without, None, made=True)


def _left_out(
    snapshot: Snapshot, features: Mapping[str, Features], parameters: FitParameters
) -> Iterator[TrainingExample]:
    rules = parameters.examples
    photos = example_photos(snapshot, rules)
    folds = rules.folds if len(snapshot.photo_product) <= rules.max_refitted else 1
    table, raw = snapshot.photo_table, np.zeros((0, 0), np.float32)
    if folds > 1 and len(table):
        raw = np.stack([features[sha256].embedding for sha256 in table.values("sha256")])
    for fold in range(min(folds, len(photos))):
        group = photos[fold::folds]
        without = _refitted(snapshot, raw, group, parameters.projection) if folds > 1 else snapshot
        for photo in group.tolist():
            product = int(snapshot.photo_product[photo])
            query = Query.of(features[table.sha256(photo)], without)
            yield TrainingExample(product, query, without, Exclusion.of_photo(without, photo), product)
            if len(snapshot.products) > 1:
                yield TrainingExample(product, query, without, Exclusion.of_product(without, product), None)


def _refitted(
    snapshot: Snapshot, raw: FloatArray, without: npt.NDArray[np.int64], parameters: ProjectionParameters
) -> Snapshot:
    """The snapshot with a projection that has not seen these photos; raw [photos, dimension] as the network gave them."""
    projection = fit_like(snapshot.projection, np.delete(raw, without, axis=0), parameters)
    vectors = projection(raw).astype(np.float16)
    index = faiss.IndexFlatIP(projection.dimension)
    index.add(vectors.astype(np.float32))
    return replace(snapshot, projection=projection, vectors=vectors, index=index)
