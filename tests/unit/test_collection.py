"""What goes from object storage and what stays, on drawn catalogs: no server runs."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from packsight.indexer.collection.ages import Ages
from packsight.indexer.collection.marks import Marks
from packsight.indexer.collection.packs import FULL, TOGETHER, Pack, chosen, compact
from packsight.indexer.collection.survey import Survey, survey, unneeded
from packsight.indexer.collection.sweep import sweep, sweep_parts
from packsight.indexer.collection.tables import document
from packsight.indexer.publish import prune
from packsight.producer.sources import Item
from packsight.producer.upload import upload
from packsight.shared.catalog.manifest import Manifest, PhotoRow, seal
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.tables import write_photos
from packsight.shared.catalog.versions import CatalogStore, named_parts
from packsight.shared.contract.messages import PARTS
from packsight.shared.settings import Storage
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import FeatureStore, FeatureView
from packsight.shared.storage.jobs import JobImage, JobManifest, JobStore
from packsight.shared.vision.features import LocalFeatures, make_features
from tests.trust import UNCHECKED, Shelf

RECIPE = Recipe(embedder="e", spotter="s", details="d", matching="m")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def sha(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def nothing() -> None:
    """Whoever is asked whether all is still ours, and it is."""


class Dated(Shelf):
    """A shelf with a clock; after `left` removals it is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = BEGIN
        self.left: int | None = None

    def write(self, key: str, data: bytes, *, content_type: str = "") -> None:
        super().write(key, data)
        self.written[key] = self.clock

    def upload(self, key: str, path: str) -> None:
        super().upload(key, path)
        self.written[key] = self.clock

    def remove(self, key: str) -> None:
        if self.left is not None:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
        super().remove(key)


class Drawn:
    """A catalog whose versions are a list of photos, with their features."""

    def __init__(self, folder: Path) -> None:
        self.shelf = Dated()
        self.folder = folder
        self.catalogs = CatalogStore(self.shelf, "default", UNCHECKED)
        self.features = FeatureStore(self.shelf, RECIPE.parts, folder / "home")
        self._shards = 0

    def photo(self, *numbers: int) -> None:
        for number in numbers:
            self.shelf.write(f"photos/{sha(number)}", b"photo" * 40)

    def describe(self, *numbers: int) -> None:
        none = LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
        made = [make_features(sha(n), (8, 8), np.full(4, n, np.float32), [], none, sha(n).encode()) for n in numbers]
        self._shards += 1
        self.features.put(f"shard-{self._shards:04d}", made)

    def publish(self, numbers: Sequence[int], keep: int = 3) -> Manifest:
        folder = self.folder / f"v{self.shelf.clock:%Y%m%dT%H}"
        folder.mkdir()
        write_photos(folder / "photos.arrow", [PhotoRow(product_id="p", sha256=sha(n), source=f"{n}") for n in numbers])
        (folder / "model.json").write_text("the same in each")
        manifest = seal(folder, Manifest(
            catalog="default", version=folder.name, created_at=self.shelf.clock, products=1, photos=len(numbers),
            **RECIPE.model_dump(), dimension=1, projected=1, index="Flat", faiss="1",
        ))  # fmt: skip
        self.catalogs.upload(folder)
        self.catalogs.point(manifest.version, expected=self.catalogs.current())
        prune(self.catalogs, keep, [RECIPE])
        sweep_parts(self.catalogs, nothing)
        return manifest

    def survey(self, at_work: dict[str, str] | None = None, active: Sequence[str] = ()) -> Survey:
        return survey(self.shelf, self.ages, [], active, at_work or {})

    @property
    def ages(self) -> Ages:
        return Ages.of(Storage(), self.shelf.clock)

    def collect(self, **of_survey: object) -> Survey:
        found = self.survey(**of_survey)  # type: ignore[arg-type]
        sweep(self.shelf, found, self.ages, nullcontext, nothing)
        for part in PARTS if not found.notes else ():
            compact(self.shelf, self.features, part, found.photos, self.ages, nothing)
        return found

    def keys(self, prefix: str) -> set[str]:
        return {key.removeprefix(prefix) for key in self.shelf.list(prefix)}


