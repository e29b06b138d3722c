"""What a version is asked before it is published, and what it answers: photos of its own, made ones, and stored queries.

Its own are those with the lowest hashes among all that can be left out: hashes are as good as drawn by lot, and a catalog of
which little changes is asked about nearly the same ones again. So two versions can be compared photo by photo without the
older one being opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from packsight.indexer.gate.tables import among, whole
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.told import MADE, OWN, QUERY, Answer, Asked, Kind, Photo
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.decision import judged
from packsight.shared.matching.exclusion import Exclusion, IntArray
from packsight.shared.matching.stopping import as_served
from packsight.shared.vision.features import Features


def ask_own(snapshot: Snapshot, features: Mapping[str, Features], most: int) -> Iterator[Asked]:
    """Ask about its own photos, each left out; features by sha256."""
    for photo in _lowest(snapshot, most).tolist():
        row = snapshot.photo_table[photo]
        if row.sha256 in features:
            asked = Photo(kind=OWN, sha256=row.sha256, name=row.source, product=row.product_id)
            yield Asked(asked, _answer(features[row.sha256], snapshot, Exclusion.of_photo(snapshot, photo)))


def ask_made(snapshot: Snapshot, made: Mapping[str, Features]) -> Iterator[Asked]:
    """Ask about photos made of products' only ones; features by the sha256 of what they were made of."""
    if not made:
        return
    alone = (np.diff(snapshot.photo_starts) == 1)[snapshot.photo_product]
    known = among(snapshot.photo_table.arrow["sha256"], pa.array(list(made), pa.string())).to_numpy(zero_copy_only=False)
    for photo in np.flatnonzero(alone & known).tolist():
        row = snapshot.photo_table[photo]
        features = made[row.sha256]
        asked = Photo(kind=MADE, sha256=features.sha256, name=row.source, product=row.product_id)
        yield Asked(asked, _answer(features, snapshot, None))


def ask_queries(snapshot: Snapshot, queries: Mapping[str, str], features: Mapping[str, Features]) -> Iterator[Asked]:
    """Ask stored queries, names by sha256; one without features is not asked."""
    for sha, name in queries.items():
        if sha in features:
            yield Asked(Photo(kind=QUERY, sha256=sha, name=name), _answer(features[sha], snapshot, None))


def _lowest(snapshot: Snapshot, most: int) -> IntArray:
    """Photos with the lowest hashes among those that can be left out."""
    others = np.flatnonzero((np.diff(snapshot.photo_starts) > 1)[snapshot.photo_product])
    if not len(others) or not most:
        return np.zeros(0, np.int64)
    hashes = whole(snapshot.photo_table.arrow["sha256"].take(pa.array(others)))
    lowest = pc.select_k_unstable(hashes, min(most, len(hashes)), sort_keys=[("sha256", "ascending")])
    return np.sort(others[lowest.to_numpy(zero_copy_only=False).astype(np.int64)])


def _answer(features: Features, snapshot: Snapshot, exclusion: Exclusion | None) -> Answer:
    query = Query.of(features, snapshot)
    ranking = as_served(query, snapshot, exclusion)
    if not len(ranking.order):
        return Answer()
    product = int(ranking.order[0])
    photos = snapshot.photos(product)
    return Answer(
        first=snapshot.products[product].id,
        picture=snapshot.photo_table[photos[0]].source if len(photos) else "",
        confidence=round(float(ranking.probability[0]), 4),
        matched=judged(query, ranking, snapshot)[0] is Status.MATCHED,
    )


def by_photo(asked: Sequence[Asked], kind: Kind) -> dict[tuple[str, str], Asked]:
    """Questions of one kind by the photo and the product that it shows."""
    return {(one.photo.sha256, one.photo.product): one for one in asked if one.photo.kind == kind}
