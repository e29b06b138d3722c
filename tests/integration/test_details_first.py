"""Flat packs in clutter are answered by their key points: no network is asked, and asking everything says the same."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from PIL import Image

from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.version import build_version
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.messages import RecognizeRequest
from packsight.shared.contract.outcomes import Outcome, Status
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.settings import Worker
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.vision.models import describe_key
from packsight.worker.networks.base import Embedder, Spotter
from packsight.worker.pipeline.feature_cache import FeatureCache
from packsight.worker.pipeline.pipeline import Pipeline
from tests.packs import Pixels, clutter, laid, lit, pack, tilted
from tests.shop import PRODUCTS, Shop, query
from tests.trust import UNCHECKED

PACKS = range(8)
LOOKS = 2
"""At a photo that is asked about: the whole of it, and its middle."""
UNLISTED = 50


def png(pixels: Pixels) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def in_clutter(line: int) -> bytes:
    return png(lit(laid(pack(line), clutter(line), tilted(line)), line).pixels)


@pytest.fixture(scope="module")
def packs(shop: Shop) -> Shop:
    """The shop with a second catalog: a picture of each pack."""
    pictures = {line: png(pack(line)) for line in PACKS}
    hashes = {line: hashlib.sha256(data).hexdigest() for line, data in pictures.items()}
    references = [shop.put(f"photos/{hashes[line]}", data) for line, data in pictures.items()]
    # Without words: whether a network takes a part of a pattern for a figure depends on the processor's precision.
    seen = {one.sha256: one.features for one in shop.pipeline.describe(references)}
    described = {sha256: replace(features, words=()) for sha256, features in seen.items() if features is not None}
    manifest = build_version(
        shop.folder / "packs", catalog="packs", parent=None,
        products=[ProductRow(id=f"p{line}", name=f"Pack {line}") for line in PACKS],
        photos=[PhotoRow(product_id=f"p{line}", sha256=hashes[line], source=f"{line}.png") for line in PACKS],
        features=described, recipe=recipe(shop.pipeline.embedder_name, shop.pipeline.spotter_name),
    )  # fmt: skip
    versions = CatalogStore(shop.store, "packs", UNCHECKED)
    versions.upload(shop.folder / "packs")
    versions.point(manifest.version, expected=versions.current())
    shop.replica.sync()
    return shop


@pytest.fixture
def asked(networks: tuple[Embedder, Spotter], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many images each network was given."""
    images: Counter[str] = Counter()

    def counted(name: str, ask: Callable[..., Any], pixels: Sequence[Any], *others: Any) -> Any:
        images[name] += len(pixels)
        return ask(pixels, *others)

    for network, name in zip(networks, ("embed", "spot"), strict=True):
        monkeypatch.setattr(network, name, partial(counted, name, getattr(network, name)))
    return images