@pytest.fixture
def drawn(tmp_path: Path) -> Drawn:
    return Drawn(tmp_path)


def test_after_fifty_syncs_of_one_in_a_hundred_store_and_live_data_are_nearly_the_same(drawn: Drawn) -> None:
    wanted = list(range(100))
    drawn.photo(*wanted)
    for first in range(0, 100, 10):
        drawn.describe(*range(first, first + 10))
    drawn.publish(wanted)
    for number in range(100, 150):
        drawn.shelf.clock += DAY
        wanted = [*wanted[1:], number]
        drawn.photo(number)
        drawn.describe(number)
        drawn.publish(wanted)
        drawn.collect()
    drawn.shelf.clock += 40 * DAY
    drawn.publish(wanted[1:])
    drawn.collect()
    live = {sha(number) for number in range(49, 150)}  # of three versions
    assert drawn.keys("photos/") == live
    assert len(drawn.keys("catalogs/default/parts/")) == 4
    for part in PARTS:
        packs = [drawn.features.photos(key) for key in drawn.features.shards(part)]
        rows = [name for names in packs for name in names]
        assert live <= set(rows) and len(rows) <= 1.3 * len(live)
        assert len(packs) < 3 * TOGETHER, "fifty syncs and ten messages left sixty"
    view = FeatureView(drawn.features, live)
    assert {name: int(view[name].embedding[0]) for name in view} == {sha(n): n for n in range(49, 150)}


def fetched(drawn: Drawn, number: int) -> None:
    drawn.photo(number)
    line = ["8.jpg", 0, "", sha(number), "", 0, 0.0, 0.0, 0]
    drawn.shelf.write(layout.pictures("default"), gzip.compress(json.dumps(line).encode()))


def former(drawn: Drawn) -> None:
    drawn.shelf.write("features/words/old/a.parquet", b"")


def both(drawn: Drawn) -> None:
    drawn.shelf.write("features/e+old+2/a.parquet", b"")


def job(drawn: Drawn, name: str) -> None:
    drawn.shelf.write(f"uploads/of-{name}", b"photo")
    image = JobImage(reference=f"s3://shelf/uploads/of-{name}", name="photo")
    JobStore(drawn.shelf).create(JobManifest(job=name, images=1, created_at=BEGIN), [image])


