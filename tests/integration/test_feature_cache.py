"""No photo goes through the networks twice, whatever its name, job or child; and nothing depends on the cache."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import pytest
import redis
from pydantic import SecretStr

from bench.barcode_print import Code, Kind
from packsight.deploy.stack.ports import free_ports
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import PARTS, RecognizeRequest
from packsight.shared.contract.outcomes import Outcome, Status, WordRead
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.settings import Decode, Settings, Worker
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import Features, FloatArray, make_features
from packsight.shared.vision.models import EmbedderDescription, SpotterDescription, describe_key
from packsight.worker.catalogs.snapshots import Catalogs
from packsight.worker.networks.base import Embedder, Enough, Image, Spotter
from packsight.worker.pipeline.feature_cache import FeatureCache
from packsight.worker.pipeline.middle import middle
from packsight.worker.pipeline.parameters import FLOW, FlowParameters
from packsight.worker.pipeline.pipeline import Pipeline
from tests.labels import labelled
from tests.shop import PRODUCTS, Shop, failure, query

T = TypeVar("T", Embedder, Spotter)

BOX = [(1.0, 2.0), (3.0, 2.0), (3.0, 4.0), (1.0, 4.0)]


def photo(number: int) -> Features:
    words = [WordRead(text=f"line {number}", confidence=0.5, box=BOX)]
    return make_features(f"{number:064x}", (640, 480), np.arange(8, dtype=np.float32), words)


def cache(settings: Settings, photos: int, models: str = "embedder-1+spotter-1", **changes: Any) -> FeatureCache:
    return FeatureCache(settings.model_copy(update={"worker": Worker(remember=photos), **changes}), models)


@pytest.fixture
def database(live_settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(live_settings.result_url.get_secret_value()) as client:
        yield client


def held(database: redis.Redis) -> dict[bytes | str, int]:
    return {key: database.hlen(key) for key in database.keys("packsight:seen:*")}


def test_what_was_read_for_one_catalog_version_is_known_under_that_version_only(live_settings: Settings) -> None:
    part = replace(photo(1), complete=False)
    here = cache(live_settings, 10)
    here.put([part, photo(2)], "shop/7")
    found = here.get(part.sha256, "shop/7")
    assert found is not None
    assert not found.complete
    assert here.get(part.sha256, "shop/8") is None
    assert here.get(part.sha256) is None
    assert here.get(photo(2).sha256, "shop/8") is not None
    here.put([photo(1)], "shop/7")
    whole = here.get(part.sha256, "shop/7")
    assert whole is not None
    assert whole.complete, "a complete reading serves every version"


def test_another_child_finds_what_one_has_seen(live_settings: Settings) -> None:
    cache(live_settings, 10).put([photo(1), photo(2)])
    found = cache(live_settings, 10).get(photo(2).sha256)
    assert found is not None
    assert (found.sha256, found.words) == (photo(2).sha256, photo(2).words)
    assert cache(live_settings, 10).get(photo(3).sha256) is None


def test_other_models_and_other_limits_know_nothing_of_it(live_settings: Settings) -> None:
    cache(live_settings, 10).put([photo(1)])
    assert cache(live_settings, 10, "embedder-2+spotter-1").get(photo(1).sha256) is None
    assert cache(live_settings, 10, decode=Decode(min_side=100)).get(photo(1).sha256) is None


def test_the_bound_holds_at_every_moment_in_two_keys_that_expire(live_settings: Settings, database: redis.Redis) -> None:
    small = cache(live_settings, 10)
    for number in range(35):
        small.put([photo(number)])
        assert sum(held(database).values()) <= 10
    small.put([photo(number) for number in range(100, 133)])
    assert sum(held(database).values()) <= 10
    assert len(held(database)) == 2
    assert all(database.ttl(key) > 3600 for key in held(database))


def test_the_last_half_of_the_bound_is_remembered_and_older_ones_as_long_as_they_are_asked_for(
    live_settings: Settings,
) -> None:
    small = cache(live_settings, 10)
    for number in range(40):
        small.put([photo(number)])
        assert small.get(photo(0).sha256) is not None, number
    assert [small.get(photo(number).sha256) is not None for number in (20, 36, 37, 38, 39)] == [False, *[True] * 4]


def test_photos_that_are_only_looked_for_take_no_room(live_settings: Settings, database: redis.Redis) -> None:
    small = cache(live_settings, 10)
    small.put([photo(number) for number in range(7)])
    for _ in range(20):
        assert all(small.get(photo(number).sha256) is not None for number in (5, 6))
    assert sum(held(database).values()) == 7


@pytest.mark.parametrize("photos", [0, 1])
def test_a_cache_for_no_photos_asks_nobody(live_settings: Settings, database: redis.Redis, photos: int) -> None:
    off = cache(live_settings, photos)
    off.put([photo(1)])
    assert off.get(photo(1).sha256) is None
    assert database.dbsize() == 0


def test_a_value_that_cannot_be_read_is_no_value_until_it_is_written_again(
    live_settings: Settings, database: redis.Redis
) -> None:
    here = cache(live_settings, 10)
    here.put([photo(1)])
    database.hset(next(iter(held(database))), bytes.fromhex(photo(1).sha256), b"of another version")
    assert here.get(photo(1).sha256) is None
    here.put([photo(1)])
    assert here.get(photo(1).sha256) is not None


def test_a_database_that_does_not_answer_is_asked_once_and_then_left_alone(
    live_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        url = SecretStr(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        lost = cache(live_settings, 10, result_url=url)
        assert [lost.get(photo(number).sha256) for number in range(50)] == [None] * 50
        lost.put([photo(1)])
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert len([record for record in caplog.records if "seen before" in record.message]) == 1


def test_a_full_database_is_no_error(live_settings: Settings, database: redis.Redis) -> None:
    here = cache(live_settings, 10)
    database.config_set("maxmemory", 1)
    try:
        here.put([photo(1)])
    finally:
        database.config_set("maxmemory", 0)
    assert cache(live_settings, 10).get(photo(1).sha256) is None


# What it does for a child.


@dataclass
class Watched(Generic[T]):
    """A network that counts the images that it is given."""

    network: T
    images: int = 0

    def warm_up(self) -> None:
        self.network.warm_up()


class WatchedEmbedder(Watched[Embedder]):
    @property
    def description(self) -> EmbedderDescription:
        return self.network.description

    def embed(self, images: Sequence[Image]) -> FloatArray:
        self.images += len(images)
        return self.network.embed(images)


@dataclass
class WatchedSpotter(Watched[Spotter]):
    may_stop: set[bool] = field(default_factory=set)
    """Whether it was told whom to ask between lines."""

    @property
    def description(self) -> SpotterDescription:
        return self.network.description

    def spot(self, images: Sequence[Image], enough: Enough | None = None) -> list[list[WordRead]]:
        self.images += len(images)
        self.may_stop.add(enough is not None)
        return self.network.spot(images, enough)

    def read_at(self, images: Sequence[Image], corners: Sequence[FloatArray]) -> list[list[WordRead]]:
        return self.network.read_at(images, corners)


class WatchedFetcher(Fetcher):
    def __init__(self, settings: Settings, store: ObjectStore) -> None:
        super().__init__(settings, store)
        self.fetched: Counter[str] = Counter()

    def fetch(self, reference: str, *, retries: int | None = None, unpack: bool = True) -> bytes:
        self.fetched[reference] += 1
        return super().fetch(reference, retries=retries)


class Wary(Catalogs):
    """Versions for which neither details nor a few lines are ever enough, so that every new photo goes through the networks."""

    def get(self, name: str, message: str = "") -> Snapshot:
        snapshot = super().get(name, message)
        return replace(snapshot, model=snapshot.model.model_copy(update={"sure": 1.0, "told": 1.0, "enough": 1.0}))


@dataclass
class Watching:
    """A child whose networks and fetches are counted."""

    pipeline: Pipeline
    embedder: WatchedEmbedder
    spotter: WatchedSpotter
    fetched: Counter[str]

    def ask(self, *references: str, catalog: str = "default", **options: Any) -> list[Outcome]:
        request = RecognizeRequest(images=list(references), catalog=catalog, top_k=3, **options)
        return self.pipeline.recognize(request)

    @property
    def looked_at(self) -> int:
        assert self.spotter.images <= self.embedder.images <= 2 * self.spotter.images, "once more of those that are asked about"
        return self.spotter.images


@contextmanager
def watching(
    shop: Shop, networks: tuple[Embedder, Spotter], remember: int = 100, url: str = "", flow: FlowParameters = FLOW
) -> Iterator[Watching]:
    settings = shop.settings.model_copy(update={"worker": Worker(remember=remember)})
    if url:
        settings = settings.model_copy(update={"result_url": SecretStr(url)})
    embedder, spotter = WatchedEmbedder(networks[0]), WatchedSpotter(networks[1])
    own = recipe(embedder.description.fingerprint(), spotter.description.fingerprint())
    fetcher = WatchedFetcher(settings, shop.store)
    catalogs = Wary(settings.home, shop.store, own)
    kept = FeatureCache(settings, describe_key(own.embedder, own.spotter))
    pipeline = Pipeline(fetcher, embedder, spotter, catalogs, kept, settings.decode, threads=4, flow=flow)
    yield Watching(pipeline, embedder, spotter, fetcher.fetched)
    fetcher.close()


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> None:
    if "shop" in request.fixturenames:
        with redis.Redis.from_url(request.getfixturevalue("shop").settings.result_url.get_secret_value()) as client:
            client.flushdb()


def answer(outcome: Outcome) -> dict[str, Any]:
    return outcome.model_dump(exclude={"timings", "image"})


def looked_closer(outcomes: list[Outcome]) -> bool:
    return any(one.evidence.inliers is not None for outcome in outcomes for one in outcome.candidates)


def test_photos_of_an_earlier_job_are_answered_alike_without_the_networks(
    shop: Shop, networks: tuple[Embedder, Spotter]
) -> None:
    photos = [query(item) for item in PRODUCTS[:3]]
    first = [shop.put(f"cache/one/{number}.jpg", data) for number, data in enumerate(photos)]
    later = [shop.put(f"cache/two/{number}.jpg", data) for number, data in enumerate(photos)]
    with watching(shop, networks, remember=0) as without:
        plain = without.ask(*first)
    with watching(shop, networks) as one:
        new = one.ask(*first)
        assert one.looked_at == len(photos)
    with watching(shop, networks) as other:
        known = other.ask(*later)
        assert other.looked_at == 0
    assert [outcome.image for outcome in known] == later
    assert list(map(answer, plain)) == list(map(answer, new)) == list(map(answer, known))
    assert looked_closer(known), "the matcher must have wanted local features of some photo"
    assert all({"fetch", "cache", "match"} <= set(outcome.timings) <= {"fetch", "cache", "match", "details"} for outcome in known)
    assert all(set(outcome.timings) > {"decode", "embed", "spot"} for outcome in new)


def test_a_photo_that_another_catalog_or_option_has_seen_is_answered_as_a_new_one(
    shop: Shop, networks: tuple[Embedder, Spotter]
) -> None:
    shop.publish(PRODUCTS[2:], catalog="elsewhere")
    references = [shop.put(f"cache/elsewhere/{item.id}.jpg", query(item, 93)) for item in PRODUCTS[1:4]]

    def cut(child: Watching) -> list[tuple[WordRead, ...]]:
        snapshot = child.pipeline._catalogs.get("default")
        return [photo.features.cut for photo in child.pipeline.extract(references, snapshot) if photo.features]

    with watching(shop, networks, remember=0) as without:
        new, told = without.ask(*references), cut(without)
    assert any(told), "lines of some photos tell in this catalog"
    others: list[dict[str, Any]] = [{"catalog": "elsewhere"}, {"max_products": 2}, {"catalog": "elsewhere", "read_all": True}]
    for other in others:
        with watching(shop, networks) as child:
            child.ask(*references, **other)
            assert child.looked_at == len(references)
            known = child.ask(*references)
            assert list(map(answer, known)) == list(map(answer, new))
            assert cut(child) == told
            assert any("lines" in outcome.timings for outcome in known)
            assert not any({"lines", "decode"} & set(outcome.timings) for outcome in child.ask(*references)), "they are kept"
            assert child.looked_at == len(references), "the networks see whole photos once"
        with redis.Redis.from_url(shop.settings.result_url.get_secret_value()) as client:
            client.flushdb()


def test_equal_photos_of_a_batch_are_looked_at_once_and_each_is_answered(
    shop: Shop, networks: tuple[Embedder, Spotter]
) -> None:
    photo, other = query(PRODUCTS[0]), query(PRODUCTS[1])
    names = [shop.put(f"cache/equal/{number}.jpg", photo) for number in range(20)]
    different = shop.put("cache/equal/other.jpg", other)
    broken = [shop.put(f"cache/equal/broken{number}.jpg", photo[: len(photo) // 2]) for number in range(2)]
    asked = [names[0], *names, different, *broken, names[0], different, broken[0]]
    for remember in (100, 0):  # nothing but the batch itself is needed for it
        with watching(shop, networks, remember) as child:
            outcomes = child.ask(*asked)
            assert child.looked_at == 2
            assert child.fetched == Counter(set(asked))
        assert [outcome.image for outcome in outcomes] == asked
        alike = {reference: next(answer(one) for one in outcomes if one.image == reference) for reference in asked}
        assert all(alike[reference] == alike[names[0]] for reference in names)
        assert [answer(one) for one in outcomes] == [alike[reference] for reference in asked]
        assert {failure(one).code for one in outcomes if one.image in broken} == {ErrorCode.IMAGE_TRUNCATED}
        with redis.Redis.from_url(shop.settings.result_url.get_secret_value()) as client:
            client.flushdb()


def test_a_known_photo_is_looked_at_for_barcodes_once_and_only_where_a_catalog_has_some(
    shop: Shop, networks: tuple[Embedder, Spotter]
) -> None:
    code = Code(Kind.UPC_A, "036000291452")
    shop.publish(PRODUCTS, catalog="coded", barcodes={PRODUCTS[0].id: code.digits})
    known = shop.put("cache/coded/known.jpg", labelled(query(PRODUCTS[1]), code))
    new = shop.put("cache/coded/new.jpg", labelled(query(PRODUCTS[2]), code))
    bare = shop.put("cache/coded/bare.jpg", query(PRODUCTS[3]))
    with watching(shop, networks) as child:
        plain = child.ask(known, bare, read_all=True)
        assert not any("barcode" in outcome.timings for outcome in plain)
        first = child.ask(known, bare, new, new, catalog="coded")
        assert child.looked_at == 2, "known photos are only decoded, a new one is decided before the networks"
    with watching(shop, networks) as other:
        again = other.ask(known, bare, new, new, catalog="coded")
        assert other.looked_at == 0
        assert list(map(answer, other.ask(known, bare))) == list(map(answer, plain))
        assert other.looked_at == 0
        assert other.ask(new)[0].candidates[0].product.id == PRODUCTS[2].id
        assert other.looked_at == 1, "what one version's barcode decided is not known to another catalog"
    assert all({"decode", "barcode"} <= set(outcome.timings) for outcome in first[:3])
    assert not any({"decode", "barcode"} & set(outcome.timings) for outcome in (*again[:1], *again[2:]))
    assert "barcode" not in again[1].timings
    assert list(map(answer, first)) == list(map(answer, again))
    assert [first[place].candidates[0].product.id for place in (0, 2, 3)] == [PRODUCTS[0].id] * 3


def test_nothing_is_remembered_of_photos_that_are_broken_or_when_it_is_switched_off(
    shop: Shop, networks: tuple[Embedder, Spotter]
) -> None:
    whole = query(PRODUCTS[2])
    good, broken = shop.put("cache/off/good.jpg", whole), shop.put("cache/off/broken.jpg", whole[: len(whole) // 2])
    with watching(shop, networks, remember=0) as child:
        child.ask(good)
        child.ask(good)
        assert child.looked_at == 2
    with watching(shop, networks) as child:
        codes = [failure(child.ask(broken)[0]).code for _ in range(2)]
        assert codes == [ErrorCode.IMAGE_TRUNCATED] * 2
    with redis.Redis.from_url(shop.settings.result_url.get_secret_value()) as client:
        assert client.keys("packsight:seen:*") == []


def test_without_the_database_photos_are_answered_as_ever(shop: Shop, networks: tuple[Embedder, Spotter]) -> None:
    reference = shop.put("cache/outage.jpg", query(PRODUCTS[3]))
    with watching(shop, networks, url=f"redis://127.0.0.1:{free_ports(1)[0]}/0") as child:
        outcomes = [child.ask(reference)[0] for _ in range(2)]
        assert child.looked_at == 2
    assert outcomes[0].status is not Status.FAILED
    with watching(shop, networks, remember=0) as plain:
        assert answer(outcomes[0]) == answer(outcomes[1]) == answer(plain.ask(reference)[0])


def described(child: Watching, references: list[str]) -> list[Features]:
    found = [one.features for one in child.pipeline.describe(references)]
    assert None not in found
    return [features for features in found if features]


def test_a_catalog_photo_seen_before_is_described_alike_and_catalog_photos_take_no_room(
    shop: Shop, networks: tuple[Embedder, Spotter]
) -> None:
    references = [f"s3://{shop.store.bucket}/photos/{row.sha256}" for row in shop.photos[:3]]
    with watching(shop, networks) as child:
        new = described(child, references)
        child.ask(references[0])
        assert child.looked_at == 4
        known = described(child, references)
        assert child.looked_at == 6
    for one, other in zip(new, known, strict=True):
        assert np.array_equal(one.embedding, other.embedding)
        assert one.words == other.words
        assert np.array_equal(one.local.points, other.local.points)
        assert np.array_equal(one.local.descriptors, other.local.descriptors)
        assert one.thumbnail == other.thumbnail


def test_what_is_in_the_middle_of_a_photo_is_looked_at_when_it_is_asked_about(
    shop: Shop, networks: tuple[Embedder, Spotter]
) -> None:
    reference = f"s3://{shop.store.bucket}/photos/{shop.photos[0].sha256}"
    with watching(shop, networks, remember=0) as child:
        (catalog_photo,) = described(child, [reference])
        assert child.embedder.images == 1
        (asked,) = child.pipeline.extract([reference])
        assert child.embedder.images == 3
        [alone] = networks[0].embed([middle(asked.photo().pixels)])
    assert asked.features is not None
    assert np.array_equal(asked.features.middle, alone.astype(np.float16).astype(np.float32))
    assert np.array_equal(asked.features.looks[0], catalog_photo.embedding)
    assert catalog_photo.looks.shape == (1, len(alone))


def test_only_the_wanted_parts_of_a_photo_are_extracted(shop: Shop, networks: tuple[Embedder, Spotter]) -> None:
    reference = f"s3://{shop.store.bucket}/photos/{shop.photos[0].sha256}"
    with watching(shop, networks) as child:
        (whole,) = child.pipeline.describe([reference])
        counts = [(child.embedder.images, child.spotter.images)]
        parts: list[Features] = []
        for part in PARTS:
            (photo,) = child.pipeline.describe([reference], [part])
            assert photo.features is not None
            parts.append(photo.features)
            counts.append((child.embedder.images, child.spotter.images))
    assert counts == [(1, 1), (2, 1), (2, 2), (2, 2)]
    embedding, words, details = parts
    assert whole.features is not None
    assert np.array_equal(embedding.embedding, whole.features.embedding)
    assert (embedding.words, len(embedding.local.points), embedding.thumbnail) == ((), 0, b"")
    assert words.words == whole.features.words
    assert (len(words.embedding), len(words.local.points)) == (0, 0)
    assert np.array_equal(details.local.descriptors, whole.features.local.descriptors)
    assert details.thumbnail == whole.features.thumbnail
    assert (len(details.embedding), details.words) == (0, ())


def test_where_everything_is_read_nobody_is_asked_between_the_lines(
    shop: Shop, networks: tuple[Embedder, Spotter]
) -> None:
    references = [shop.put(f"q/all-{item.id}.jpg", query(item, 91)) for item in PRODUCTS[:2]]
    with watching(shop, networks, remember=0) as child:
        child.ask(references[0])
        assert child.spotter.may_stop == {True}
        child.spotter.may_stop.clear()
        child.pipeline.recognize(RecognizeRequest(images=references, catalog="default", read_all=True))
        list(child.pipeline.describe(references))
        assert child.spotter.may_stop == {False}


def test_how_many_photos_flow_at_a_time_changes_no_answer(shop: Shop, networks: tuple[Embedder, Spotter]) -> None:
    references = [shop.put(f"q/flow-{item.id}.jpg", query(item, 92)) for item in PRODUCTS]
    given = []
    for flow in (FLOW, FlowParameters(group=1, ahead=1), FlowParameters(group=len(references), ahead=9)):
        with watching(shop, networks, remember=0, flow=flow) as child:
            given.append([answer(outcome) for outcome in child.ask(*references)])
    assert given[0] == given[1] == given[2]
