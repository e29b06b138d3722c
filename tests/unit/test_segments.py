"""Versions upon versions: rows are only added, and answers are those of a version whose photos were all written at once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from packsight.indexer.build.epoch import LEARNED
from packsight.indexer.build.parameters import FIT, ROWS, FitParameters, RowParameters
from packsight.indexer.build.segments import Before, arrange
from packsight.indexer.build.version import build_version
from packsight.shared.catalog.manifest import Manifest, PhotoRow, ProductRow, Segment
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.matching.candidates import Query, find_candidates
from packsight.shared.matching.close import lay_by_all_points, lay_by_votes
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.matching.votes import vote
from packsight.shared.vision.features import Features, LocalFeatures
from tests.unit.matching_catalog import NAMES, RECIPE, photo, product

SHOTS = 3
ALL_ANEW = replace(ROWS, gone=0.0)
"""Every segment is written again with the new one."""
APPROXIMATE = replace(
    FIT,
    index=replace(FIT.index, exact_photos=20, recall=0.5, sureness=0.0),
    details=replace(FIT.details, exact_points=200, dimension=32, probes=4),
)
"""Inverted lists and product codes also for a few photos."""


def seen(number: int, shot: int) -> Features:
    """A photo of a product: print that its shots share as far as noise lets them."""
    chance = np.random.default_rng([number, shot])
    own = np.random.default_rng(number)
    histogram = own.gamma(0.4, size=(24, 128)) * chance.gamma(9, 1 / 9, size=(24, 128))
    root = np.sqrt(histogram / histogram.sum(axis=1, keepdims=True))
    places = own.uniform(0.1, 0.9, (24, 2)) + chance.normal(0, 0.002, (24, 2))
    local = LocalFeatures(places.astype(np.float32), np.minimum(np.rint(root * 512), 255).astype(np.uint8))
    vendor, model = NAMES[number % len(NAMES)]
    return photo(f"{number}-{shot}", [vendor.upper(), model, str(number)], number, local=local)


@dataclass
class Shop:
    """Products of numbers with their photos, of which versions are built one upon the other."""

    folder: Path
    parameters: FitParameters = FIT
    shown: dict[int, list[int]] = field(default_factory=dict)
    """Shots by product, in the order of the feed."""
    last: Snapshot | None = None

    def rows(self) -> tuple[list[ProductRow], list[PhotoRow], Mapping[str, Features]]:
        photos = [(number, seen(number, shot)) for number, shots in self.shown.items() for shot in shots]
        return (
            [product(number, NAMES[number % len(NAMES)][0], f"{NAMES[number % len(NAMES)][1]} {number}") for number in self.shown],
            [PhotoRow(product_id=f"p{number}", sha256=one.sha256, source=one.sha256[:9]) for number, one in photos],
            {one.sha256: one for _, one in photos},
        )

    def build(self, name: str, layout: RowParameters = ROWS, *, keep: bool = True, begin: str = "") -> Snapshot:
        products, photos, features = self.rows()
        build_version(
            self.folder / name, catalog="test", parent=self.last, products=products, photos=photos, features=features,
            recipe=RECIPE, parameters=self.parameters, layout=layout, begin=begin,
        )  # fmt: skip
        built = Snapshot.open(self.folder / name)
        self.last = built if keep else self.last
        return built


@pytest.fixture(params=[FIT, APPROXIMATE], ids=["exact", "approximate"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(tmp_path, request.param, {number: list(range(SHOTS)) for number in range(12)})


def asked() -> Iterator[Features]:
    for number in range(0, 24, 3):
        yield seen(number, SHOTS + 1)


def answers(snapshot: Snapshot) -> list[object]:
    """Everything that rows decide of a few photos, by products and photos rather than by their numbers."""
    ids, hashes = snapshot.products.column("id"), snapshot.photo_table.column("sha256")
    found: list[object] = []
    for features in asked():
        query = Query.of(features, snapshot)
        for exclusion in (None, Exclusion.of_product(snapshot, 1), Exclusion.of_photo(snapshot, 4)):
            votes = vote(features.local, snapshot, exclusion)
            products = find_candidates(query, votes, snapshot, exclusion)
            laid = [*lay_by_votes(query, votes, products, snapshot), *lay_by_all_points(query, votes, products, snapshot, exclusion)]
            found += [
                [ids[one] for one in votes.products.tolist()], votes.score.tolist(), [hashes[one] for one in votes.photo.tolist()],
                votes.point.tolist(), votes.gain.tolist(), snapshot.local.places(votes.near).tolist(),
                [ids[one] for one in products.tolist()], [hashes[one] for one in query.near.tolist()],
                [(hashes[one.photo], one.match.inliers, one.match.hull.tolist()) for one in laid],
            ]  # fmt: skip
    found += [snapshot.local.thumbnail(number) for number in range(len(hashes))]
    found += [snapshot.local.features(number).descriptors.tolist() for number in range(len(hashes))]
    return [*found, snapshot.vectors[:].tolist()]


def changed(shop: Shop, chance: random.Random) -> None:
    """A product or two more, in the midst of the others, some gone, and a shot more or less."""
    numbers = list(shop.shown)
    for number in chance.sample(numbers[2:], chance.randrange(3)):
        del shop.shown[number]
    for number in chance.sample(range(12, 40), chance.randrange(1, 3)):
        shop.shown.setdefault(number, list(range(chance.randrange(1, SHOTS + 1))))
    one = chance.choice(list(shop.shown))
    shop.shown[one] = shop.shown[one][1:] if len(shop.shown[one]) > 1 else [0, 1, 2]
    shop.shown = dict(chance.sample(list(shop.shown.items()), len(shop.shown)))


@pytest.mark.parametrize("seed", range(3))
def test_many_segments_answer_like_one_of_the_same_photos(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    shop.build("first")
    grave = most = 0
    lasting = replace(ROWS, added=10.0, left=0.0, gone=0.6)
    for step in range(7):
        changed(shop, chance)
        at_once = shop.build(f"once-{step}", replace(lasting, gone=0.0), keep=False)
        upon = shop.build(f"upon-{step}", lasting)
        assert upon.manifest.epoch is not None and at_once.manifest.epoch is not None
        assert upon.manifest.epoch.began == at_once.manifest.epoch.began != upon.manifest.version
        assert len(at_once.manifest.segments) == 1
        most = max(most, len(upon.manifest.segments))
        grave += int((upon.local.placement.row_photo < 0).sum())
        assert answers(upon) == answers(at_once)
    assert most >= 4 and grave > 0