PART, REPORT = "catalogs/default/parts/" + sha(3), "catalogs/default/versions/v20260101T00/report.html"
ROOMS: list[tuple[str, Callable[[Drawn], None], str, int, bool]] = [
    # what it is, how it came, its key, days later, whether it goes
    ("a photo of a version", lambda drawn: drawn.photo(1), f"photos/{sha(1)}", 400, False),
    ("a photo of no version", lambda drawn: drawn.photo(9), f"photos/{sha(9)}", 8, True),
    ("a photo of no version yet", lambda drawn: drawn.photo(9), f"photos/{sha(9)}", 6, False),
    ("a photo that a sync has fetched", lambda drawn: fetched(drawn, 8), f"photos/{sha(8)}", 400, False),
    ("a file of somebody else", lambda drawn: drawn.shelf.write("photos/mine.jpg", b""), "photos/mine.jpg", 400, False),
    ("a photo made of one", lambda drawn: drawn.shelf.write(f"made/m/{sha(1)}.jpg", b""), f"made/m/{sha(1)}.jpg", 400, False),
    ("a photo made of none", lambda drawn: drawn.shelf.write(f"made/m/{sha(9)}.jpg", b""), f"made/m/{sha(9)}.jpg", 8, True),
    ("features of former networks", former, "features/words/old/a.parquet", 31, True),
    ("these, of late", former, "features/words/old/a.parquet", 29, False),
    ("features of two releases", both, "features/e+old+2/a.parquet", 400, False),
    ("an upload", lambda drawn: drawn.shelf.write("uploads/a", b""), "uploads/a", 8, True),
    ("an upload of late", lambda drawn: drawn.shelf.write("uploads/a", b""), "uploads/a", 6, False),
    ("an upload of a job", lambda drawn: job(drawn, "ended"), "uploads/of-ended", 29, False),
    ("an upload of an old job", lambda drawn: job(drawn, "ended"), "uploads/of-ended", 31, True),
    ("an old job", lambda drawn: job(drawn, "ended"), "jobs/ended/manifest.json", 31, True),
    ("a job under way", lambda drawn: job(drawn, "active"), "jobs/active/manifest.json", 400, False),
    ("its upload", lambda drawn: job(drawn, "active"), "uploads/of-active", 400, False),
    ("a job without a manifest", lambda drawn: drawn.shelf.write("jobs/half/images", b""), "jobs/half/images", 31, True),
    ("a part of a version", lambda drawn: None, "catalogs/default/parts/", 400, False),
    ("a part of none", lambda drawn: drawn.shelf.write(PART, b""), "catalogs/default/parts/" + sha(3), 0, True),
    ("a report", lambda drawn: drawn.shelf.write(REPORT, b""), "catalogs/default/versions/v20260101T00/report.html", 400, False),
    ("what others put here", lambda drawn: drawn.shelf.write("incoming/a.jpg", b""), "incoming/a.jpg", 400, False),
    ("a network", lambda drawn: drawn.shelf.write("models/int8/a/b", b""), "models/int8/a/b", 400, False),
]


@pytest.mark.parametrize(("how", "key", "days", "goes"), [case[1:] for case in ROOMS], ids=[case[0] for case in ROOMS])
def test_each_thing_stays_as_long_as_it_is_needed_or_young(
    drawn: Drawn, how: Callable[[Drawn], None], key: str, days: int, goes: bool
) -> None:
    drawn.photo(1)
    drawn.publish([1])
    how(drawn)
    before = set(drawn.shelf.objects)
    drawn.shelf.clock += timedelta(days=days, minutes=1)
    found = drawn.survey(active=["active"])
    assert set(drawn.shelf.objects) == before, "looking changes nothing"
    assert sum(pile.objects for pile in found.piles) == len(before)
    sweep(drawn.shelf, found, drawn.ages, nullcontext, nothing)
    gone = before - set(drawn.shelf.objects)
    assert any(one.startswith(key) for one in gone) is goes
    if not goes:
        assert gone <= ({f"photos/{sha(9)}"} | {one for one in gone if "ended" in one})


def cluttered(drawn: Drawn) -> None:
    drawn.photo(*range(12))
    for number in range(12):
        drawn.describe(number)
    drawn.publish(range(4, 12))
    job(drawn, "ended")
    drawn.shelf.write(PART, b"half")
    drawn.shelf.clock += 50 * DAY


