"""Syncs of catalogs whose products have one photo: photos are made of these, described once, and asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from packsight.indexer.made.cutout import Pixels
from packsight.indexer.made.parameters import MADE
from packsight.indexer.made.photo import made_photo
from packsight.indexer.report import SyncReport
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import Blob, ObjectStore
from tests.integration.test_sync import KilledError, LocalExtractor, Shop

_MADE: dict[tuple[object, ...], bytes] = {}


def made_once(source: str, pixels: Pixels, other: Pixels | None, *how: Any) -> bytes:
    """A made photo; of the same photos the same is made in most tests, and only once."""
    about = source, pixels.tobytes(), other is not None and other.tobytes(), how
    if about not in _MADE:
        _MADE[about] = made_photo(source, pixels, other, *how)
    return _MADE[about]


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Eight products with one photo each."""
    monkeypatch.setattr("packsight.indexer.made.keeping.made_photo", made_once)
    made = Shop(tmp_path / "shop", live_settings, store)
    for identity in made.names:
        only(made, identity)
    return made


def only(shop: Shop, identity: str) -> None:
    (shop.folder / "extra" / f"code{identity}" / "1.png").unlink()


def bounded(shop: Shop, most: int) -> None:
    shop.settings = shop.settings.model_copy(
        update={"catalog": shop.settings.catalog.model_copy(update={"made_photos": most})}
    )


def made_keys(shop: Shop) -> list[str]:
    return [key for key, _ in shop.extractor.asked if key.startswith("made/")]


def test_of_each_only_photo_another_is_made_described_and_asked_about(shop: Shop) -> None:
    told: list[tuple[int, int]] = []
    shop.progress = lambda step, done, total: told.append((done, total)) if step == "made" else None
    report = shop.sync()
    assert told == [(done, 8) for done in range(9)]
    assert (report.published, report.photos, report.described) == (True, 8, 16)
    assert len(made_keys(shop)) == len(list(shop.store.list("made/"))) == 8
    version = shop.snapshot()
    assert len(version.photo_table) == version.manifest.photos == 8, "what was made is no photo of the catalog"
    assert (version.manifest.self_check.photos, version.manifest.made_check.photos) == (0, 8)
    sources = {Path(key).stem for key in made_keys(shop)}
    assert sources == {row.sha256 for row in version.photo_table}


def test_what_was_made_is_kept_and_described_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sync()
    again = shop.sync()
    assert (again.published, again.described) == (False, 0)
    monkeypatch.setattr("packsight.indexer.made.keeping.made_photo", lambda *_, **__: pytest.fail("made twice"))
    forced = shop.sync(force=True)
    assert (forced.published, forced.described) == (True, 0)
    assert forced.built is not None and forced.built.made_check.photos == 8


def test_a_sync_killed_while_photos_are_made_goes_on_from_there(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def killed(source: str, *how: Any) -> bytes:
        if len(made) == 3:
            raise KilledError
        made.append(source)
        return made_once(source, *how)

    monkeypatch.setattr("packsight.indexer.made.keeping.made_photo", killed)
    with pytest.raises(KilledError):
        shop.sync()
    assert shop.catalogs.current() is None and len(list(shop.store.list("made/"))) == 3

    def counted(source: str, *how: Any) -> bytes:
        made.append(source)
        return made_once(source, *how)

    monkeypatch.setattr("packsight.indexer.made.keeping.made_photo", counted)
    report = shop.sync()
    assert report.built is not None and report.built.made_check.photos == 8
    assert len(made) == len(set(made)) == 8, "none is made twice"


def test_a_new_product_has_one_photo_more_made(shop: Shop) -> None:
    shop.sync()
    asked = len(shop.extractor.asked)
    shop.add("9", "Soap", seed=99)
    only(shop, "9")
    assert shop.sync().described == 2
    assert [key.split("/")[0] for key, _ in shop.extractor.asked[asked:]] == ["photos", "made"]


def test_products_with_other_photos_have_none_made(shop: Shop) -> None:
    for identity in "9", "10":
        shop.add(identity, f"Soap {identity}", seed=90 + int(identity))
    report = shop.sync()
    assert report.built is not None
    assert (report.built.self_check.photos, report.built.made_check.photos) == (2, 8)


def test_at_most_so_many_are_made_and_none_if_the_operator_says_so(shop: Shop) -> None:
    bounded(shop, 3)
    assert (shop.sync().described, len(made_keys(shop))) == (11, 3)
    bounded(shop, 0)
    none = shop.sync()
    assert none.published and none.described == 0, "other questions make another fit"
    assert none.built is not None and none.built.made_check.photos == 0


def test_another_model_has_what_was_made_described_again(shop: Shop) -> None:
    shop.sync()
    shop.recipes = [shop.recipes[0].model_copy(update={"spotter": "none-000000000002"})]
    shop.extractor.asked.clear()
    assert shop.sync().described == 16
    assert {parts for _, parts in shop.extractor.asked} == {("words",)}
    assert len(list(shop.store.list("made/"))) == 8


def without_two(shop: Shop) -> SyncReport:
    report = shop.sync()
    assert report.built is not None
    assert report.built.made_check.photos == 6
    assert any(note.startswith("2 photos of products' only ones could not be made") for note in report.built.notes)
    return report


def test_one_that_cannot_be_described_is_left_out_with_a_note(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    read, broken = ObjectStore.read, list[str]()

    def damaged(self: ObjectStore, key: str, **options: Any) -> Blob:
        blob = read(self, key, **options)
        if key.startswith("made/") and (key in broken or len(broken) < 2):
            broken.append(key)
            return Blob(blob.data[:300], blob.etag)
        return blob

    monkeypatch.setattr(ObjectStore, "read", damaged)
    report = without_two(shop)
    assert (report.published, report.photos, report.described) == (True, 8, 14)


def test_one_whose_photo_is_gone_is_left_out_with_a_note(shop: Shop) -> None:
    bounded(shop, 0)
    shop.sync()
    for row in list(shop.snapshot().photo_table)[:2]:
        shop.store.remove(f"photos/{row.sha256}")
    bounded(shop, 150)
    without_two(shop)


class Absent(LocalExtractor):
    """No worker is up when photos that were made are to be described."""

    def extract(self, recipe, references, parts):  # type: ignore[no-untyped-def]
        if "/made/" in references[0]:
            raise UserError("no worker is up")
        return super().extract(recipe, references, parts)


def test_without_a_worker_that_describes_them_a_version_is_published_all_the_same(shop: Shop) -> None:
    shop.extractor = Absent(shop.store, shop.settings)
    report = shop.sync()
    assert report.published and report.built is not None
    assert any("8 photos of products' only ones" in note and "no worker is up" in note for note in report.built.notes)


def test_what_is_made_is_named_by_how(shop: Shop) -> None:
    bounded(shop, 1)
    shop.sync()
    [key] = shop.store.list("made/")
    assert key.startswith("made/made-1-") and MADE.photos == 0
