"""A small catalog of products that share brands, words and print, each with words and key points of its own, and photos of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from packsight.indexer.build.detail_index import learned
from packsight.shared.catalog.decision_model import Stage
from packsight.shared.catalog.detail_index import DetailIndex, unit
from packsight.shared.catalog.evidence import AGAINST, FULL, STAGES
from packsight.shared.catalog.segmented_index import Part, SegmentedIndex
from packsight.shared.catalog.snapshot import LocalStore, Snapshot
from packsight.shared.matching.candidates import Query
from packsight.shared.vision.features import LocalFeatures
from tests.unit.matching_catalog import build, photo, product

NAMES = [
    ("Arvelo", "Mint Balm Zirkon"), ("Arvelo", "Rose Balm Quexal"), ("Arvelo", "Rose Cream Fendral"),
    ("Bontira", "Mint Soap Wolgast"), ("Bontira", "Rose Soap Hyvinka"), ("Castoly", "Peach Cream Jurmala"),
]  # fmt: skip
PRINTED = ["Apsheron", "Dunkirch", "Ilmenau", "Tschernow", "Uzbekol", "Gottwald"]
"""A word on the photo of each that no name has."""
OWN = {number: (name.split()[-1], PRINTED[number]) for number, (_, name) in enumerate(NAMES)}
"""Words that each alone has."""
KINDS = {number: range(14 * number, 14 * number + 14) for number in range(6)}
"""Key points that each alone has."""
SHARED = {0: range(84, 96), 1: range(84, 96), 2: range(84, 96), 3: range(96, 108), 4: range(96, 108), 5: range(108, 120)}
"""Those of its line's print."""
WORDS = sorted({word for vendor, name in NAMES for word in (vendor, *name.split())} | {*PRINTED, "Fnord", "Xylop"})


def print_of(kinds: Sequence[int], scale: float = 1.0, shift: float = 0.0) -> LocalFeatures:
    """Key points each at the place of its kind, on a print of this size and place."""
    kind = np.array(kinds, np.int64)
    places = np.stack([0.1 + 0.8 * (37 * kind % 101) / 101, 0.1 + 0.8 * (61 * kind % 103) / 103], axis=1)
    descriptors = np.zeros((len(kind), 128), np.uint8)
    descriptors[np.arange(len(kind)), kind] = 200
    return LocalFeatures((scale * places + shift).astype(np.float32), descriptors)


class Whole(LocalStore):
    """Key points with their descriptors as they are: those of drawn kinds are equally far apart, which no codes are."""

    def features(self, photo: int) -> LocalFeatures:
        return print_of([*KINDS[photo], *SHARED[photo]])


def with_whole_descriptors(snapshot: Snapshot) -> Snapshot:
    local = snapshot.local
    whole = Whole(local.points, local.codes, local.thumbnails, local.placement)
    descriptors = np.concatenate([whole.features(photo).descriptors for photo in KINDS])
    index = learned(descriptors)
    index.add(unit(descriptors))
    parts = SegmentedIndex.of([Part.of(index)], [True])
    return replace(snapshot, local=whole, details=DetailIndex(parts, [rows.starts for rows in local.codes], local.placement))


def catalog(folder: Path) -> Snapshot:
    shown = [[vendor, name, PRINTED[number], "50 ml"] for number, (vendor, name) in enumerate(NAMES)]
    photos = {
        f"p{number}": [photo(f"{number}", lines, number, local=print_of([*KINDS[number], *SHARED[number]]))]
        for number, lines in enumerate(shown)
    }
    return with_whole_descriptors(build(folder, [product(number, *name) for number, name in enumerate(NAMES)], photos))


def asked(snapshot: Snapshot, words: Sequence[str], kinds: Sequence[int], look: int) -> Query:
    """A photo with these words and key points."""
    return Query.of(photo("query", words, look, local=print_of(sorted(kinds), 0.7, 0.1)), snapshot)


def weighed(snapshot: Snapshot, counts: Collection[str]) -> Snapshot:
    """The catalog with only this evidence counting, of the sign that each must have."""

    def stage(names: tuple[str, ...]) -> Stage:
        weights = {name: (-3.0 if name in AGAINST else 3.0) if name in counts else 0.0 for name in names}
        return Stage(weights=weights | {"bias": -2.0})

    model = snapshot.model.model_copy(update={name: stage(names) for name, names in STAGES.items()})
    return replace(snapshot, model=model)


def some_evidence() -> st.SearchStrategy[set[str]]:
    return st.sets(st.sampled_from(FULL), min_size=1, max_size=3)


def some_words() -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(WORDS), max_size=8, unique=True)


def some_kinds() -> st.SearchStrategy[set[int]]:
    """Key points, more of one product than of others."""
    most = st.integers(0, 5).flatmap(lambda number: st.sets(st.sampled_from([*KINDS[number], *SHARED[number]]), max_size=26))
    return st.builds(set.union, most, st.sets(st.integers(0, 119), max_size=12))