def test_a_collection_that_is_killed_anywhere_leaves_what_is_needed_and_the_next_one_ends_it(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = Drawn(tmp_path / "whole")
    cluttered(whole)
    whole.collect()
    step = 0
    while True:
        (tmp_path / str(step)).mkdir()
        drawn = Drawn(tmp_path / str(step))
        cluttered(drawn)
        drawn.shelf.left = step
        try:
            drawn.collect()
        except KeyboardInterrupt:
            step += 5
        else:
            break
        view = FeatureView(drawn.features, [sha(number) for number in range(4, 12)])
        assert len(view) == 8 and {f"{sha(number)}" for number in range(4, 12)} <= drawn.keys("photos/")
        assert drawn.catalogs.parts.listed().keys() >= named_parts(drawn.catalogs.versions()[:1])
        assert "manifest.json" not in str(drawn.keys("jobs/ended/")) or "ended/images.jsonl.gz" in drawn.keys("jobs/")
        drawn.shelf.left = None
        drawn.collect()
        assert {key for key in drawn.shelf.objects if "features" not in key} == {
            key for key in whole.shelf.objects if "features" not in key
        }
        assert len(FeatureView(drawn.features, [sha(number) for number in range(4, 12)])) == 8
    assert step > 20


def test_of_a_job_the_manifest_goes_first(drawn: Drawn) -> None:
    job(drawn, "ended")
    drawn.shelf.write("jobs/ended/unopened.jsonl.gz", b"")
    drawn.shelf.clock += 50 * DAY
    (pile,) = [pile for pile in drawn.survey().piles if pile.room == "jobs/"]
    assert pile.keys == [f"jobs/ended/{file}" for file in ("manifest.json", "about.json", "images.jsonl.gz", "unopened.jsonl.gz")]


def test_at_the_end_of_a_sync_go_parts_of_versions_that_went_and_of_uploads_that_never_ended(drawn: Drawn) -> None:
    for number in range(4):
        drawn.shelf.clock += DAY
        drawn.shelf.write(PART, b"half of an upload")
        drawn.publish([number], keep=2)
    named = named_parts(drawn.catalogs.versions())
    assert drawn.keys("catalogs/default/parts/") == named and len(named) == 3


def test_beside_a_sync_only_what_no_sync_can_be_at_work_with_goes(drawn: Drawn) -> None:
    cluttered(drawn)
    drawn.shelf.write("uploads/a", b"")
    drawn.shelf.clock += 50 * DAY
    found = drawn.collect(at_work={"default": "Catalog default is being synced already."})
    assert found.notes == ("Catalog default is being synced already.",)
    assert {pile.room for pile in unneeded(found.piles)} == {"uploads/", "jobs/"}
    assert PART in drawn.shelf.objects and len(drawn.keys("photos/")) == 12


def test_while_a_manifest_is_not_readable_nothing_goes_that_it_may_name(drawn: Drawn) -> None:
    cluttered(drawn)
    drawn.shelf.write("catalogs/default/versions/v9/manifest.json", b"{")
    found = drawn.collect()
    assert "not readable" in found.notes[0]
    assert {pile.room for pile in unneeded(found.piles)} == {"uploads/", "jobs/"}
    assert sweep_parts(drawn.catalogs, nothing) == 0


def test_whoever_lost_its_locks_removes_no_more(drawn: Drawn) -> None:
    cluttered(drawn)
    before = set(drawn.shelf.objects)

    def lost() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        sweep(drawn.shelf, drawn.survey(), drawn.ages, nullcontext, lost)
    with pytest.raises(RuntimeError):
        sweep_parts(drawn.catalogs, lost)
    with pytest.raises(RuntimeError):
        compact(drawn.shelf, drawn.features, "words", Marks(), drawn.ages, lost)
    assert before <= set(drawn.shelf.objects)


def test_the_sizes_of_versions_say_what_is_their_own(drawn: Drawn) -> None:
    drawn.publish([1])
    drawn.shelf.clock += DAY
    manifest = drawn.publish([1, 2])
    (one, two) = drawn.survey().versions
    assert (two.version, two.shared) == (manifest.version, len("the same in each"))
    assert two.own == manifest.files["photos.arrow"].size
    assert one.shared == two.shared


def pack(name: str, rows: int, needed: int | None = None) -> Pack:
    return Pack(name, rows, BEGIN, rows, tuple(range(rows if needed is None else needed)))


def test_packs_of_like_size_are_put_together_when_there_are_eight_and_sparse_ones_always() -> None:
    seven = [pack(f"{number}", 3) for number in range(7)]
    assert chosen(seven) == []
    assert len(chosen([*seven, pack("7", 7)])) == 8
    assert chosen([*seven, pack("7", 8)]) == [], "that is of another size"
    assert [one.key for one in chosen([*seven, pack("half", 100, 80), pack("most", 100, 81)])] == ["half"]
    assert chosen([pack(f"{number}", FULL) for number in range(20)]) == []


def test_a_row_that_was_put_together_is_as_old_as_before(drawn: Drawn) -> None:
    for number in range(8):
        drawn.describe(number)
    drawn.shelf.clock += 20 * DAY
    compact(drawn.shelf, drawn.features, "words", Marks(), drawn.ages, nothing)
    (key,) = drawn.features.shards("words")
    assert len(drawn.features.photos(key)) == 8
    drawn.shelf.clock += 11 * DAY
    compact(drawn.shelf, drawn.features, "words", Marks([sha(1), sha(2)]), drawn.ages, nothing)
    (key,) = drawn.features.shards("words")
    assert drawn.features.photos(key) == [sha(1), sha(2)]


def test_a_photo_that_was_sent_long_ago_is_sent_again_so_that_its_new_job_finds_it(drawn: Drawn, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"photo")
    key = f"uploads/{hashlib.sha256(b'photo').hexdigest()}"
    for hours, again in ((1, False), (13, True)):
        drawn.shelf.objects[key] = b"as it was sent before"
        drawn.shelf.written[key] = datetime.now(UTC) - timedelta(hours=hours)
        drawn.shelf.clock = datetime.now(UTC)
        (image,) = upload([Item("photo.jpg", photo)], drawn.shelf, most=2**20)
        assert isinstance(image, JobImage) and image.reference == f"s3://shelf/{key}"
        assert (drawn.shelf.objects[key] == b"photo") is again


def test_an_upload_that_was_sent_again_or_named_since_it_was_listed_stays(drawn: Drawn) -> None:
    for name in ("old", "sent", "of-named"):
        drawn.shelf.write(f"uploads/{name}", b"photo")
    drawn.shelf.clock += 8 * DAY
    found = drawn.survey()
    (pile,) = unneeded(found.piles)
    assert len(pile.keys) == 3
    drawn.shelf.clock += timedelta(minutes=5)
    drawn.shelf.write("uploads/sent", b"photo")
    held = 0

    @contextmanager
    def removing() -> Iterator[None]:
        nonlocal held
        job(drawn, "named")  # whoever submits it looks after its uploads once the block has ended
        drawn.shelf.written["uploads/of-named"] = BEGIN
        yield
        held += 1

    sweep(drawn.shelf, found, drawn.ages, removing, nothing)
    assert set(drawn.shelf.list("uploads/")) == {"uploads/sent", "uploads/of-named"}
    assert held == 1


def test_a_set_of_hashes() -> None:
    marks = Marks([sha(1), sha(2), sha(2)]) | Marks([sha(3)])
    assert len(marks) == 3
    assert [sha(number) in marks for number in range(5)] == [False, True, True, True, False]
    assert sha(1) not in Marks()


def test_local_copies_of_packs_have_bounds_and_go_with_their_objects(drawn: Drawn, tmp_path: Path) -> None:
    for number in range(6):
        drawn.describe(number)
    size = max(len(data) for key, data in drawn.shelf.objects.items() if key.startswith("features/"))
    small = FeatureStore(drawn.shelf, RECIPE.parts, tmp_path / "small", room=4 * size)
    view = FeatureView(small, [sha(number) for number in range(6)])
    assert {int(view[name].embedding[0]) for name in view} == set(range(6))
    assert sum(file.stat().st_size for file in (tmp_path / "small").rglob("*.parquet")) <= 4 * size
    for key in list(drawn.shelf.list("features/words/")):
        drawn.shelf.remove(key)
    assert small.shards("words") == []
    assert list((tmp_path / "small/features/words").rglob("*.*")) == []


def test_the_survey_as_a_document_is_json(drawn: Drawn) -> None:
    cluttered(drawn)
    told = json.loads(json.dumps(document(drawn.survey())))
    assert {pile["room"] for pile in told["piles"]} >= {"photos/", "features/", "jobs/", "catalogs/default/"}
    assert sum(pile["objects"] for pile in told["piles"]) == len(drawn.shelf.objects)
