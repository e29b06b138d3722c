"""Syncs of a shop whose answers people reviewed: confirmed photos come in, stay and go; verdicts calibrate; all of it is told."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from packsight.indexer.canary import promote
from packsight.indexer.fleet import Fleet
from packsight.indexer.publish import roll_back
from packsight.indexer.rehearsal import rehearse
from packsight.indexer.report import SyncRequest
from packsight.indexer.reviewed import harvest as harvesting
from packsight.indexer.reviewed.harvest import Harvest
from packsight.indexer.reviewed.parameters import ReviewedParameters
from packsight.indexer.state.database import discard
from packsight.indexer.version_report.keeping import Reports
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.settings import Settings
from packsight.shared.storage import layout
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.review_use import read_use
from packsight.shared.storage.reviews import ReviewStore
from packsight.shared.storage.verdicts import Answered, Kind, Offered, Verdict
from tests.integration.test_sync import RECIPE, Shop, photo, register

pytestmark = pytest.mark.usefixtures("little_learned")


@pytest.fixture
def shop(tmp_path: Path, live_settings: Settings, store: ObjectStore) -> Shop:
    """Four products with two photos each, the second of which shows the first one's picture from further away."""
    made = Shop(tmp_path / "shop", live_settings, store)
    for identity in list(made.names)[4:]:
        made.remove(identity)
    for identity in made.names:
        (made.folder / "extra" / f"code{identity}" / "1.png").write_bytes(view(int(identity), 0))
    return made


def view(seed: int, number: int) -> bytes:
    """Another photo of a drawn pack: smaller, elsewhere, before another background."""
    scene = Image.new("RGB", (120, 160), (40 + 37 * number % 200, 90, 200 - 29 * number % 190))
    pack = Image.open(io.BytesIO(photo(seed))).resize((72, 96))
    scene.paste(pack, (4 + 11 * number % 40, 50 - 17 * number % 48))
    data = io.BytesIO()
    scene.save(data, "PNG")
    return data.getvalue()


def uploaded(shop: Shop, data: bytes) -> str:
    sha = hashlib.sha256(data).hexdigest()
    shop.store.write(layout.upload(sha), data)
    return sha


def say(
    shop: Shop, data: bytes, product: str = "", *, kind: Kind | None = None, offered: Offered = Offered.UNSURE, by: str = "ann",
    after: str | None = None, minute: int = 0, answered: str = "", called: str = "",
) -> Verdict:  # fmt: skip
    """Somebody says what an uploaded photo shows."""
    sha = uploaded(shop, data)
    verdict = Verdict(
        catalog="default", job="job", index=0, image=layout.address(shop.store.bucket, layout.upload(sha)),
        name=f"{sha[:6]}.jpg", sha256=sha,
        answered=Answered(status=Status.AMBIGUOUS, product=product if answered else "x", version=answered),
        kind=kind or (Kind.OTHER if product else Kind.ABSENT),
        product=product, called=called, offered=offered, by=by, after=after, at=datetime.now(UTC) + timedelta(minutes=minute),
    )  # fmt: skip
    ReviewStore(shop.store, "default").add([verdict])
    return verdict


def photos(shop: Shop) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in shop.snapshot().photo_table:
        found.setdefault(row.product_id, []).append(row.sha256)
    return found


def told(notes: Sequence[str]) -> str:
    return "\n".join(note for note in notes if "review" in note or "confirmed" in note or "disagree" in note)


def resized(data: bytes) -> bytes:
    small = io.BytesIO()
    Image.open(io.BytesIO(data)).resize((90, 120)).save(small, "JPEG", quality=70)
    return small.getvalue()