@pytest.fixture(autouse=True)
def bold(packs: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs are matched from less: this is about the way, not about how sure a prior is."""
    snapshot = packs.catalogs.get("packs")
    sure = replace(snapshot, model=PRIOR.model_copy(update={"matched": 0.8, "sure": 0.8}))
    others = packs.catalogs.get
    monkeypatch.setattr(packs.catalogs, "get", lambda name, message="": sure if name == "packs" else others(name, message))


def test_a_flat_pack_in_clutter_is_decided_by_its_details_alone(packs: Shop, asked: Counter[str]) -> None:
    references = [packs.put(f"q/pack-{line}.png", in_clutter(line)) for line in PACKS]
    for line, outcome in zip(PACKS, packs.ask(*references, catalog="packs"), strict=True):
        assert outcome.status is Status.MATCHED
        assert outcome.product is not None and outcome.product.id == f"p{line}"
        evidence = outcome.candidates[0].evidence
        assert evidence.inliers is not None and evidence.inliers >= 20
        assert (evidence.visual_similarity, evidence.words, evidence.word_score) == (None, [], 0)
        assert (outcome.words, outcome.words_complete) == ([], False)
        assert set(outcome.timings) == {"fetch", "cache", "decode", "details", "match"}
    assert asked == Counter()


@pytest.fixture
def eager(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop's photos are matched from less, but never by details alone."""
    model = PRIOR.model_copy(update={"matched": 0.6, "told": 0.6, "enough": 0.6, "sure": 1.0})
    served = replace(shop.catalogs.get("default"), model=model)
    monkeypatch.setattr(shop.catalogs, "get", lambda *_: served)


@pytest.mark.usefixtures("eager")
def test_siblings_are_told_apart_by_the_lines_in_which_they_differ(shop: Shop, asked: Counter[str]) -> None:
    references = [shop.put(f"q/sibling-{item.id}.jpg", query(item, 1)) for item in PRODUCTS]
    told = 0
    for item, outcome in zip(PRODUCTS, shop.ask(*references), strict=True):
        if "spot" in outcome.timings:
            continue
        told += 1
        assert outcome.product is not None and outcome.product.id == item.id
        assert set(outcome.timings) == {"fetch", "cache", "decode", "details", "lines", "match"}
        assert 0 < len(outcome.words) <= 4 and not outcome.words_complete
        assert outcome.candidates[0].evidence.visual_similarity is None
    assert told >= len(PRODUCTS) // 3
    assert asked["embed"] == LOOKS * asked["spot"]
    assert asked["spot"] == len(PRODUCTS) - told


@pytest.mark.usefixtures("eager")
def test_a_known_photo_of_which_some_lines_were_enough_gets_the_same_answer(
    shop: Shop, remembering: Pipeline, asked: Counter[str]
) -> None:
    references = [shop.put(f"q/again-{item.id}.jpg", query(item, 1)) for item in PRODUCTS]
    request = RecognizeRequest(images=references, top_k=3)
    first, before = remembering.recognize(request), asked.copy()
    assert any("lines" in one.timings and "spot" not in one.timings for one in first)
    again = remembering.recognize(request)
    assert [told(one) for one in again] == [told(one) for one in first]
    assert asked == before


def test_asking_everything_asks_the_networks_and_says_the_same(packs: Shop, asked: Counter[str]) -> None:
    references = [packs.put(f"q/pack-{line}.png", in_clutter(line)) for line in PACKS]
    for line, outcome in zip(PACKS, packs.ask(*references, catalog="packs", read_all=True), strict=True):
        assert outcome.candidates[0].product.id == f"p{line}"
        assert outcome.candidates[0].evidence.visual_similarity is not None
        assert outcome.words_complete
        assert {"details", "embed", "spot", "match"} <= set(outcome.timings)
    assert asked == {"embed": LOOKS * len(PACKS), "spot": len(PACKS)}


def test_a_pack_that_is_not_listed_is_looked_at_by_the_networks_and_not_matched(packs: Shop, asked: Counter[str]) -> None:
    (outcome,) = packs.ask(packs.put("q/unlisted.png", in_clutter(UNLISTED)), catalog="packs")
    assert outcome.status is not Status.MATCHED
    assert asked == {"embed": LOOKS, "spot": 1}


@pytest.fixture
def remembering(packs: Shop, networks: tuple[Embedder, Spotter]) -> Iterator[Pipeline]:
    """Another child with the same catalogs that remembers photos."""
    settings = packs.settings.model_copy(update={"worker": Worker(remember=100)})
    embedder, spotter = networks
    key = describe_key(packs.pipeline.embedder_name, packs.pipeline.spotter_name)
    cache = FeatureCache(settings, key)
    yield Pipeline(Fetcher(settings, packs.store), embedder, spotter, packs.catalogs, cache, settings.decode, threads=2)


@pytest.mark.parametrize("line", [0, UNLISTED], ids=["decided by details", "open"])
def test_a_known_photo_gets_the_same_answer(line: int, packs: Shop, remembering: Pipeline, asked: Counter[str]) -> None:
    request = RecognizeRequest(images=[packs.put(f"q/known-{line}.png", in_clutter(line))], catalog="packs", top_k=3)
    (first,), (again,) = remembering.recognize(request), remembering.recognize(request)
    assert "details" in again.timings and not {"embed", "spot"} & set(again.timings)
    assert told(first) == told(again)
    assert asked == ({} if line == 0 else {"embed": LOOKS, "spot": 1})


def told(outcome: Outcome) -> dict[str, Any]:
    return outcome.model_dump(exclude={"timings", "provenance"})


def test_stopping_early_never_turns_a_match_of_everything_round(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    served = {name: replace(shop.catalogs.get(name), model=PRIOR) for name in ("default", "packs")}
    monkeypatch.setattr(shop.catalogs, "get", lambda name, message="": served[name])
    photos = [shop.put(f"q/{item.id}-{seed}.jpg", query(item, seed)) for item in PRODUCTS for seed in range(2)]
    flat = [shop.put(f"q/pack-{line}.png", in_clutter(line)) for line in PACKS[:4]]
    matched = 0
    for catalog, references in (("default", photos), ("packs", flat)):
        some = shop.ask(*references, catalog=catalog)
        whole = shop.ask(*references, catalog=catalog, read_all=True)
        for one, other in zip(some, whole, strict=True):
            assert {one.status, other.status} != {Status.MATCHED, Status.NO_MATCH}, one.image
            if one.product and other.product:
                assert one.product == other.product
                matched += 1
            for outcome in (one, other):
                assert outcome.status is not Status.NO_MATCH or outcome.confidence < 0.5
                assert sum(candidate.confidence for candidate in outcome.candidates) <= 1 + 1e-5
    assert matched >= 4, "else little was compared"
