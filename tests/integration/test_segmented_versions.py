"""Versions upon versions: rows are only added, and answers are those of a version whose photos were all written at once."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from packsight.indexer.build.epoch import LEARNED
from packsight.indexer.build.parameters import FIT, ROWS, FitParameters, RowParameters
from packsight.indexer.build.segments import NEW, arrange, places_again
from packsight.indexer.build.version import build_version
from packsight.indexer.tables import manifest
from packsight.shared.catalog.manifest import PATCHES, PhotoRow, ProductRow, Segment
from packsight.shared.catalog.placement import GONE
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError
from packsight.shared.matching.candidates import Query, find_candidates
from packsight.shared.matching.close import lay_by_all_points, lay_by_votes
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.matching.votes import vote
from packsight.shared.vision.features import Features, LocalFeatures
from tests.unit.matching_catalog import NAMES, RECIPE, photo, product

SHOTS = 3
ALL_ANEW = replace(ROWS, gone=0.0)
"""Every segment is written again with the new one."""
EXACT = replace(FIT, examples=replace(FIT.examples, max_photos=2))
"""Hardly any photo is left out to learn from, which takes most of the time of a build."""
APPROXIMATE = replace(
    EXACT,
    index=replace(FIT.index, exact_photos=20, recall=0.1, least=0.1, sureness=0.0, probes=(2,), sample=8, sample_later=8),
    details=replace(FIT.details, exact_points=200, dimension=32, probes=4),
)
"""Inverted lists and product codes also for a few photos."""


@cache
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
    parameters: FitParameters = EXACT
    shown: dict[int, list[int]] = field(default_factory=dict)
    """Shots by product, in the order of the feed."""
    last: Snapshot | None = None

    def rows(self) -> tuple[list[ProductRow], list[PhotoRow], Mapping[str, Features]]:
        photos = [(number, seen(number, shot)) for number, shots in self.shown.items() for shot in shots]
        names = {number: NAMES[number % len(NAMES)] for number in self.shown}
        return (
            [product(number, vendor, f"{model} {number}") for number, (vendor, model) in names.items()],
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


def shop_of(folder: Path, products: int, parameters: FitParameters = EXACT) -> Shop:
    return Shop(folder, parameters, {number: list(range(SHOTS)) for number in range(products)})


def answers(snapshot: Snapshot) -> list[object]:
    """Everything that rows decide of a few photos, by products and photos rather than by their numbers."""
    ids, hashes = snapshot.products.column("id"), snapshot.photo_table.column("sha256")
    found: list[object] = []
    for number in range(0, 24, 4):
        features = seen(number, SHOTS + 1)
        query = Query.of(features, snapshot)
        for exclusion in (None, Exclusion.of_product(snapshot, 1), Exclusion.of_photo(snapshot, 4)):
            votes = vote(features.local, snapshot, exclusion)
            products = find_candidates(query, votes, snapshot, exclusion)
            laid = lay_by_votes(query, votes, products, snapshot)
            laid += lay_by_all_points(query, votes, products, snapshot, exclusion)
            found += [
                [ids[one] for one in votes.products.tolist()], votes.score.tolist(),
                [hashes[one] for one in votes.photo.tolist()], votes.point.tolist(), votes.gain.tolist(),
                snapshot.local.places(votes.near).tolist(),
                [ids[one] for one in products.tolist()], [hashes[one] for one in query.near.tolist()],
                [(hashes[one.photo], one.match.inliers, one.match.hull.tolist()) for one in laid],
            ]  # fmt: skip
    found += [snapshot.local.thumbnail(number) for number in range(len(hashes))]
    found += [snapshot.local.features(number).descriptors.tolist() for number in range(len(hashes))]
    return found


def change(shop: Shop, chance: random.Random) -> None:
    """A product or two more, some gone, a shot more or less, and all in another order."""
    numbers = list(shop.shown)
    for number in chance.sample(numbers[2:], chance.randrange(3)):
        del shop.shown[number]
    for number in chance.sample(range(12, 40), chance.randrange(1, 3)):
        shop.shown.setdefault(number, list(range(chance.randrange(1, SHOTS + 1))))
    one = chance.choice(list(shop.shown))
    shop.shown[one] = shop.shown[one][1:] if len(shop.shown[one]) > 1 else [0, 1, 2]
    shop.shown = dict(chance.sample(list(shop.shown.items()), len(shop.shown)))


@pytest.mark.parametrize("parameters", [EXACT, APPROXIMATE], ids=["exact", "approximate"])
def test_many_segments_answer_like_one_of_the_same_photos(tmp_path: Path, parameters: FitParameters) -> None:
    shop, chance = shop_of(tmp_path, 12, parameters), random.Random(3)
    shop.build("first")
    grave = most = 0
    lasting = replace(ROWS, added=10.0, left=0.0, gone=0.6)
    for step in range(6):
        change(shop, chance)
        at_once = shop.build(f"once-{step}", replace(lasting, gone=0.0), keep=False)
        upon = shop.build(f"upon-{step}", lasting)
        assert upon.manifest.epoch is not None and at_once.manifest.epoch is not None
        assert upon.manifest.epoch.began == at_once.manifest.epoch.began != upon.manifest.version
        assert len(at_once.manifest.segments) == 1
        most = max(most, len(upon.manifest.segments))
        grave += int((upon.local.placement.row_photo == GONE).sum())
        assert answers(upon) == answers(at_once)
        # A product of matrices differs in its last bits by how many rows it has, on processors without AVX-512.
        np.testing.assert_allclose(np.float32(upon.vectors[:]), np.float32(at_once.vectors[:]), rtol=0, atol=1e-3)
    assert most >= 4 and grave > 0


def test_what_is_gone_is_not_found_even_where_nothing_else_is_as_near(tmp_path: Path) -> None:
    shop = shop_of(tmp_path, 8, replace(APPROXIMATE, index=FIT.index))
    shop.build("first")
    del shop.shown[3]
    without = shop.build("without")
    assert [segment.rows for segment in without.manifest.segments] == [24]
    votes = vote(seen(3, 9).local, without)
    assert "p3" not in [without.products[number].id for number in votes.products.tolist()]
    assert (without.details.photo(votes.near) != GONE).all()
    cosine, found = without.index.search(np.asarray(without.vectors[:2], np.float32), 21)
    assert sorted(found[0].tolist()) == list(range(21)) and (np.diff(cosine, axis=1) <= 0).all()


def test_only_the_segment_of_new_photos_is_written(tmp_path: Path) -> None:
    shop = shop_of(tmp_path, 12)
    first = shop.build("first")
    shop.shown = {99: [0, 1], **shop.shown}
    second = shop.build("second")
    assert [(segment.name, segment.rows) for segment in second.manifest.segments] == [("s0000", 36), ("s0001", 2)]
    same = [name for name in first.manifest.files if name.startswith("s0000.") or name in LEARNED]
    assert len(same) == 14
    for name in same:
        assert second.manifest.files[name] == first.manifest.files[name]
        assert (second.folder / name).samefile(first.folder / name)
    epoch = second.manifest.epoch
    assert epoch is not None and (epoch.began, epoch.photos, epoch.added) == (first.manifest.version, 36, 2)
    console = Console(width=200, record=True, file=StringIO())
    console.print(manifest(second.manifest, is_served=False))
    told = console.export_text()
    assert "2, of their 38 rows 0 gone" in told
    assert f"since {first.manifest.version}, 2 photos ago: the first version" in told


def test_a_picture_of_two_products_has_two_rows_and_keeps_them(tmp_path: Path) -> None:
    shop = shop_of(tmp_path, 8)
    products, photos, features = shop.rows()
    photos.append(photos[0].model_copy(update={"product_id": "p5"}))
    for name in ("first", "second"):
        build_version(
            tmp_path / name, catalog="test", parent=shop.last, products=products, photos=photos, features=features,
            recipe=RECIPE, parameters=EXACT,
        )  # fmt: skip
        shop.last = Snapshot.open(tmp_path / name)
        assert shop.last.manifest.photos == len(set(shop.last.local.placement.photo_row.tolist())) == 25
        assert len(shop.last.manifest.segments) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shown": 24}, "36 photos have come since it was learned among 36"),
        ({"shown": 5}, "15 photos are left where it was learned among 36"),
        ({"begin": "it was asked for"}, "it was asked for"),
        ({"parameters": APPROXIMATE}, "rows are made, or learned from, in another way"),
        ({"format": 2}, "the version before has format 2"),
        ({"folder": None}, "the files of the version before are not at hand"),
    ],
)
def test_an_epoch_begins_where_there_is_need_and_says_why(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    shop = shop_of(tmp_path, 12)
    before = shop.build("first")
    assert before.manifest.epoch is not None and before.manifest.epoch.reason == "the first version"
    match change:
        case {"shown": int(products)}:
            shop.shown = shop_of(tmp_path, products).shown
        case {"parameters": FitParameters() as parameters}:
            shop.parameters = parameters
        case {"format": int(number)}:
            shop.last = replace(before, manifest=before.manifest.model_copy(update={"format": number}))
        case {"folder": None}:
            shop.last = replace(before, folder=None)  # type: ignore[arg-type]
    after = shop.build("second", begin=str(change.get("begin", ""))).manifest
    assert after.epoch is not None and (after.epoch.began, after.epoch.reason) == (after.version, reason)
    assert [segment.name for segment in after.segments] == ["s0000"] and after.segments[0].rows == after.photos


def test_an_index_that_finds_too_little_ends_the_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = shop_of(tmp_path, 12, APPROXIMATE)
    first = shop.build("first")
    shop.shown[99] = [0]
    kept = shop.build("kept", keep=False).manifest
    assert kept.epoch is not None and kept.epoch.began == first.manifest.version and kept.recall >= 0.1
    monkeypatch.setattr("packsight.indexer.build.rows.Question.recall", lambda *_: 0.05)
    ended = shop.build("ended")
    assert ended.manifest.epoch is not None
    assert ended.manifest.epoch.reason == "the index found 0.0500 of the nearest photos first"
    assert {path.name for path in ended.folder.iterdir()} - {PATCHES} == {*ended.manifest.files, "manifest.json"}


@pytest.mark.parametrize("name", ["photo_row", "row_photo"])
@pytest.mark.parametrize("damage", ["swapped", "one less", "outside"])
def test_rows_that_are_not_those_of_the_photos_are_refused(tmp_path: Path, name: str, damage: str) -> None:
    path = shop_of(tmp_path, 4).build("first").folder / f"{name}.npy"
    rows = np.load(path)
    match damage:
        case "swapped":
            rows[[0, 1]] = rows[[1, 0]]
        case "one less":
            rows = rows[:-1]
        case "outside":
            rows[0] = 1000
    np.save(path, rows)
    with pytest.raises(CatalogError, match="rows"):
        Snapshot.open(path.parent)


@pytest.mark.parametrize("seed", range(2))
def test_segments_stay_few_and_full_and_little_is_written_again(seed: int) -> None:
    """A hundred and fifty versions of drawn photos: each finds its own in its row, as whoever wrote the rows knows."""
    chance = random.Random(seed)
    photos = [f"{number}" for number in range(2000)]
    segments: Sequence[Segment] = ()
    own: dict[str, int] = {}
    written: dict[str, list[str]] = {}
    total = added = gone = 0
    for version in range(150):
        leave = chance.sample(photos, chance.randrange(12))
        come = [f"{version}-{number}" for number in range(chance.randrange(20))]
        photos = [one for one in photos if one not in set(leave)] + come
        chance.shuffle(photos)
        made = arrange(segments, np.array([own.get(photo, NEW) for photo in photos]))
        if made.written is not None:
            assert made.written.name not in {segment.name for segment in made.kept}
            written[made.written.name] = [photos[number] for number in made.fresh.tolist()]
            total += made.written.rows if version else 0
        added, gone = added + len(come), gone + len(leave)
        rows = [one for segment in made.segments for one in written[segment.name]]
        assert [rows[row] for row in made.placement.photo_row.tolist()] == photos
        assert len(made.segments) <= 10
        alive = np.diff(np.searchsorted(np.sort(made.placement.photo_row), made.placement.starts))
        assert (alive > (1 - ROWS.gone) * np.diff(made.placement.starts)).all()
        own = dict(zip(photos, made.placement.photo_row.tolist(), strict=True))
        segments = made.segments
    assert total < 4 * added + 4 * gone


@pytest.mark.parametrize(
    ("photos", "before", "places"),
    [
        (["a", "b", "c"], ["c", "a"], [1, NEW, 0]),
        (["a", "b", "a", "a"], ["a", "x", "a"], [0, NEW, 2, NEW]),
        (["a"], ["a", "a"], [0]),
        ([], ["a"], []),
        (["a"], [], [NEW]),
    ],
)
def test_a_photo_stands_again_where_it_stood(photos: list[str], before: list[str], places: list[int]) -> None:
    found = places_again(*(pa.chunked_array([part], pa.string()) for part in (photos, before)))
    assert found.tolist() == places