def test_a_confirmed_photo_becomes_its_products_outlives_its_upload_and_goes_with_its_verdict(shop: Shop) -> None:
    shop.sync()
    verdict = say(shop, view(3, 1), "3")
    report = shop.sync()
    assert (report.published, report.described) == (True, 1)
    assert photos(shop)["3"][-1] == verdict.sha256 and len(photos(shop)["3"]) == 3
    assert "reviews: 1 photos; 1 of them are photos of products, 1 new, 0 withdrawn; 0 confirmed" in told(report.notes)
    assert [(one.product, one.by) for one in read_use(shop.store, "default").taken] == [("3", "ann")]
    lists = list(Reports(shop.store, "default").lines(str(report.version)))
    assert [line["sha256"] for line in lists if line["list"] == "confirmed"] == [verdict.sha256]
    shop.store.remove(layout.upload(verdict.sha256))
    for suffix in ("", "-wal", "-shm"):  # nor does an indexer without memory find anything to do
        shop.state.with_name(shop.state.name + suffix).unlink(missing_ok=True)
    again = shop.sync()
    assert not again.published and "1 of them are photos of products, 0 new" in told(again.notes)
    say(shop, view(3, 1), kind=Kind.UNDONE, after=verdict.id, by="bob", minute=1)
    undone = shop.sync()
    assert undone.published and verdict.sha256 not in photos(shop)["3"]
    assert "0 of them are photos of products, 0 new, 1 withdrawn" in told(undone.notes)


def test_a_slip_with_which_others_are_mistaken_is_left_out_and_corrected(shop: Shop) -> None:
    shop.sync()
    slip, right = say(shop, view(4, 3), "3"), say(shop, view(2, 3), "2")
    report = shop.sync()
    assert report.published
    assert slip.sha256 not in photos(shop)["3"] and right.sha256 in photos(shop)["2"]
    assert "of 4 is taken for 3" in told(report.notes)
    lists = list(Reports(shop.store, "default").lines(str(report.version)))
    assert [(line["sha256"], line["id"]) for line in lists if line["list"] == "left_out"] == [(slip.sha256, "3")]
    assert not shop.sync().published, "it is not tried again"
    say(shop, view(4, 3), "4", after=slip.id, minute=1)
    assert shop.sync().published and slip.sha256 in photos(shop)["4"]
    shop.names["4"] = "Cream number 4 of roses"
    assert shop.sync().published and slip.sha256 in photos(shop)["4"], "another name leaves it where it is"
    shop.remove("4")
    shop.sync(force=True)
    reasons = {one.product: one.reason for one in read_use(shop.store, "default").left_out}
    assert reasons["4"].startswith("its product is not offered any more")


def swap(shop: Shop, one: str, other: str) -> None:
    """Give each of two products the other's id, with all that goes by the id."""
    shop.names[one], shop.names[other] = shop.names[other], shop.names[one]
    for path in (shop.main, lambda identity: shop.folder / "extra" / f"code{identity}" / "1.png"):
        first, second = path(one).read_bytes(), path(other).read_bytes()
        path(one).write_bytes(second)
        path(other).write_bytes(first)


def test_confirmed_photos_go_with_their_products_to_other_ids(shop: Shop) -> None:
    shop.sync()
    mine, other = say(shop, view(3, 1), "3"), say(shop, view(2, 1), "2")
    shop.sync()
    swap(shop, "2", "3")
    shop.names["40"] = shop.names.pop("4")
    shop.pictures["40"] = "main/4.jpg"
    fourth = say(shop, view(4, 1), "4")  # on an answer from before
    report = shop.sync(force=True)
    assert report.published
    assert (photos(shop)["2"][-1], photos(shop)["3"][-1], photos(shop)["40"][-1]) == (mine.sha256, other.sha256, fourth.sha256)
    assert {pair.sha256: pair.product for pair in Harvest(shop.store, "default", shop.settings, time.time()).pairs} == {
        mine.sha256: "2", other.sha256: "3", fourth.sha256: "40"
    }  # fmt: skip
    assert not shop.sync().published, "and stay there"
    new = say(shop, view(3, 2), "2")  # by the id that it has now
    swap(shop, "2", "3")
    shop.sync(force=True)
    assert {mine.sha256, new.sha256} < set(photos(shop)["3"]) and other.sha256 in photos(shop)["2"]


