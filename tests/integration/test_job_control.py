"""Jobs that are cancelled, taken up again, removed and put before others, through a real broker, object store and worker."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import cast

import pytest

from packsight.indexer.reconcile import reconcile
from packsight.producer import removal
from packsight.producer.client import Client
from packsight.producer.rows import Row
from packsight.producer.sources import Item
from packsight.producer.summary import State
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.messages import BULK_QUEUE, WORKER_QUEUES, Priority
from packsight.shared.contract.outcomes import Failure, Outcome, RecognizeResult, Status
from packsight.shared.queue.app import make_app
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.transport.contract import lists
from packsight.shared.settings import Settings
from packsight.shared.storage.jobs import Job, JobAbout
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.storage.reviews import ReviewStore
from tests.recognizer import StandIn, running
from tests.unit.test_verdicts import verdict


@pytest.fixture
def stand_in(live_settings: Settings) -> Iterator[StandIn]:
    with running(live_settings) as made:
        yield made


@pytest.fixture
def client(live_settings: Settings) -> Iterator[Client]:
    with Client(live_settings) as made:
        yield made


def urls(count: int, name: str = "photo") -> list[Item]:
    return [Item(f"{name} {number}", f"https://example.com/{name}/{number}.jpg") for number in range(count)]


def until(condition: Callable[[], bool]) -> None:
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end
        sleep(0.02)


def in_work(client: Client, job: Job) -> set[str]:
    return client.ledger.deliveries.begun([batch.task_id for batch in job.batches])


def codes(rows: list[Row]) -> Counter[str]:
    return Counter(row.outcome.failure.code.value if row.outcome.failure else row.outcome.status.value for row in rows)


def test_of_a_cancelled_job_what_is_in_work_ends_and_the_rest_has_failed_whether_a_worker_met_it_or_not(
    client: Client, stand_in: StandIn, live_settings: Settings, store: ObjectStore
) -> None:
    stand_in.gate.clear()
    job = client.submit(urls(20), batch_size=2)
    found: list[Row] = []
    command = threading.Thread(target=lambda: found.extend(client.run(job, max_in_flight=5)))
    with Client(live_settings) as other:
        command.start()
        until(lambda: bool(in_work(other, job)) and other.ledger.jobs.enqueued(job.id) == 5)
        told = other.cancel(other.load(job.id))
        assert (told.state, told.answered, told.over) == (State.CANCELLED, 18, False)
        assert not reconcile(live_settings, make_app("indexer", live_settings), store)
        until(lambda: len(found) == 18)
        stand_in.gate.set()
        command.join(60)
        assert codes(found) == {"cancelled": 18, "no_match": 2}
        assert {row.index for row in found} == set(range(20)), "each photo once"
        with_broker = open_broker(live_settings)
        until(lambda: with_broker.backlog(WORKER_QUEUES).empty)
        with_broker.close()
        assert len(stand_in.seen) == 2
        again = sorted(other.outcomes(job), key=lambda row: row.index)
        assert again == sorted(found, key=lambda row: row.index), "what workers say and what was said without them is the same"
        assert other.summary(job.manifest).ends == {Status.FAILED: 18, Status.NO_MATCH: 2}
        reconcile(live_settings, make_app("indexer", live_settings), store)
        assert other.ledger.jobs.active() == []
        assert other.summary(job.manifest).state is State.CANCELLED
        assert other.cancel(job) == other.summary(job.manifest), "and is again, when it is cancelled once more"
        assert other.ledger.jobs.active() == []


@pytest.mark.parametrize("how", ["resumed", "retried"])
def test_a_cancelled_job_is_taken_up_again_where_it_was_left(client: Client, stand_in: StandIn, how: str) -> None:
    stand_in.gate.clear()
    job = client.submit(urls(12), batch_size=2)
    sent = client.enqueue(job, max_in_flight=3)
    for _ in range(3):
        next(sent)
    until(lambda: bool(in_work(client, job)))
    client.cancel(job)
    assert list(sent) == [], "whoever was queueing it stops"
    stand_in.gate.set()
    until(lambda: client.ended([batch.task_id for batch in job.batches[:3]]) == 3)
    if how == "resumed":
        rows = list(client.run(job, resumed=True))
    else:
        with pytest.raises(UserError, match="was cancelled"):
            list(client.again(job, [ErrorCode.FETCH_TIMEOUT]))
        asked = [row for rows in client.again(job) for row in rows]
        assert codes(asked) == {"cancelled": 10}
        rows = list(client.outcomes(job, wait=True))
    assert codes(rows) == {"no_match": 12}
    assert set(stand_in.seen.values()) == {1}
    assert client.summary(job.manifest).state is State.ENDED


def test_a_job_that_has_ended_is_not_cancelled_though_outcomes_have_expired(client: Client, stand_in: StandIn) -> None:
    job = client.submit(urls(4), batch_size=2)
    rows = list(client.run(job))
    client.ledger.jobs.forget(job.id)
    with pytest.raises(UserError, match="has ended"):
        client.cancel(job)
    client.ledger.results.forget(job.batches[0].task_id)
    with pytest.raises(UserError, match="expired"):
        client.cancel(job)
    assert client.summary(job.manifest).state is State.EXPIRED
    left = [row for row in rows if row.index >= 2]
    assert list(client.outcomes(job)) == left, "what is gone has not failed"


def test_outcomes_that_came_while_a_job_was_cancelled_stand(
    client: Client, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.submit(urls(4), batch_size=2)
    cancel = client.ledger.cancel
    rows: list[Row] = []

    def late(name: str, batches: int) -> None:
        rows.extend(client.run(job))
        client.ledger.deliveries.end(*(batch.task_id for batch in job.batches))  # whichever way they ended
        cancel(name, batches)

    monkeypatch.setattr(client.ledger, "cancel", late)
    told = client.cancel(job)
    assert (told.ends, told.over) == ({Status.NO_MATCH: 4}, True)
    assert sorted(client.outcomes(job), key=lambda row: row.index) == sorted(rows, key=lambda row: row.index)


def test_a_retry_of_a_cancelled_job_that_came_to_no_end_is_ended_by_the_next(client: Client, stand_in: StandIn) -> None:
    stand_in.gate.clear()
    job = client.submit(urls(12), batch_size=2)
    sent = client.enqueue(job, max_in_flight=3)
    for _ in range(3):
        next(sent)
    until(lambda: bool(in_work(client, job)))
    client.cancel(job)
    stand_in.gate.set()
    until(lambda: client.ended([batch.task_id for batch in job.batches[:3]]) == 3)
    with closing(cast("Generator[list[Row]]", client.again(job))) as killed:
        next(killed)
    assert client.ledger.jobs.enqueued(job.id) == 3
    assert not client.ledger.jobs.is_cancelled(job.id)
    for _ in range(2):
        list(client.again(job))
        assert client.ledger.jobs.enqueued(job.id) == 6
    assert codes(list(client.outcomes(job, wait=True))) == {"no_match": 12}
    assert set(stand_in.seen.values()) == {1}


def test_a_retry_leaves_what_is_still_being_queued_to_whoever_queues_it(client: Client) -> None:
    job = client.submit(urls(4), batch_size=2)
    sent = client.enqueue(job)
    next(sent)
    assert list(client.again(job)) == []
    assert client.ledger.jobs.enqueued(job.id) == 1


def test_whoever_waits_for_workers_to_queue_more_stops_when_the_job_is_cancelled(
    client: Client, live_settings: Settings
) -> None:
    job = client.submit(urls(8), batch_size=2)
    sent: list[str] = []
    queueing = threading.Thread(target=lambda: sent.extend(one.task_id for one in client.enqueue(job, max_in_flight=2)))
    queueing.start()
    with Client(live_settings) as other:
        until(lambda: other.ledger.jobs.enqueued(job.id) == 2)
        other.cancel(job)
        queueing.join(60)
    assert not queueing.is_alive(), "no worker has to answer"
    assert len(sent) == 2


def test_a_worker_keeps_what_was_done_of_a_batch_before_its_job_was_cancelled(client: Client, live_settings: Settings) -> None:
    job = client.submit(urls(3), batch_size=3)
    (batch,) = client.enqueue(job)
    done = Outcome(image=batch.images[1].reference, status=Status.NO_MATCH, reason="earlier")
    client.ledger.deliveries.keep(batch.task_id, {1: done.model_dump_json()})
    client.ledger.cancel(job.id, 1)
    with running(live_settings) as stand_in:
        until(lambda: client.ended([batch.task_id]) == 1)
        assert not stand_in.seen
    rows = list(client.outcomes(job))
    assert [row.outcome.reason for row in rows] == [rows[0].outcome.reason, "earlier", rows[0].outcome.reason]
    assert codes(rows) == {"cancelled": 2, "no_match": 1}


def test_what_photos_got_stands_where_a_job_is_cancelled_before_the_others_are_asked_about_again(
    client: Client, live_settings: Settings
) -> None:
    job = client.submit(urls(4), batch_size=4)
    (batch,) = client.enqueue(job)
    answers = [Outcome(image=image.reference, status=Status.NO_MATCH) for image in batch.images[1:]]
    failure = Failure.of_code(ErrorCode.FETCH_TIMEOUT, "late")
    result = RecognizeResult.of([Outcome.failed(batch.images[0].reference, failure), *answers])
    make_app("worker", live_settings).backend.mark_as_done(batch.task_id, result)
    assert [len(rows) for rows in client.again(job)] == [1]
    told = client.cancel(job)
    assert (told.answered, told.over) == (0, False), "no worker has begun it, but three outcomes are there"
    assert list(client.outcomes(job)) == []
    with running(live_settings) as stand_in:
        assert codes(list(client.outcomes(job, wait=True))) == {"no_match": 3, "cancelled": 1}
        assert not stand_in.seen
    assert client.summary(job.manifest).ends == {Status.NO_MATCH: 3, Status.FAILED: 1}


def test_messages_of_a_job_that_matters_more_are_taken_first_and_those_that_matter_less_last(
    client: Client, live_settings: Settings
) -> None:
    jobs = {
        priority: client.submit(urls(6, priority.value), batch_size=1, about=JobAbout(priority=priority))
        for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH)
    }
    for job in jobs.values():
        assert len(list(client.enqueue(job))) == 6
    broker = open_broker(live_settings)
    assert broker.backlog([BULK_QUEUE]).waiting == {BULK_QUEUE: 18}
    assert broker.task_ids([BULK_QUEUE]) == {batch.task_id for job in jobs.values() for batch in job.batches}
    broker.close()
    with running(live_settings) as stand_in:
        for job in jobs.values():
            assert len(list(client.outcomes(job, wait=True))) == 6
        order = [request.images[0].split("/")[3] for request in stand_in.requests]
    assert order == ["high"] * 6 + ["normal"] * 6 + ["low"] * 6


def test_a_message_that_comes_back_or_was_lost_keeps_its_jobs_priority(
    client: Client, live_settings: Settings, store: ObjectStore
) -> None:
    job = client.submit(urls(2), batch_size=1, about=JobAbout(priority=Priority.LOW))
    assert len(list(client.enqueue(job))) == 2
    app = make_app("indexer", live_settings)
    high, normal, low, _ = lists(BULK_QUEUE)
    with app.connection_for_read() as connection:
        channel = connection.channel()
        assert channel.client.llen(low) == 2
        message = channel.basic_get(BULK_QUEUE)
        assert message is not None
        channel.basic_reject(message.delivery_tag, requeue=True)
        assert channel.client.llen(low) == 2
        channel.client.flushdb()
        assert [reconcile(live_settings, app, store) for _ in range(2)] == [0, 2]
        assert [channel.client.llen(key) for key in (high, normal, low)] == [0, 0, 2]


def files(folder: Path, *names: str) -> list[Item]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return [Item(name, folder / name) for name in names]


def uploads(store: ObjectStore) -> set[str]:
    return {store.read(key).data.decode() for key in store.list("uploads/")}


def test_a_job_that_is_removed_leaves_nothing_but_what_another_job_names(
    client: Client, stand_in: StandIn, store: ObjectStore, tmp_path: Path
) -> None:
    job = client.submit(files(tmp_path, "mine", "ours"))
    other = client.submit(files(tmp_path, "ours", "theirs"))
    for one in (job, other):
        assert len(list(client.run(one))) == 2
    reviews = ReviewStore(store, job.manifest.catalog)
    reviews.add([verdict(job=one.id, sha256=f"{place:064x}") for place, one in enumerate((job, other))])
    removed = client.remove(job)
    assert [one.job for one in ReviewStore(store, job.manifest.catalog).all()] == [other.id]
    assert (removed.uploads, removed.shared) == (1, 1)
    assert uploads(store) == {"ours", "theirs"}
    assert client.jobs.names() == [other.id]
    assert not [key for key in store.list("jobs/") if job.id in key]
    left = {key for key in client.ledger.client.scan_iter() if job.id in key}
    assert left == {f"packsight:deliveries:job:{job.id}"}, "what workers drop its messages by"
    assert client.ledger.client.ttl(left.pop()) > 0
    with pytest.raises(UserError, match="no job"):
        client.load(job.id)
    assert len(list(client.outcomes(other))) == 2
    assert client.remove(other).uploads == 2
    assert uploads(store) == set()


def test_a_job_that_names_what_is_no_upload_is_removed_and_holds_up_nobody(
    client: Client, stand_in: StandIn, store: ObjectStore, tmp_path: Path
) -> None:
    store.write("uploads/mine", b"x")
    room = f"s3://{store.bucket}/uploads"
    job = client.submit([Item(one, one) for one in (f"{room}/../x", f"{room}/mine")])
    assert len(list(client.run(job))) == 2
    assert client.remove(job).uploads == 0
    assert store.exists("uploads/mine")
    client.ledger.removals.since(frozenset(), pause=lambda _: pytest.fail("whoever submits would wait"))


@pytest.mark.parametrize("how", ["collecting", "queueing", "running"])
def test_whoever_waits_for_a_job_or_queues_it_learns_that_it_was_removed(
    client: Client, live_settings: Settings, how: str
) -> None:
    job = client.submit(urls(8), batch_size=2)
    waiting, removed, told = threading.Event(), threading.Event(), []

    def idle(_: float) -> None:
        waiting.set()
        assert removed.wait(60)
        told.append("waits")
        assert len(told) < 9, "it waits for ever"

    def wait() -> None:
        try:
            if how == "collecting":
                deque(client.outcomes(job, wait=True, idle=idle), maxlen=0)
            elif how == "queueing":
                deque(client.enqueue(job, max_in_flight=2, idle=idle), maxlen=0)
            else:
                deque(client.run(job, max_in_flight=2, idle=idle), maxlen=0)
        except UserError as error:
            told.append(str(error))

    command = threading.Thread(target=wait)
    command.start()
    assert waiting.wait(60)
    with Client(live_settings) as other:
        other.ledger.cancel(job.id, 4)
        other.remove(job)
        enqueued = other.ledger.jobs.enqueued(job.id)
        removed.set()
        command.join(60)
    assert f"Job {job.id} was removed" in told[-1]
    assert enqueued == 0 == client.ledger.jobs.enqueued(job.id), "no more of it was queued"
    with pytest.raises(UserError, match="was removed"):
        list(client.run(job, resumed=True))
    with pytest.raises(UserError, match="was removed"):
        client.task_end(job.batches[0].task_id)


def test_results_that_are_removed_while_they_are_read_are_not_taken_for_photos_that_nobody_had_begun(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.submit(urls(2))
    client.cancel(job)
    read = client.ledger.results.read
    monkeypatch.setattr(client.ledger.results, "read", lambda names: (client.remove(job), read(names))[1])
    with pytest.raises(UserError, match="was removed"):
        list(client.outcomes(job))


def test_a_running_job_is_removed_only_once_it_is_cancelled_and_its_messages_are_dropped_unseen(
    client: Client, live_settings: Settings, tmp_path: Path
) -> None:
    job = client.submit(files(tmp_path, "a", "b"), batch_size=1)
    assert len(list(client.enqueue(job))) == 2
    with pytest.raises(UserError, match="jobs cancel"):
        client.remove(job)
    client.cancel(job)
    client.remove(job)
    with running(live_settings) as stand_in:
        broker = open_broker(live_settings)
        until(lambda: broker.backlog(WORKER_QUEUES).empty)
        broker.close()
        assert not stand_in.seen
    assert client.ended([batch.task_id for batch in job.batches]) == 0


def test_a_job_with_photos_in_work_is_not_removed(client: Client, stand_in: StandIn) -> None:
    stand_in.gate.clear()
    job = client.submit(urls(4), batch_size=2)
    assert len(list(client.enqueue(job))) == 2
    until(lambda: bool(in_work(client, job)))
    client.cancel(job)
    with pytest.raises(UserError, match="in work"):
        client.remove(job)
    stand_in.gate.set()
    until(lambda: client.summary(job.manifest).over)
    client.remove(job)
    assert client.jobs.names() == []


def test_a_photo_that_goes_with_another_job_while_it_is_submitted_is_uploaded_again(
    client: Client, live_settings: Settings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.submit(files(tmp_path, "ours"))
    client.ledger.jobs.forget(first.id)
    looked, written = threading.Event(), threading.Event()
    named_by_others = removal._named_by_others

    def slowly(*arguments: object) -> set[str]:
        found = named_by_others(*arguments)  # type: ignore[arg-type]
        looked.set()
        assert written.wait(60)
        return found

    monkeypatch.setattr(removal, "_named_by_others", slowly)
    with Client(live_settings) as other:
        removing = threading.Thread(target=lambda: other.remove(first))

        def uploaded(_: int, of: int) -> None:
            removing.start()
            assert looked.wait(60), "the removal has seen that nobody else names the photo, which is not sent a second time"

        since = client.ledger.removals.since

        def seen(before: frozenset[str]) -> bool:
            written.set()
            return since(before)

        monkeypatch.setattr(client.ledger.removals, "since", seen)
        client.submit(files(tmp_path, "ours"), uploaded=uploaded)
        removing.join(60)
    assert uploads(store) == {"ours"}


def test_counts_come_from_the_heads_of_results_and_from_whole_ones_where_a_worker_of_an_earlier_release_answered(
    client: Client, live_settings: Settings
) -> None:
    job = client.submit([*urls(7), Item("too long", "https://a.example/" + "y" * 5000)], batch_size=2)
    assert len(list(client.enqueue(job))) == 4
    first, second, third, fourth = job.batches
    backend = make_app("worker", live_settings).backend
    for batch, status, made in ((first, Status.MATCHED, RecognizeResult.of), (second, Status.AMBIGUOUS, _formerly)):
        backend.mark_as_done(batch.task_id, made([Outcome(image=image.reference, status=status) for image in batch.images]))
    backend.mark_as_failure(third.task_id, RuntimeError("it broke"))
    assert client.ledger.results.counted([batch.task_id for batch in job.batches]) == {
        first.task_id: {"matched": 2}, second.task_id: None, third.task_id: None
    }  # fmt: skip
    summary = client.summary(job.manifest)
    assert (summary.state, summary.photos, summary.batches_ended) == (State.RUNNING, 8, 3)
    assert summary.ends == {Status.MATCHED: 2, Status.AMBIGUOUS: 2, Status.FAILED: 3}
    backend.mark_as_done(fourth.task_id, RecognizeResult.of([Outcome(image="x", status=Status.NO_MATCH)]))
    assert client.summary(job.manifest).state is State.ENDED


def _formerly(outcomes: list[Outcome]) -> RecognizeResult:
    return RecognizeResult(outcomes=outcomes)
