"""Jobs through a real broker and object store. The worker is real Celery; its task is a stand-in that needs no networks."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from packsight.deploy.stack.ports import free_ports
from packsight.indexer.reconcile import reconcile
from packsight.producer.client import Client
from packsight.producer.sources import Item
from packsight.shared.contract.errors import ErrorCode, StorageAway, StorageError, UserError
from packsight.shared.contract.messages import BULK_QUEUE, INTERACTIVE_QUEUE, RECOGNIZE, RecognizeRequest
from packsight.shared.contract.outcomes import Failure, Outcome, RecognizeResult, Status
from packsight.shared.queue import keys
from packsight.shared.queue.app import make_app
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.pulse import Pulse
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.queue.delivery import Batch as DeliveredBatch
from packsight.worker.queue.delivery import BatchKind
from tests.recognizer import StandIn, running


@pytest.fixture
def stand_in(live_settings: Settings) -> Iterator[StandIn]:
    with running(live_settings) as made:
        yield made


@pytest.fixture
def client(live_settings: Settings) -> Iterator[Client]:
    with Client(live_settings) as made:
        yield made


def urls(count: int) -> list[Item]:
    return [Item(f"photo {number}", f"https://example.com/{number}.jpg") for number in range(count)]


def test_every_image_of_a_job_gets_one_row_under_its_name(client: Client, stand_in: StandIn) -> None:
    job = client.submit(urls(50), batch_size=8)
    rows = sorted(client.run(job), key=lambda row: row.index)
    assert [row.name for row in rows] == [f"photo {number}" for number in range(50)]
    assert {row.outcome.image for row in rows} == {f"https://example.com/{number}.jpg" for number in range(50)}


def in_broker(client: Client) -> int:
    with client.app.connection_for_read() as connection:
        channel = connection.default_channel
        return int(channel.client.llen(BULK_QUEUE) + channel.client.hlen(channel.unacked_key))


class StalledError(Exception):
    """Raised by a test where the command would show that it waits."""


def stop(_seconds: float) -> None:
    raise StalledError


@pytest.mark.parametrize("method", ["run", "enqueue"])
def test_no_more_than_the_bound_is_ahead_of_the_workers(client: Client, stand_in: StandIn, method: str) -> None:
    stand_in.gate.clear()
    job = client.submit(urls(40), batch_size=2)
    with pytest.raises(StalledError):
        list(getattr(client, method)(job, max_in_flight=4, idle=stop))
    assert in_broker(client) == 4
    stand_in.gate.set()
    assert len(list(client.run(job, max_in_flight=4, resumed=True))) == 40
    assert set(stand_in.seen.values()) == {1}


@pytest.mark.parametrize("method", ["run", "enqueue"])
def test_a_job_that_is_being_queued_goes_on_though_broker_and_results_lost_all_that_they_had(
    client: Client, stand_in: StandIn, databases: tuple[redis.Redis, redis.Redis], method: str
) -> None:
    stand_in.gate.clear()
    job = client.submit(urls(12), batch_size=2)
    looks: list[float] = []

    def lose(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            for database in databases:
                database.flushdb()
            stand_in.gate.set()
        if seconds > 20:
            raise StalledError

    rows = list(getattr(client, method)(job, max_in_flight=2, idle=lose))
    if method == "enqueue":
        rows = list(client.outcomes(job, wait=True, idle=lose))
    assert sorted(row.index for row in rows) == list(range(12))


def test_an_interrupted_job_is_resumed_without_working_twice(client: Client, stand_in: StandIn) -> None:
    job = client.submit(urls(60), batch_size=3)
    rows = client.run(job, max_in_flight=5)
    assert isinstance(rows, Generator)
    for _ in range(10):
        next(rows)
    with pytest.raises(KeyboardInterrupt):
        rows.throw(KeyboardInterrupt)
    begun = client.ledger.jobs.enqueued(job.id)
    assert 5 <= begun < 20

    resumed = list(client.run(client.load(job.id), resumed=True))
    assert sorted(row.index for row in resumed) == list(range(60))
    assert len(stand_in.seen) == 60
    assert set(stand_in.seen.values()) == {1}


def test_resuming_a_finished_job_queues_nothing(client: Client, stand_in: StandIn) -> None:
    job = client.submit(urls(9), batch_size=2)
    assert len(list(client.run(job))) == 9
    client.ledger.jobs.forget(job.id)
    assert list(client.enqueue(job, resumed=True)) == []
    assert len(list(client.run(job, resumed=True))) == 9
    assert set(stand_in.seen.values()) == {1}


def test_messages_that_the_broker_lost_are_queued_again_on_resume(client: Client, live_settings: Settings) -> None:
    job = client.submit(urls(12), batch_size=3)
    assert len(list(client.enqueue(job))) == 4
    assert list(client.enqueue(job, resumed=True)) == []
    with client.app.connection_for_read() as connection:
        connection.default_channel.client.flushdb()
    with running(live_settings):
        assert len(list(client.run(job, resumed=True))) == 12


def test_outcomes_without_waiting_are_those_that_have_ended(client: Client, stand_in: StandIn) -> None:
    job = client.submit(urls(10), batch_size=2)
    assert list(client.outcomes(job)) == []
    assert len(list(client.run(job))) == 10
    assert len(list(client.outcomes(client.load(job.id)))) == 10


def test_a_jobs_outcomes_come_as_a_frame_in_the_order_of_its_photos(client: Client, stand_in: StandIn) -> None:
    job = client.submit(urls(10), batch_size=2)
    assert client.frame(job).empty
    assert len(list(client.enqueue(job))) == 5
    made = client.frame(job.id, wait=True)
    assert made["name"].tolist() == [f"photo {number}" for number in range(10)]
    assert made["status"].tolist() == ["no_match"] * 10
    assert set(made["job"]) == {job.id}


def test_a_task_that_fails_gives_one_failed_outcome_per_image(client: Client, stand_in: StandIn) -> None:
    items = [*urls(4), Item("bad", "https://example.com/crash.jpg"), Item("beside it", "https://example.com/5.jpg")]
    rows = sorted(client.run(client.submit(items, batch_size=2)), key=lambda row: row.index)
    assert [row.outcome.status for row in rows] == [Status.NO_MATCH] * 4 + [Status.FAILED] * 2
    failure = rows[4].outcome.failure
    assert failure is not None
    assert failure.code is ErrorCode.INTERNAL
    assert "RuntimeError: the task broke" in failure.message
    assert rows[5].outcome.image == "https://example.com/5.jpg"


def test_files_are_uploaded_once_per_content_and_kept_once_per_name(
    client: Client, store: ObjectStore, tmp_path: Path
) -> None:
    for name, content in {"a.jpg": b"same", "b.jpg": b"same", "empty.png": b"", "notes.md": b"no photo"}.items():
        (tmp_path / name).write_bytes(content)
    skipped: Counter[str] = Counter()
    job = client.submit([str(tmp_path)], skipped=skipped)
    images = client.jobs.images(job.id)
    assert [Path(image.name).name for image in images] == ["a.jpg", "b.jpg", "empty.png"]
    assert images[0].reference == images[1].reference
    assert len(list(store.list("uploads/"))) == 2
    assert store.read(f"uploads/{images[0].sha256}").data == b"same"
    assert skipped == {".md": 1}


def test_a_photo_that_cannot_be_opened_has_a_failed_row_and_costs_no_worker_anything(
    client: Client, stand_in: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "there.jpg").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "list.txt").write_text(f"missing.jpg\nthere.jpg\npipe.jpg\n{'x' * 300}.jpg\nhttps://a.example/{'y' * 5000}.jpg\n")
    job = client.submit([str(tmp_path / "list.txt")])
    assert (job.manifest.images, job.photos) == (1, 5)
    rows = {row.index: row for row in client.run(job)}
    assert sorted(rows) == list(range(5))
    assert [rows[place].name[:12] for place in range(5)] == ["there.jpg", "missing.jpg", "pipe.jpg", "x" * 12, "https://a.ex"]
    assert rows[0].outcome.failure is None
    failures = [row.outcome.failure for _, row in sorted(rows.items()) if row.outcome.failure]
    assert all("Correct the list" in failure.remedy for failure in failures)
    told = [(failure.code, failure.message) for failure in failures]
    assert told == [
        (ErrorCode.OBJECT_MISSING, "there is no such file where it was submitted"),
        (ErrorCode.REFERENCE_INVALID, "it is no regular file"),
        (ErrorCode.REFERENCE_INVALID, "File name too long"),
        (ErrorCode.REFERENCE_INVALID, "the reference has more than 4096 characters"),
    ]
    assert sum(stand_in.seen.values()) == 1
    assert {row.index: row for row in client.outcomes(client.load(job.id))} == rows, "whoever reads them later finds the same"


def test_a_list_of_which_nothing_can_be_opened_is_refused_with_the_first_cause(client: Client, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg\n")
    with pytest.raises(UserError, match=r"None of the 2 photos can be opened \(a.jpg: there is no such file"):
        client.submit([str(tmp_path / "list.txt")])


def test_a_job_without_photos_is_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no photos"):
        client.submit([str(tmp_path)])
    assert client.jobs.names() == []


def test_one_source_is_one_whether_text_or_path_and_no_series_of_letters(
    client: Client, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("1.jpg").write_bytes(b"x")
    Path("2.png").write_bytes(b"y")
    for sources in ("1.jpg", Path("1.jpg"), [Path("1.jpg")], Item("1.jpg", Path("1.jpg"))):
        assert [row.name for row in client.run(client.submit(sources))] == ["1.jpg"]
    for patterns in ("*.png", Path("*.png"), [Path("*.png")]):
        assert client.submit(Path(), exclude=patterns).photos == 1
    assert client.recognize(Path("1.jpg")).status is Status.NO_MATCH


def test_what_is_no_path_is_refused_with_what_to_do(client: Client) -> None:
    photos: tuple[Any, ...] = (b"the bytes of a photo", bytearray(b"x"), memoryview(b"x"), None, 3)
    for photo in photos:
        told = rf"not by {type(photo).__name__}\. Write bytes to a file"
        with pytest.raises(UserError, match=told):
            client.recognize(photo)
        with pytest.raises(UserError, match=told):
            client.submit(photo)
        with pytest.raises(UserError, match=told):
            client.submit([photo])
    with pytest.raises(UserError, match="A source is empty"):
        client.recognize("")


def test_a_prefix_gives_its_photos(client: Client, store: ObjectStore) -> None:
    for key in ("in/1.jpg", "in/deep/2.HEIC", "in/readme.txt", "out/3.jpg"):
        store.write(key, b"x")
    job = client.submit([f"s3://{store.bucket}/in/"])
    assert [image.reference for image in client.jobs.images(job.id)] == [
        f"s3://{store.bucket}/in/1.jpg",
        f"s3://{store.bucket}/in/deep/2.HEIC",
    ]


def without_broker(settings: Settings) -> Settings:
    url = SecretStr(f"redis://:secret@127.0.0.1:{free_ports(1)[0]}/0")
    return settings.model_copy(update={"broker_url": url, "result_url": url})


def test_a_broker_that_wants_a_password_is_told_to_want_one(live_settings: Settings) -> None:
    url = SecretStr(re.sub("//.*@", "//", live_settings.broker))
    stranger = live_settings.model_copy(update={"broker_url": url, "result_url": url})
    with Client(stranger) as client, pytest.raises(UserError, match=r"does not answer .*It runs, and wants another name"):
        client.submit(urls(1))


def test_an_absent_broker_is_told_before_anything_is_uploaded(
    live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    away = without_broker(live_settings)
    with Client(away) as client, pytest.raises(UserError, match="does not answer") as caught:
        client.submit([str(tmp_path)])
    assert "packsight up" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert list(store.list("uploads/")) == []


def test_absent_storage_is_told_with_what_to_start(live_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    s3 = live_settings.s3.model_copy(update={"endpoint": f"127.0.0.1:{free_ports(1)[0]}"})
    with Client(live_settings.model_copy(update={"s3": s3})) as client, pytest.raises(StorageAway) as caught:
        client.submit([tmp_path])
    assert caught.value.message.startswith("Object storage does not answer (s3://")
    assert "packsight up" in caught.value.remedy


def test_a_broker_that_keeps_nothing_new_leaves_no_job_that_nobody_queued(client: Client, store: ObjectStore) -> None:
    client.ledger.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(UserError, match="give it room"):
            client.submit(urls(4))
    finally:
        client.ledger.client.config_set("maxmemory", 0)
    assert list(store.list("jobs/")) == []


@pytest.mark.parametrize("error", [StorageError(ErrorCode.ACCESS_DENIED, "no"), KeyboardInterrupt()])
def test_a_job_whose_manifest_was_not_written_is_under_way_no_more_when_its_time_is_over(
    client: Client, live_settings: Settings, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: object) -> None:
        raise error

    written = client.submit(urls(4), batch_size=2)
    monkeypatch.setattr(client.jobs, "create", fails)
    for job_id in (None, "20260101-000000-abcdef", written.id):
        with pytest.raises(type(error)):
            client.submit(urls(4), job_id=job_id, batch_size=2)
    reconcile(live_settings, make_app("indexer", live_settings), store)
    assert len(client.ledger.jobs.active()) == 3, "one may be written still, so it is let alone"
    monkeypatch.setattr("time.time", lambda now=time.time: now() + 61)
    assert client.ledger.jobs.active() == [written.id]
    in_an_hour = time.time() + 3600
    until = client.ledger.client.zscore(keys.JOBS, written.id)
    assert until is not None and float(str(until)) > in_an_hour, "it is under way as long as before"


def test_a_broker_that_goes_away_leaves_a_job_that_can_be_resumed(client: Client, live_settings: Settings) -> None:
    job = client.submit(urls(4), batch_size=2)
    hasty = live_settings.queue.model_copy(update={"outage_seconds": 0.0})
    away = live_settings.model_copy(update={"broker_url": without_broker(live_settings).broker_url, "queue": hasty})
    with Client(away) as cut_off, pytest.raises(UserError, match=f"submit --resume {job.id}"):
        list(cut_off.run(job))
    assert client.ledger.jobs.enqueued(job.id) == 0
    assert len(list(client.enqueue(job, resumed=True))) == 2


def test_an_unknown_job_is_named(client: Client) -> None:
    for name in ("20260101-000000-abcdef", "../uploads"):
        with pytest.raises(UserError, match="no job"):
            client.load(name)


def test_one_photo_is_answered_on_the_interactive_queue(client: Client, stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "photo.bin").write_bytes(b"photo")
    outcome = client.recognize(str(tmp_path / "photo.bin"))
    assert outcome.status is Status.NO_MATCH
    assert outcome.image.startswith(f"s3://{client.store.bucket}/uploads/")


def test_silence_of_all_workers_is_told(client: Client) -> None:
    with pytest.raises(UserError, match="No worker answered within 1 s"):
        client.recognize("https://example.com/1.jpg", timeout=1)
    with client.app.connection_for_read() as connection:
        assert connection.default_channel.client.llen(INTERACTIVE_QUEUE) == 1


def test_options_that_no_message_can_carry_are_refused(client: Client) -> None:
    with pytest.raises(UserError, match="catalog"):
        client.submit(urls(1), catalog="No Such Name!")
    with pytest.raises(UserError, match="PACKSIGHT_WORKER__MAX_BATCH"):
        client.submit(urls(1), batch_size=65)


def test_only_the_failed_photos_of_a_job_are_asked_about_again_and_the_others_stand(
    client: Client, live_settings: Settings
) -> None:
    job = client.submit(urls(6), batch_size=3)
    assert len(list(client.enqueue(job))) == 2
    away = Failure.of_code(ErrorCode.FETCH_TIMEOUT, "too slow")
    missing = Failure.of_code(ErrorCode.OBJECT_MISSING, "not there")
    for batch, failures in zip(job.batches, ({1: away, 2: missing}, {}), strict=True):
        outcomes = [
            Outcome.failed(image.reference, failures[number]) if number in failures
            else Outcome(image=image.reference, status=Status.NO_MATCH, reason="first")
            for number, image in enumerate(batch.images)
        ]  # fmt: skip
        result = RecognizeResult(outcomes=outcomes).model_dump(mode="json")
        make_app("worker", live_settings).backend.mark_as_done(batch.task_id, result)
    client.ledger.jobs.forget(job.id)
    again = list(client.again(job))
    assert [[row.index for row in rows] for rows in again] == [[1]], "the missing object stays missing"
    first, second = job.batches
    assert client.ended([first.task_id, second.task_id]) == 1
    state = client.ledger.jobs.state(job.id)
    assert state is not None
    assert (state.batches, state.enqueued, state.finished) == (2, 2, 0)
    asked: list[str] = []

    def recognise(request: RecognizeRequest, _: str) -> list[Outcome]:
        asked.extend(request.images)
        return [Outcome(image=image, status=Status.NO_MATCH, reason="second") for image in request.images]

    kind = BatchKind(RECOGNIZE, RecognizeRequest, Outcome, recognise)
    request = RecognizeRequest.model_validate(first.request(job.manifest))
    letters = DeadLetters(live_settings)
    answered = DeliveredBatch(kind, first.task_id, request, client.ledger, letters, Pulse()).answer()
    letters.close()
    assert asked == [first.images[1].reference]
    assert [outcome.reason for outcome in answered] == ["first", "second", "not there"]
    assert list(client.again(job, [ErrorCode.WORKER_KILLED])) == []


def test_a_job_whose_results_are_gone_is_expired_and_one_that_is_worked_on_is_not(
    client: Client, stand_in: StandIn
) -> None:
    job = client.submit(urls(4), batch_size=2)
    assert not client.is_expired(job)
    assert len(list(client.run(job))) == 4
    client.ledger.jobs.forget(job.id)
    assert not client.is_expired(job)
    client.ledger.results.forget(job.batches[0].task_id)
    assert client.is_expired(job)