def test_ids_are_followed_from_the_version_that_has_them(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = str(shop.sync().version)
    mine = say(shop, view(1, 1), "1")
    with_it = str(shop.sync().version)
    swap(shop, "2", "1")
    shop.sync(force=True, canary=0.5)
    promote(shop.catalogs)
    late = say(shop, view(1, 2), "2")  # by the id that it has in what is served now
    assert shop.sync().published and {mine.sha256, late.sha256} <= set(photos(shop)["2"]), "after a trial"
    roll_back(shop.catalogs, with_it, [RECIPE])
    swap(shop, "2", "1")
    shop.sync(force=True)
    assert {mine.sha256, late.sha256} <= set(photos(shop)["1"]), "after a version was gone back from and the feed mended"
    swap(shop, "2", "1")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Harvest, "settle", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        shop.sync(force=True)
    shop.sync()
    assert {mine.sha256, late.sha256} <= set(photos(shop)["2"]), "after a kill behind the pointer"
    old = say(shop, view(1, 3), "1", kind=Kind.RIGHT, answered=first, called="Cream number 1")  # of before all of that
    shop.sync()
    assert old.sha256 in photos(shop)["2"]


def test_a_product_is_meant_by_the_name_that_its_id_had_for_whoever_said_so(shop: Shop) -> None:
    first = str(shop.sync().version)
    third, second = shop.names["3"], shop.names["2"]
    mine = say(shop, view(3, 1), "3", called=third)
    swap(shop, "2", "3")
    shop.sync(force=True)
    assert mine.sha256 in photos(shop)["2"]
    late = say(shop, view(2, 2), "2", kind=Kind.RIGHT, answered=first, called=second)
    now = say(shop, view(2, 3), "3", called=second)
    shop.sync()
    assert {late.sha256, now.sha256} < set(photos(shop)["3"])
    known, unknown = (
        say(shop, view(4, number), "4", kind=Kind.RIGHT, answered=version, called=shop.names["4"])
        for number, version in enumerate((first, "20200101T000000-abcdef"), start=1)
    )
    shop.names["40"], shop.pictures["40"] = shop.names.pop("4"), "main/4.jpg"
    shop.names["4"], shop.pictures["4"] = "Quartz xylophone", "main/9.jpg"
    shop.main("9").write_bytes(photo(9))
    (shop.folder / "extra" / "code4" / "1.png").write_bytes(view(9, 0))
    shop.sync(force=True)
    assert known.sha256 in photos(shop)["40"]
    assert unknown.sha256 in {one.sha256 for one in read_use(shop.store, "default").left_out}


def test_a_verdict_that_counts_again_has_followed_meanwhile(shop: Shop) -> None:
    shop.sync()
    mine = say(shop, view(3, 1), "3")
    shop.sync()
    slip = say(shop, view(3, 1), "4", after=mine.id, minute=1)
    swap(shop, "2", "3")
    shop.sync(force=True)
    say(shop, view(3, 1), kind=Kind.UNDONE, after=slip.id, minute=2)
    shop.sync()
    assert mine.sha256 in photos(shop)["2"]


def test_a_product_that_comes_back_under_another_id_has_its_photos(shop: Shop) -> None:
    shop.sync()
    mine = say(shop, view(3, 1), "3")
    shop.sync()
    name = shop.names["3"]
    shop.remove("3")
    shop.sync(force=True)
    assert mine.sha256 not in {sha for shas in photos(shop).values() for sha in shas}
    assert not shop.sync().published
    shop.names["30"], shop.pictures["30"] = name, "main/3.jpg"
    shop.sync(force=True)
    assert mine.sha256 in photos(shop)["30"]


def test_an_id_that_another_product_takes_leaves_the_photos_behind(shop: Shop) -> None:
    shop.sync()
    mine = say(shop, view(3, 3), "3")
    shop.sync()
    name = shop.names["3"]
    shop.names["3"], shop.pictures["3"] = "Quartz xylophone", "main/9.jpg"
    shop.main("9").write_bytes(photo(9))
    shop.sync(force=True)
    for _ in range(2):
        assert mine.sha256 not in photos(shop)["3"]
        assert "nobody knows under which id" in {one.product: one.reason for one in read_use(shop.store, "default").left_out}["3"]
        assert not shop.sync().published, "and stays left out"
    shop.names["1"] = "Cream of another name"
    assert shop.sync().published and mine.sha256 not in photos(shop)["3"]
    shop.names["30"], shop.pictures["30"] = name, "main/3.jpg"
    shop.sync(force=True)
    assert mine.sha256 in photos(shop)["30"]


def test_an_id_that_is_given_anew_long_after_its_product_is_gone_has_no_photos_of_that(shop: Shop) -> None:
    shop.sync()
    mine = say(shop, view(3, 1), "3")
    had = str(shop.sync().version)
    shop.remove("3")
    shop.sync(force=True)
    for number in range(shop.settings.catalog.keep_versions + 1):
        shop.names["1"] = f"Cream of the {number}th name"
        shop.sync()
    assert had not in {one.version for one in shop.catalogs.versions()}
    shop.names["3"], shop.pictures["3"] = "Quartz xylophone", "main/9.jpg"
    shop.main("9").write_bytes(photo(9))
    shop.sync(force=True)
    assert mine.sha256 not in photos(shop)["3"]


def test_what_cannot_be_had_is_told_also_where_its_product_has_another_id(shop: Shop) -> None:
    shop.sync()
    mine = say(shop, view(3, 1), "3")
    shop.store.remove(layout.upload(mine.sha256))
    swap(shop, "2", "3")
    shop.sync(force=True)
    reasons = {one.sha256: one.reason for one in read_use(shop.store, "default").left_out}
    assert reasons[mine.sha256].startswith("its bytes are not")


def test_what_was_left_behind_stays_so_whatever_becomes_of_a_trial(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures go by ids."""
    shop.sync()
    mine = say(shop, view(3, 1), "3")
    shop.sync()
    for path in (shop.main, lambda identity: shop.folder / "extra" / f"code{identity}" / "1.png"):
        path("3").write_bytes(path("2").read_bytes())
    shop.names["3"] = shop.names.pop("2")
    shop.sync(canary=0.5, force=True)
    promote(shop.catalogs)
    for _ in range(2):
        shop.sync()
        assert mine.sha256 not in photos(shop)["3"]
    shop.names["1"] = "Cream of another name"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Harvest, "settle", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        shop.sync()
    shop.sync()
    assert mine.sha256 not in photos(shop)["3"]


def test_a_long_name_is_compared_as_far_as_it_is_kept(shop: Shop) -> None:
    shop.names["3"] = "Cream " * 150 + "3"
    shop.sync()
    mine = say(shop, view(3, 1), "3", called=shop.names["3"][:500])
    shop.sync()
    assert mine.sha256 in photos(shop)["3"]


def test_what_is_left_out_before_a_version_is_refused_is_followed_once(shop: Shop) -> None:
    shop.sync()
    nearly = say(shop, resized(photo(3)), "3")
    swap(shop, "2", "3")
    swapped = {identity: shop.main(identity).read_bytes() for identity in shop.names}
    for identity in ("1", "4"):  # with which it is refused
        shop.main(identity).write_bytes(photo(99))
        (shop.folder / "extra" / f"code{identity}" / "1.png").write_bytes(photo(98))
    with pytest.raises(UserError):
        shop.sync()
    left = read_use(shop.store, "default").left_out
    assert [one.verdict for one in left] == [nearly.id], "it is written before the version is looked at"
    for identity, data in swapped.items():
        shop.main(identity).write_bytes(data)
    shop.sync(force=True)
    assert [pair.product for pair in Harvest(shop.store, "default", shop.settings, time.time()).pairs] == ["2"]


@pytest.mark.parametrize("version", ["20200101T000000-abcdef", "../../elsewhere"])
def test_a_verdict_on_an_answer_of_a_version_that_is_gone_counts_for_what_is_called_so_still(shop: Shop, version: str) -> None:
    shop.sync()
    same = say(shop, view(3, 1), "3", kind=Kind.RIGHT, answered=version, called=shop.names["3"])
    other = say(shop, view(2, 1), "2", kind=Kind.RIGHT, answered=version, called="Quartz xylophone")
    shop.sync()
    assert same.sha256 in photos(shop)["3"] and other.sha256 not in photos(shop)["2"]
    assert [one.sha256 for one in read_use(shop.store, "default").left_out] == [other.sha256]


def test_a_photo_on_which_people_disagree_for_a_while_is_followed_too(shop: Shop) -> None:
    shop.sync()
    mine = say(shop, view(3, 1), "3")
    shop.sync()
    swap(shop, "2", "3")
    shop.sync(force=True)
    theirs = say(shop, view(3, 1), "4", by="bob", minute=1)
    shop.sync()
    say(shop, view(3, 1), kind=Kind.UNDONE, after=theirs.id, by="bob", minute=2)
    shop.sync()
    assert mine.sha256 in photos(shop)["2"]


def test_photos_that_go_with_their_verdicts_are_no_loss(shop: Shop) -> None:
    shop.sync()
    given = [say(shop, view(number, 1), str(number)) for number in (1, 2, 3, 4)]
    assert shop.sync().photos > 10, "most of them are recognised, and taken"
    for verdict in given:
        say(shop, view(int(verdict.product), 1), kind=Kind.UNDONE, after=verdict.id, minute=1)
    report = shop.sync()
    assert (report.published, report.photos) == (True, 8), "more than a quarter of all"


def test_a_photo_that_a_slip_of_the_feed_left_out_is_tried_anew(shop: Shop) -> None:
    shop.sync()
    mine = say(shop, view(4, 1), "4")
    shop.sync()
    shop.names["3"], shop.names["4"] = shop.names["4"], shop.names["3"]  # without the pictures
    shop.sync(force=True)
    assert [one.product for one in read_use(shop.store, "default").left_out] == ["3"]
    shop.names["3"], shop.names["4"] = shop.names["4"], shop.names["3"]
    shop.sync()
    assert mine.sha256 in photos(shop)["4"] and not read_use(shop.store, "default").left_out


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """References that were fetched."""
    references: list[str] = []
    fetch = Fetcher.fetch

    def counted(self: Fetcher, reference: str, **options: Any) -> bytes:
        references.append(reference)
        return fetch(self, reference, **options)

    monkeypatch.setattr(Fetcher, "fetch", counted)
    return references


def test_what_cannot_be_had_is_asked_for_once_though_the_feed_is_refused(shop: Shop, asked: list[str]) -> None:
    shop.sync()
    gone = say(shop, view(3, 1), "3")
    shop.store.remove(layout.upload(gone.sha256))
    kept = dict(shop.names)
    for identity in ("1", "2"):
        shop.remove(identity)
    for _ in range(2):
        with pytest.raises(UserError, match="feed lacks 2"):
            shop.sync()
    assert asked.count(gone.image) == 1
    shop.names = kept
    shop.sync()
    assert asked.count(gone.image) == 1
    shop.sync(force=True)
    assert asked.count(gone.image) == 2, "whoever forces it has it tried again"


def test_of_photos_that_cannot_be_had_those_too_are_asked_for_once_that_show_nothing_listed(
    shop: Shop, asked: list[str]
) -> None:
    shop.sync()
    absent = say(shop, photo(77))
    known = say(shop, resized(shop.main("3").read_bytes()), "3", minute=1)
    shop.store.remove(layout.upload(absent.sha256))
    shop.sync()
    assert [one.sha256 for one in read_use(shop.store, "default").left_out] == [known.sha256], "nearly the same"
    for _ in range(2):
        shop.sync()
    assert asked.count(absent.image) == 1
    shop.store.remove(layout.photo(known.sha256))
    discard(shop.state)
    shop.sync()
    assert shop.store.exists(layout.photo(known.sha256)), "it still counts for calibration"
    say(shop, photo(77), after=absent.id, minute=2)
    shop.sync()
    assert shop.store.exists(layout.photo(absent.sha256)), "somebody said it anew, of bytes that are there"


def test_a_rehearsal_says_what_a_sync_would_make_of_reviews(shop: Shop) -> None:
    shop.sync()
    request = SyncRequest(shop.write(), str(shop.folder / "extra"), dry_run=True)
    with closing(Fleet(shop.settings)) as fleet:
        register(fleet, *shop.recipes)
    assert not told(rehearse(request, shop.settings).notes)
    verdict = say(shop, view(3, 1), "3")
    line = "reviews: 1 confirmed photos would be tried as photos of their products, 0 would be withdrawn"
    assert told(rehearse(request, shop.settings).notes) == line
    shop.sync()
    assert verdict.sha256 in photos(shop)["3"] and not told(rehearse(request, shop.settings).notes)


def test_a_slip_of_a_feed_that_is_refused_takes_no_photo_away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sync()
    verdict = say(shop, view(3, 1), "3")
    shop.sync()
    names = dict(shop.names)
    for number, identity in enumerate(shop.names):
        shop.names[identity], shop.pictures[identity] = f"Quartz {number} xylophone", f"main/none{number}.jpg"
    with pytest.raises(UserError):
        shop.sync()
    shop.names = names
    shop.pictures.clear()
    assert not shop.sync().published and verdict.sha256 in photos(shop)["3"]


def test_what_a_version_on_trial_made_of_reviews_is_not_told_of_the_one_that_is_served(shop: Shop) -> None:
    shop.sync()
    verdict = say(shop, view(3, 1), "3")
    shop.sync()
    shop.remove("3")
    shop.sync(canary=0.5, force=True)
    assert [one.verdict for one in read_use(shop.store, "default").taken] == [verdict.id]


def test_what_is_there_or_gone_or_disputed_is_left_out_once_and_told(shop: Shop) -> None:
    shop.sync()
    nearly = say(shop, resized(photo(3)), "3")  # 3's own picture, made smaller
    others = say(shop, photo(4), "3")  # the very picture of 4
    gone = say(shop, photo(5001), "3")
    shop.store.remove(layout.upload(gone.sha256))
    mine = say(shop, view(2, 1), "2")
    theirs = say(shop, view(2, 1), "4", by="bob", minute=1)
    report = shop.sync()
    assert not report.published, "nothing of it can be used"
    reasons = {one.sha256: one.reason for one in read_use(shop.store, "default").left_out}
    assert reasons[nearly.sha256].startswith("nearly the same as the product's photo")
    assert reasons[others.sha256] == "it is the catalog's photo of 4"
    assert reasons[gone.sha256].startswith("its bytes are not to be had")
    assert "3 confirmed ones are left out" in told(report.notes) and "and 2 more in the report" in told(report.notes)
    assert f"1 photos on which people disagree are not used (first: {mine.name})" in told(report.notes)
    shop.extractor.asked.clear()
    say(shop, view(2, 1), "2", after=theirs.id, minute=2)
    assert shop.sync().published and mine.sha256 in photos(shop)["2"]
    assert [key for key, _ in shop.extractor.asked] == [layout.photo(mine.sha256)], "nothing else is tried again"


def test_a_product_has_so_many_confirmed_photos_the_newest_each_asked_without_itself(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded = {"again": False, "parameters": ReviewedParameters(photos=2)}
    monkeypatch.setattr(harvesting.Harvest.__init__, "__kwdefaults__", bounded)
    given = [say(shop, photo(7000 + number), "3", minute=number, offered=Offered.SAMPLE) for number in range(4)]
    report = shop.sync()
    assert photos(shop)["3"][2:] == [given[3].sha256, given[2].sha256]
    assert {one.reason for one in read_use(shop.store, "default").left_out} == {"its product has 2 newer ones"}
    assert report.built is not None
    assert (report.built.reviewed.pairs, report.built.reviewed_check.photos) == (4, 4)
    assert report.built.reviewed_check.share_matched <= 0.25, "drawn at random: only the photo itself would know"


def test_enough_verdicts_alone_calibrate_a_version_anew_and_few_wait(shop: Shop) -> None:
    shop.sync()
    for number in range(19):
        say(shop, photo(6000 + number), offered=Offered.SAMPLE if number % 2 else Offered.UNSURE)
    assert not shop.sync().published, "while people review, each sync would build one"
    say(shop, photo(6100), kind=Kind.ABSENT)
    report = shop.sync()
    assert report.published and report.built is not None
    assert report.built.reviewed.pairs == 20 and report.built.photos == 8
    assert "20 count for calibration, 20 of them as not in the catalog" in told(report.notes)
    assert not shop.sync().published


def test_a_sync_that_was_killed_after_building_does_the_same_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = say(shop, view(3, 1), "3")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("packsight.indexer.phases.published.upload", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.sync()
    report = shop.sync()
    assert report.published and report.described == 0 and verdict.sha256 in photos(shop)["3"]
