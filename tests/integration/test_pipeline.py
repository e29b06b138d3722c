"""The bundled networks, a catalog of drawn packs and a real store: what one child answers."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

from bench.barcode_print import Code, Kind
from bench.several import overlap
from bench.several_photos import several_packs
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import Dependency, ErrorCode, ImageError, Outage
from packsight.shared.contract.lacking import WANTED, Lack
from packsight.shared.contract.outcomes import STAGES, Outcome, Status
from packsight.shared.queue.pulse import Pulse, Pulses
from packsight.shared.settings import Decode
from packsight.shared.storage import deadline
from packsight.worker.pipeline import decode as decoding
from packsight.worker.pipeline import pipeline as pipelines
from packsight.worker.pipeline.decode import Photo
from packsight.worker.pipeline.extracted import Extracted
from packsight.worker.pipeline.parameters import FLOW
from tests.labels import labelled
from tests.shop import PRODUCTS, Shop, failure, query, version


def test_photos_of_listed_products_are_recognised_with_their_evidence(shop: Shop) -> None:
    references = [shop.put(f"q/{item.id}.jpg", query(item)) for item in PRODUCTS]
    outcomes = shop.ask(*references)
    assert [outcome.image for outcome in outcomes] == references
    first = [outcome.candidates[0].product.id for outcome in outcomes]
    assert sum(a == b.id for a, b in zip(first, PRODUCTS, strict=True)) >= len(PRODUCTS) - 1
    for outcome in outcomes:
        assert len(outcome.candidates) <= 3
        assert outcome.words
        assert outcome.reason
        assert {"fetch", "decode", "details", "match"} <= set(outcome.timings) <= set(STAGES)
        assert outcome.provenance is not None
        assert outcome.provenance.embedder == shop.pipeline.embedder_name


def test_a_photo_whose_details_were_asked_waits_for_its_decision_without_its_pixels(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[bool] = []
    decide = shop.pipeline._decide

    def noting(photo: Extracted, *arguments: Any, **named: Any) -> Outcome:
        waiting.append(photo.decoded is None and photo.decode is None)
        return decide(photo, *arguments, **named)

    monkeypatch.setattr(shop.pipeline, "_decide", noting)
    outcomes = shop.ask(*(shop.put(f"q/waits-{item.id}.jpg", query(item, 94)) for item in PRODUCTS[:3]))
    assert all(outcome.status is not Status.FAILED for outcome in outcomes)
    assert waiting == [True] * 3


def test_a_photo_has_the_same_features_alone_in_a_batch_as_query_and_as_catalog_photo(shop: Shop) -> None:
    catalog = [f"s3://{shop.store.bucket}/photos/{row.sha256}" for row in shop.photos[:3]]
    alone = [next(shop.pipeline.describe([reference])).features for reference in catalog]
    together = [seen.features for seen in shop.pipeline.describe(catalog)]
    for one, other in zip(alone, together, strict=True):
        assert one is not None
        assert other is not None
        assert np.array_equal(one.embedding, other.embedding)
        assert one.words == other.words
        assert np.array_equal(one.local.descriptors, other.local.descriptors)


def test_reading_stops_when_the_catalog_has_matched_the_photo_unless_all_is_asked_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = shop.catalogs.get("default")
    # So small a catalog is never sure of itself; and no line is read before all are found.
    rules = replace(snapshot.parameters, telling=replace(snapshot.parameters.telling, lines=0))
    model = snapshot.model.model_copy(update={"matched": 0.8, "sure": 1.0, "told": 0.8, "enough": 0.8})
    bold = replace(snapshot, model=model, parameters=rules)
    monkeypatch.setattr(shop.catalogs, "get", lambda *_: bold)
    references = [f"s3://{shop.store.bucket}/photos/{row.sha256}" for row in shop.photos]
    some, whole = shop.ask(*references), shop.ask(*references, read_all=True)
    assert all(outcome.words_complete for outcome in whole)
    stopped = [(one, other) for one, other in zip(some, whole, strict=True) if not one.words_complete]
    assert stopped, "the catalog's own photos are decided by a few lines"
    for one, other in stopped:
        assert one.status is Status.MATCHED
        assert one.product == other.product
        assert len(one.words) < len(other.words)
        assert all(word in other.words for word in one.words)
    for one, other in zip(some, whole, strict=True):
        assert one.words_complete is False or one.words == other.words


def test_what_a_few_lines_decide_is_answered_alike_when_every_line_is_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = shop.catalogs.get("default")
    rules = replace(snapshot.parameters, telling=replace(snapshot.parameters.telling, together=0.0))
    model = snapshot.model.model_copy(update={"sure": 1.0, "told": 0.5, "enough": 1.0})
    bold = replace(snapshot, model=model, parameters=rules)
    monkeypatch.setattr(shop.catalogs, "get", lambda *_: bold)
    references = [shop.put(f"q/lines-{item.id}.jpg", query(item, 93)) for item in PRODUCTS]
    some, whole = shop.ask(*references), shop.ask(*references, read_all=True)
    decided = [(one, other) for one, other in zip(some, whole, strict=True) if "spot" not in one.timings]
    assert decided, "some photos are decided by a few lines"
    for one, other in decided:
        assert {"lines", "spot"} <= set(other.timings)
        assert (one.status, one.product, one.confidence) == (other.status, other.product, other.confidence)
        assert other.words_complete


def test_several_products_of_a_photo_are_told_with_their_regions(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = shop.catalogs.get("default")
    bold = replace(snapshot, model=snapshot.model.model_copy(update={"matched": 0.5, "sure": 0.9}))
    monkeypatch.setattr(shop.catalogs, "get", lambda *_: bold)
    chosen = [item for item in PRODUCTS if item.id in {"501", "1001"}]
    scene = several_packs(chosen, np.random.default_rng(4))
    reference = shop.put("q/two.jpg", scene.data)
    (two,), (one,), (again,) = (shop.ask(reference, max_products=most) for most in (4, 1, 4))
    masks = {pack.item.id: pack.mask for pack in scene.packs}
    assert {found.product.id for found in two.products} == masks.keys()
    assert all(overlap(found.region, masks[found.product.id]) > 0.6 for found in two.products)
    surest = two.products[0]
    assert (two.product, two.region, two.confidence) == (surest.product, surest.region, surest.confidence)
    assert len(one.products) <= 1
    assert again.products == two.products, "also when the photo is known from before"
    (whole,) = shop.ask(reference, max_products=4, read_all=True)
    assert {found.product.id for found in whole.products} == masks.keys()


def test_a_matcher_that_fails_while_reading_costs_nothing_but_the_reading(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise ValueError("no idea")

    for question in ("is_confident", "is_enough_read", "telling_lines"):
        monkeypatch.setattr(f"packsight.worker.pipeline.early_stop.{question}", broken)
    outcome, other = shop.ask(*(shop.put(f"q/{item.id}.jpg", query(item)) for item in PRODUCTS[:2]))
    for one in (outcome, other):
        assert one.status is not Status.FAILED
        assert one.words_complete


@pytest.mark.parametrize("turned", [False, True])
def test_a_product_on_a_long_screenshot_or_panorama_is_found_with_its_words_in_place(shop: Shop, turned: bool) -> None:
    item = PRODUCTS[0]
    shown = Image.open(io.BytesIO(query(item)))
    scale, left, top = (1000 / shown.height, 5000, 40) if turned else (1000 / shown.width, 40, 4000)
    long = Image.new("RGB", (8000, 1080) if turned else (1080, 8000), (244, 244, 244))
    long.paste(shown.resize((round(scale * shown.width), round(scale * shown.height))), (left, top))
    outcome = shop.ask(shop.put(f"q/long-{turned}.jpg", encoded(long)), read_all=True)[0]
    alone = shop.ask(shop.put("q/short.jpg", encoded(shown)), read_all=True)[0]
    assert outcome.size == long.size
    assert outcome.candidates[0].product.id == item.id
    assert outcome.status is not Status.NO_MATCH
    [brand], [here] = ([word for word in one.words if word.text == item.family.brand] for one in (alone, outcome))
    expected = [(left + scale * x, top + scale * y) for x, y in brand.box]
    assert np.abs(np.array(here.box) - np.array(expected)).max() < 40


def test_a_photo_on_which_nothing_can_be_seen_is_not_called_not_in_the_catalog(shop: Shop) -> None:
    shown = Image.open(io.BytesIO(query(PRODUCTS[1])))
    spoilt = {
        "small": (shown.resize((48, 60)), Lack.RESOLUTION),
        "blurred": (shown.filter(ImageFilter.GaussianBlur(shown.width / 30)), Lack.SHARPNESS),
        "dark": (shown.point(lambda value: value // 50), Lack.LIGHT),
    }
    references = [shop.put(f"q/{name}.png", encoded(picture, "PNG")) for name, (picture, _) in spoilt.items()]
    for outcome, (_, lack) in zip(shop.ask(*references), spoilt.values(), strict=True):
        assert outcome.status is Status.AMBIGUOUS
        assert outcome.lacking == [lack]
        assert WANTED[lack].remedy in outcome.reason


CODE = Code(Kind.EAN_13, "4006381333931")


def test_a_barcode_answers_before_the_networks_and_alike_when_all_is_read(shop: Shop) -> None:
    shown, named = PRODUCTS[1], PRODUCTS[0]
    shop.publish(PRODUCTS, catalog="coded", barcodes={named.id: CODE.digits})
    reference = shop.put("q/coded.jpg", labelled(query(shown), CODE))
    plain = shop.put("q/uncoded.jpg", query(shown))
    quick, beside = shop.ask(reference, plain, catalog="coded")
    whole = shop.ask(reference, catalog="coded", read_all=True)[0]
    for outcome in (quick, whole):
        assert outcome.status is Status.MATCHED
        assert outcome.product is not None and outcome.product.id == named.id
        assert [one.evidence.barcode for one in outcome.candidates] == [CODE.digits]
        assert CODE.digits in outcome.reason
        assert {"barcode", "match"} <= set(outcome.timings)
    assert set(quick.timings) == {"fetch", "cache", "decode", "barcode", "match"}
    assert (quick.words, quick.words_complete) == ([], False)
    assert {"embed", "spot"} <= set(whole.timings)
    assert whole.words and whole.words_complete
    assert beside.candidates[0].product.id == shown.id
    assert {"barcode", "details"} <= set(beside.timings)


def test_a_catalog_without_barcodes_never_looks_for_any(shop: Shop) -> None:
    outcome = shop.ask(shop.put("q/coded-for-others.jpg", labelled(query(PRODUCTS[1]), CODE)))[0]
    assert outcome.candidates[0].product.id == PRODUCTS[1].id
    assert "barcode" not in outcome.timings


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


def faults(shop: Shop) -> dict[str, ErrorCode]:
    """A reference for each thing that can be wrong with an image."""
    whole = query(PRODUCTS[0])
    bomb = cv2.imencode(".png", np.zeros((13_000, 13_000), np.uint8))[1].tobytes()
    put = shop.put
    return {
        f"s3://{shop.store.bucket}/uploads/never.jpg": ErrorCode.OBJECT_MISSING,
        "s3://no-such-bucket-anywhere/a.jpg": ErrorCode.BUCKET_MISSING,
        f"s3://{shop.store.bucket}/catalogs/default/CURRENT.json": ErrorCode.REFERENCE_REFUSED,
        f"s3://{shop.store.bucket}/uploads/../incoming/f/text.jpg": ErrorCode.REFERENCE_REFUSED,
        "s3://of-others/a.jpg": ErrorCode.REFERENCE_REFUSED,
        put("f/truncated.jpg", whole[: len(whole) // 2]): ErrorCode.IMAGE_TRUNCATED,
        put("f/text.jpg", b"this is no picture at all, only its name says so"): ErrorCode.FORMAT_UNSUPPORTED,
        put("f/empty.jpg", b""): ErrorCode.FILE_EMPTY,
        put("f/strip.png", encoded(Image.new("RGB", (20_000, 1)), "PNG")): ErrorCode.IMAGE_TOO_SMALL,
        put("f/bomb.png", bomb): ErrorCode.IMAGE_TOO_MANY_PIXELS,
        put("f/document.jpg", b"%PDF-1.7\n" + b"0" * 500): ErrorCode.FORMAT_UNSUPPORTED,
        "https://no-such-host.invalid/a.jpg": ErrorCode.HOST_UNREACHABLE,
        "http://127.0.0.1/a.jpg": ErrorCode.REFERENCE_REFUSED,
        "ftp://example.com/a.jpg": ErrorCode.REFERENCE_INVALID,
        "nowhere.jpg": ErrorCode.OBJECT_MISSING,
    }


def test_each_broken_image_ends_in_its_own_typed_outcome_and_its_neighbours_are_answered(shop: Shop) -> None:
    wanted = faults(shop)
    good = shop.put("f/good.jpg", query(PRODUCTS[2]))
    references = [good, *wanted, good]
    outcomes = shop.ask(*references)
    assert [outcome.image for outcome in outcomes] == references
    broken = {outcome.image: outcome for outcome in outcomes[1:-1]}
    assert {image: failure(outcome).code for image, outcome in broken.items()} == wanted
    for outcome in broken.values():
        assert outcome.status is Status.FAILED
        assert failure(outcome).message
        assert failure(outcome).remedy
    assert {outcome.status for outcome in (outcomes[0], outcomes[-1])} != {Status.FAILED}
    assert outcomes[0].candidates == outcomes[-1].candidates


@pytest.mark.parametrize("standing_still", [False, True])
def test_a_photo_that_takes_too_long_to_decode_is_left_out_alone_unless_the_process_stood_still(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, standing_still: bool
) -> None:
    good, slow = shop.put("t/good.jpg", query(PRODUCTS[2])), shop.put("t/slow.jpg", query(PRODUCTS[1]))
    clock, work = time.perf_counter, time.process_time
    lost = threading.local()  # seconds, by thread: photos are decoded side by side

    def decode(data: bytes, limits: Decode) -> Photo:
        if data == query(PRODUCTS[1]):
            lost.seconds = getattr(lost, "seconds", 0) + limits.seconds
        return decoding.decode(data, limits)

    monkeypatch.setattr(time, "perf_counter", lambda: clock() + getattr(lost, "seconds", 0))
    if not standing_still:
        monkeypatch.setattr(time, "process_time", lambda: work() + getattr(lost, "seconds", 0))
    monkeypatch.setattr(pipelines, "decode", decode)
    outcomes = shop.ask(good, slow, good)
    assert [outcome.status is Status.FAILED for outcome in outcomes] == [False, not standing_still, False]
    if not standing_still:
        assert failure(outcomes[1]).code is ErrorCode.TIME_LIMIT
        assert "decode" in failure(outcomes[1]).message


def test_a_photo_for_which_no_patience_is_left_is_not_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = shop.put("t/late.jpg", query(PRODUCTS[2]))
    monkeypatch.setattr(shop.pipeline, "_flow", replace(FLOW, patience=0, least_patience=0))
    with pytest.raises(Outage, match="not read in time"):  # asked for once more it comes, so it is not to blame
        shop.ask(reference)


def test_as_many_files_are_fetched_at_a_time_as_there_are_threads_for_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    data, together = query(PRODUCTS[2]), threading.Barrier(FLOW.ahead + FLOW.fetching, timeout=60)

    def fetch(reference: str) -> bytes:
        together.wait()
        return data

    monkeypatch.setattr(shop.pipeline._fetcher, "fetch", fetch)
    references = [f"s3://b/together/{number}.jpg" for number in range(FLOW.ahead + FLOW.fetching)]
    assert {outcome.status for outcome in shop.ask(*references)}.isdisjoint({Status.FAILED})


def test_a_foreign_host_that_is_slow_holds_up_no_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    data, allowed = query(PRODUCTS[2]), dict[str, float]()

    def fetch(reference: str) -> bytes:
        allowed[reference] = deadline.remaining()
        if "slow.example" in reference:
            raise ImageError(ErrorCode.FETCH_TIMEOUT, "not read in time")
        return data

    monkeypatch.setattr(shop.pipeline._fetcher, "fetch", fetch)
    slow = [f"https://slow.example/{number}.jpg" for number in range(20)]
    outcomes = shop.ask(*slow, "https://quick.example/a.jpg")
    assert [outcome.status is Status.FAILED for outcome in outcomes] == [True] * 20 + [False]
    assert allowed[slow[0]] > FLOW.least_patience >= allowed[slow[-1]]
    assert allowed["https://quick.example/a.jpg"] > FLOW.least_patience


def test_a_new_version_answers_the_next_batch_and_a_withdrawn_product_is_gone(shop: Shop) -> None:
    removed, *kept = PRODUCTS
    reference = shop.put("swap/q.jpg", query(removed))
    before = shop.ask(reference)[0]
    assert removed.id in {candidate.product.id for candidate in before.candidates}
    newer = shop.publish(kept)
    after = shop.ask(reference)[0]
    assert version(after) == newer.version != version(before)
    assert removed.id not in {candidate.product.id for candidate in after.candidates}
    shop.publish(PRODUCTS)
    assert shop.ask(reference)[0].candidates == before.candidates


def test_a_batch_is_answered_from_the_version_that_it_began_with(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    references = [shop.put(f"during/{item.id}.jpg", query(item, 31)) for item in PRODUCTS]
    fetch, published = shop.pipeline._fetcher.fetch, list[str]()
    begun = threading.Lock()

    def publishing(reference: str) -> bytes:
        with begun:
            if not published:
                published.append(shop.publish(PRODUCTS[1:]).version)
        return fetch(reference)

    monkeypatch.setattr(shop.pipeline._fetcher, "fetch", publishing)
    during, (after,) = shop.ask(*references), shop.ask(references[1])
    assert len({version(outcome) for outcome in during}) == 1
    assert {version(outcome) for outcome in during}.isdisjoint(published)
    assert [version(after)] == published
    shop.publish(PRODUCTS)


def test_photos_that_wait_for_their_catalog_are_not_in_work_meanwhile(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulse, get, seen = Pulse(tmp_path), shop.catalogs.get, list[tuple[int, int] | None]()

    def look() -> None:
        work = Pulses(tmp_path).work(os.getpid())
        assert work is not None
        seen.append(work.span)

    def looking(name: str, message: str) -> Snapshot:
        look()
        return get(name, message)

    monkeypatch.setattr(shop.catalogs, "get", looking)
    monkeypatch.setattr(shop.pipeline, "_aside", pulse.aside)
    pulse.begin(60.0)
    with pulse.working(0, 1, lambda _: 60.0):
        shop.ask(shop.put("aside/q.jpg", query(PRODUCTS[1])))
        look()
    pulse.close()
    assert seen == [None, (0, 1)]


def test_a_version_for_workers_of_another_recipe_changes_nothing_for_this_one(shop: Shop) -> None:
    reference = shop.put("refuse/q.jpg", query(PRODUCTS[1]))
    before = shop.ask(reference)[0]
    shop.publish(PRODUCTS, embedder="another-model-000000000000")
    after = shop.ask(reference)[0]
    assert version(after) == version(before)
    shop.publish(PRODUCTS)
    assert shop.ask(reference)[0].status is not Status.FAILED


def test_a_catalog_without_a_version_for_this_recipe_is_an_outage_that_says_what_differs(shop: Shop) -> None:
    shop.publish(PRODUCTS, catalog="foreign", embedder="another-model-000000000000")
    reference = shop.put("refuse/only.jpg", query(PRODUCTS[1]))
    with pytest.raises(Outage, match="embedder another-model-000000000000 instead of") as caught:
        shop.ask(reference, catalog="foreign")
    assert caught.value.dependency is Dependency.CATALOG
    assert not caught.value.finished


def test_photos_that_a_store_which_is_away_keeps_back_are_an_outage_and_what_came_before_is_finished(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [shop.put(f"away/{item.id}.jpg", query(item, 94)) for item in PRODUCTS[:2]]
    gone = shop.put("away/gone.jpg", query(PRODUCTS[2], 94))
    missing = f"s3://{shop.store.bucket}/incoming/never-stored.jpg"
    fetch = shop.pipeline._fetcher.fetch

    def failing(reference: str) -> bytes:
        if reference == gone:
            raise ImageError(ErrorCode.HOST_UNREACHABLE, "no route")
        return fetch(reference)

    monkeypatch.setattr(shop.pipeline._fetcher, "fetch", failing)
    monkeypatch.setattr(shop.store, "answers", lambda: False)
    with pytest.raises(Outage, match="no route") as caught:
        shop.ask(there[0], gone, missing, there[1])
    assert caught.value.dependency is Dependency.STORE
    assert set(caught.value.finished) == {*there, missing}, "an object that is not there is no outage"
    monkeypatch.setattr(shop.store, "answers", lambda: True)
    (one,) = shop.ask(gone)
    assert failure(one).code is ErrorCode.HOST_UNREACHABLE, "the store answers, so it is this photo's own trouble"
    fails = iter([True, False])

    def failing_once(reference: str) -> bytes:
        if next(fails):
            raise ImageError(ErrorCode.FETCH_TIMEOUT, "frozen")
        return fetch(reference)

    monkeypatch.setattr(shop.pipeline._fetcher, "fetch", failing_once)
    with pytest.raises(Outage, match="frozen"):
        shop.ask(gone)


def test_an_unknown_catalog_is_named(shop: Shop) -> None:
    outcomes = shop.ask("s3://any/a.jpg", "s3://any/b.jpg", catalog="not-there")
    assert [failure(outcome).code for outcome in outcomes] == [ErrorCode.CATALOG_MISSING] * 2
    assert "not-there" in failure(outcomes[0]).message


def test_two_catalogs_answer_beside_each_other(shop: Shop) -> None:
    shop.publish(PRODUCTS[:2], catalog="second")
    reference = shop.put("two/q.jpg", query(PRODUCTS[4]))
    ids = {candidate.product.id for candidate in shop.ask(reference, catalog="second")[0].candidates}
    assert ids <= {item.id for item in PRODUCTS[:2]}
    assert shop.ask(reference)[0].candidates[0].product.id == PRODUCTS[4].id


def test_networks_that_do_not_answer_are_an_outage(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.pipeline.require_networks()

    def lost() -> None:
        raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be …")

    monkeypatch.setattr(shop.pipeline._spotter, "warm_up", lost)
    with pytest.raises(Outage, match="RuntimeError: CUDA error: unspecified launch failure") as caught:
        shop.pipeline.require_networks()
    assert caught.value.dependency is Dependency.NETWORKS


def test_whoever_watches_is_told_which_photos_are_before_a_stage(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[tuple[str, ...]]()

    @contextmanager
    def watched(photos: Sequence[str]) -> Iterator[None]:
        said.append(tuple(photos))
        yield

    monkeypatch.setattr(shop.pipeline, "_watched", watched)
    references = [shop.put(f"watched/{item.id}.jpg", query(item, 31)) for item in PRODUCTS[:3]]
    shop.ask(*references)
    for reference in references:
        assert sum(reference in photos for photos in said) == 3, "decoded, in the networks, decided about"
