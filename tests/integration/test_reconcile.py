"""The reconciler and the manifests it reads, against a real broker and a real object store."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from packsight.indexer import reconcile as reconciling
from packsight.indexer.reconcile import reconcile
from packsight.producer.again import ask_again
from packsight.producer.publish import Publisher
from packsight.shared.contract.errors import ErrorCode, StorageError
from packsight.shared.contract.messages import BULK_QUEUE, RECOGNIZE, Priority
from packsight.shared.contract.outcomes import Failure, Outcome, RecognizeResult, Status
from packsight.shared.queue import keys
from packsight.shared.queue.app import App, make_app
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.results import Results
from packsight.shared.settings import Settings
from packsight.shared.storage import jobs
from packsight.shared.storage.jobs import Job, JobImage, JobManifest, JobStore, Unopened
from packsight.shared.storage.objects import ObjectStore

IMAGES = [JobImage(reference=f"s3://b/{index}.jpg", name=f"{index}.jpg", sha256="0" * 64) for index in range(6)]
MANIFEST = JobManifest(job="spring", batch_size=2, images=len(IMAGES), top_k=3)


@pytest.fixture
def app(live_settings: Settings) -> App:
    return make_app("test", live_settings)


@pytest.fixture
def ledger(live_settings: Settings) -> Iterator[Ledger]:
    made = Ledger(live_settings)
    yield made
    made.close()


@pytest.fixture
def broker(live_settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(live_settings.broker_url.get_secret_value(), decode_responses=True) as client:
        yield client


@pytest.fixture
def job(app: App, ledger: Ledger, store: ObjectStore) -> list[str]:
    """A job all of whose batches were enqueued; returns the ids of its tasks."""
    JobStore(store).create(MANIFEST, IMAGES)
    ledger.jobs.register("spring", MANIFEST.batches)
    for batch in Job.of(MANIFEST, IMAGES).batches:
        app.send_task(RECOGNIZE, args=[batch.request(MANIFEST).model_dump(mode="json")], task_id=batch.task_id)
    ledger.jobs.advance("spring", MANIFEST.batches)
    return jobs.task_ids(MANIFEST)


def taken(broker: redis.Redis) -> str:
    """Take the oldest batch out of the broker, as a broker that loses it would."""
    message = broker.rpop(BULK_QUEUE)
    assert isinstance(message, str)
    return message


def test_a_job_reads_back_as_it_was_created(store: ObjectStore) -> None:
    manifests = JobStore(store)
    manifests.create(MANIFEST, IMAGES)
    assert manifests.load("spring") == Job.of(MANIFEST, IMAGES)
    assert manifests.manifest("spring") == MANIFEST
    assert manifests.images("spring") == IMAGES
    assert manifests.names() == ["spring"]


def test_own_columns_and_what_a_job_is_called_read_back_and_earlier_releases_read_the_rest(store: ObjectStore) -> None:
    about: dict[str, Any] = {"name": "spring shelf", "source": "photos/ (2 photos)", "priority": Priority.LOW}
    manifest = JobManifest(job="spring", images=2, unopened=1, columns=("sku", "Filiale"), **about)
    first = JobImage(reference="s3://b/1", name="1", extra={"sku": "a", "Filiale": "Köln"})
    images = [first, JobImage(reference="s3://b/2", name="2")]
    gone = [Unopened(name="3", failure=Failure.of_code(ErrorCode.OBJECT_MISSING, "gone"), extra={"sku": "c"})]
    manifests = JobStore(store)
    manifests.create(manifest, images, gone)
    assert manifests.load("spring") == Job.of(manifest, images, gone)
    written = json.loads(store.read("jobs/spring/manifest.json").data)
    options = {"catalog", "top_k", "read_all", "max_products"}
    assert written.keys() == {*options, "version", "job", "batch_size", "created_at", "images"}
    lines = gzip.decompress(store.read("jobs/spring/images.jsonl.gz").data).splitlines()
    assert [json.loads(line).keys() for line in lines] == [{"reference", "name"}] * 2
    store.remove("jobs/spring/about.json")
    assert manifests.load("spring").manifest == JobManifest(job="spring", images=2, created_at=manifest.created_at)
    manifests.remove("spring")
    assert list(store.list("jobs/")) == []


def test_a_job_whose_images_were_not_written_does_not_exist(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="5 images"):
        JobStore(store).create(MANIFEST, IMAGES[:5])
    assert JobStore(store).names() == []
    with pytest.raises(StorageError) as caught:
        JobStore(store).load("spring")
    assert caught.value.code is ErrorCode.OBJECT_MISSING


def test_waiting_and_running_batches_are_left_alone(
    job: list[str], live_settings: Settings, app: App, store: ObjectStore, broker: redis.Redis
) -> None:
    with app.connection_for_read() as connection:
        channel = connection.channel()
        assert channel.basic_get(BULK_QUEUE) is not None
        assert broker.hlen("unacked") == 1
        assert [reconcile(live_settings, app, store) for _ in range(3)] == [0, 0, 0]


def test_a_batch_that_vanished_is_enqueued_again_at_the_second_look(
    job: list[str], live_settings: Settings, app: App, store: ObjectStore, ledger: Ledger, broker: redis.Redis
) -> None:
    app.backend.store_result(job[0], {}, "SUCCESS")
    broker.rpop(BULK_QUEUE)  # of the finished one
    assert job[1] in taken(broker)
    assert reconcile(live_settings, app, store) == 0
    assert reconcile(live_settings, app, store) == 1
    assert broker.llen(BULK_QUEUE) == 2
    assert job[1] in str(broker.lindex(BULK_QUEUE, 0))
    state = ledger.jobs.state("spring")
    assert state is not None
    assert state.finished == 1
    assert [reconcile(live_settings, app, store) for _ in range(2)] == [0, 0]


def test_a_batch_that_reappears_between_two_looks_is_left_alone(
    job: list[str], live_settings: Settings, app: App, store: ObjectStore, broker: redis.Redis
) -> None:
    message = taken(broker)
    assert reconcile(live_settings, app, store) == 0
    broker.rpush(BULK_QUEUE, message)
    assert reconcile(live_settings, app, store) == 0
    broker.rpop(BULK_QUEUE)
    assert reconcile(live_settings, app, store) == 0


def test_batches_above_the_cursor_are_the_producers(
    live_settings: Settings, app: App, store: ObjectStore, ledger: Ledger
) -> None:
    JobStore(store).create(MANIFEST, IMAGES)
    ledger.jobs.register("spring", MANIFEST.batches)
    assert [reconcile(live_settings, app, store) for _ in range(3)] == [0, 0, 0]
    assert ledger.jobs.active() == ["spring"]


def test_a_job_is_whole_again_after_the_broker_lost_everything(
    job: list[str], live_settings: Settings, app: App, store: ObjectStore, broker: redis.Redis
) -> None:
    broker.flushdb()
    assert [reconcile(live_settings, app, store) for _ in range(2)] == [0, 3]
    assert broker.llen(BULK_QUEUE) == 3


def test_a_finished_job_leaves_the_active_set(
    job: list[str], live_settings: Settings, app: App, store: ObjectStore, ledger: Ledger
) -> None:
    for task in job:
        app.backend.store_result(task, {}, "SUCCESS")
    assert reconcile(live_settings, app, store) == 0
    assert ledger.jobs.active() == []


@pytest.mark.parametrize("moment", ["before the look at results", "after it"])
def test_photos_that_are_asked_again_while_their_job_is_looked_at_stay_looked_after(
    job: list[str], live_settings: Settings, app: App, store: ObjectStore, ledger: Ledger, broker: redis.Redis,
    monkeypatch: pytest.MonkeyPatch, moment: str,
) -> None:  # fmt: skip
    broker.flushdb()
    failed = Outcome.failed("s3://b/0.jpg", Failure.of_code(ErrorCode.FETCH_TIMEOUT, "too slow"))
    for task in job:
        app.backend.mark_as_done(task, RecognizeResult(outcomes=[failed, failed]).model_dump(mode="json"))
    ended, asked = Results.ended, list[Any]()

    def and_ask_again(results: Results, task_ids: Sequence[str]) -> set[str]:
        found = ended(results, task_ids) if moment == "after it" else None
        if not asked:
            asked.extend(ask_again(app, ledger, Job.of(MANIFEST, IMAGES), ()))
        return ended(results, task_ids) if found is None else found

    monkeypatch.setattr(Results, "ended", and_ask_again)
    reconcile(live_settings, app, store)
    assert len(asked) == len(job)
    assert ledger.jobs.active() == ["spring"]
    broker.flushdb()
    assert [reconcile(live_settings, app, store) for _ in range(2)] == [0, 3]


def test_the_outcomes_that_stand_are_kept_in_the_same_step_in_which_a_result_goes(
    job: list[str], app: App, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Outcome(image="s3://b/0.jpg", status=Status.NO_MATCH)
    failed = Outcome.failed("s3://b/1.jpg", Failure.of_code(ErrorCode.FETCH_TIMEOUT, "too slow"))
    app.backend.mark_as_done(job[0], RecognizeResult(outcomes=[good, failed]).model_dump(mode="json"))
    executed: list[tuple[bool, dict[int, str]]] = []
    execute = redis.client.Pipeline.execute

    def execute_and_look(pipe: redis.client.Pipeline, raise_on_error: bool = True) -> Any:
        found = execute(pipe, raise_on_error)
        executed.append((bool(ledger.client.exists(keys.task_result(job[0]))), ledger.deliveries.kept(job[0])))
        return found

    monkeypatch.setattr(redis.client.Pipeline, "execute", execute_and_look)
    list(ask_again(app, ledger, Job.of(MANIFEST, IMAGES), ()))
    assert {there or 0 in kept for there, kept in executed} == {True}, "whoever dies in between takes no outcome along"


def test_a_resumed_job_leaves_the_active_set_whose_last_batch_ended_though_its_producer_died_before_it_said_so(
    live_settings: Settings, app: App, store: ObjectStore, ledger: Ledger
) -> None:
    JobStore(store).create(MANIFEST, IMAGES)
    ledger.jobs.register("spring", MANIFEST.batches)
    ledger.jobs.advance("spring", MANIFEST.batches - 1)
    for task in jobs.task_ids(MANIFEST):
        app.backend.store_result(task, {}, "SUCCESS")
    assert not Publisher(app, ledger, Job.of(MANIFEST, IMAGES), resumed=True).unsent
    reconcile(live_settings, app, store)
    assert ledger.jobs.active() == []


def test_a_job_whose_manifest_was_deleted_is_forgotten(
    job: list[str], live_settings: Settings, app: App, store: ObjectStore, ledger: Ledger, broker: redis.Redis
) -> None:
    broker.flushdb()
    store.remove("jobs/spring/manifest.json")
    assert [reconcile(live_settings, app, store) for _ in range(2)] == [0, 0]
    assert ledger.jobs.active() == []


def test_a_second_reconciler_does_nothing_while_one_works(
    job: list[str], live_settings: Settings, app: App, store: ObjectStore, ledger: Ledger, broker: redis.Redis
) -> None:
    broker.flushdb()
    assert reconcile(live_settings, app, store) == 0
    with ledger.client.lock(keys.RECONCILER_LOCK, timeout=60):
        assert reconcile(live_settings, app, store) == 0
        assert ledger.jobs.active() == ["spring"]
    assert reconcile(live_settings, app, store) == 3


def test_a_reconciler_that_is_killed_holds_up_the_next_for_two_rounds_at_most(
    job: list[str], live_settings: Settings, app: App, store: ObjectStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []

    def look(*_: object) -> int:
        left.append(ledger.client.ttl(keys.RECONCILER_LOCK))
        return 0

    monkeypatch.setattr(reconciling, "_reconcile_job", look)
    reconcile(live_settings, app, store)
    assert 0 < left[0] <= 2 * live_settings.queue.reconcile_seconds
