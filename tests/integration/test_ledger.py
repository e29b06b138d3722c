"""The ledger against a real server: cursors, results, deliveries, and that every key has a time to live."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

import pytest
import redis
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from redis.exceptions import ConnectionError as RedisConnectionError

from packsight.shared.contract.errors import ADVICE, ErrorCode, MessageError, TaskError, UserError
from packsight.shared.contract.messages import RECOGNIZE
from packsight.shared.contract.outcomes import Outcome, RecognizeResult, Status
from packsight.shared.queue import keys
from packsight.shared.queue.app import App, make_app
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.queue.deliveries import Progress, Stop
from packsight.shared.queue.headers import admit
from packsight.shared.queue.jobs_ledger import JobState
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.pulse import Holder
from packsight.shared.queue.removals import ALIVE
from packsight.shared.queue.results import TaskEnd
from packsight.shared.settings import Settings
from packsight.shared.storage.jobs import task_id

FOR_EVER = {keys.DEAD_LETTERS, keys.DEAD_LETTERS_ORDER, keys.DEAD_LETTERS_DROPPED}


@pytest.fixture
def app(live_settings: Settings) -> App:
    return make_app("test", live_settings)


@pytest.fixture
def ledger(live_settings: Settings) -> Iterator[Ledger]:
    made = Ledger(live_settings)
    yield made
    made.close()


@pytest.fixture
def letters(live_settings: Settings) -> Iterator[DeadLetters]:
    made = DeadLetters(live_settings, limit=5)
    yield made
    made.close()


def store(app: App, task: str, state: str = "SUCCESS", result: object = None) -> None:
    app.backend.store_result(task, result, state)


def test_a_job_is_active_from_register_to_forget(ledger: Ledger) -> None:
    ledger.jobs.register("spring", batches=3)
    ledger.jobs.register("autumn", batches=1)
    assert sorted(ledger.jobs.active()) == ["autumn", "spring"]
    ledger.jobs.forget("spring")
    assert ledger.jobs.active() == ["autumn"]
    assert ledger.jobs.state("spring") is None


def test_the_cursor_never_goes_back(ledger: Ledger) -> None:
    ledger.jobs.register("spring", batches=9)
    assert ledger.jobs.enqueued("spring") == 0
    ledger.jobs.advance("spring", 5)
    ledger.jobs.advance("spring", 3)
    assert ledger.jobs.enqueued("spring") == 5
    ledger.jobs.register("spring", batches=9)
    assert ledger.jobs.enqueued("spring") == 5


@pytest.mark.parametrize("cancelled", [False, True])
def test_workers_and_readers_are_told_at_once_that_a_job_is_cancelled_or_goes_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    def seen() -> tuple[bool, Stop | None]:
        return ledger.jobs.is_cancelled("spring"), ledger.deliveries.begin("spring-000000", ME, 1).stop

    ledger.jobs.register("spring", 3)
    if cancelled:
        ledger.cancel("spring", 3)
    before = seen()

    def and_dies(said: Callable[..., Any]) -> Callable[..., None]:
        def saying(*arguments: Any, **keywords: Any) -> None:
            said(*arguments, **keywords)
            raise KeyboardInterrupt

        return saying

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(redis.client.Pipeline, "execute", and_dies(redis.client.Pipeline.execute))
        patch.setattr(redis.Redis, "execute_command", and_dies(redis.Redis.execute_command))
        (ledger.let_go_on if cancelled else ledger.cancel)("spring", 3)
    assert before == ((True, Stop.CANCELLED) if cancelled else (False, None))
    assert seen() == ((False, None) if cancelled else (True, Stop.CANCELLED))


@pytest.mark.parametrize("how", ["read", "counted"])
def test_a_batch_that_ends_while_its_cancelled_job_is_looked_at_is_not_told_as_one_that_nobody_had_begun(
    ledger: Ledger, app: App, how: str
) -> None:
    names = [task_id("spring", index) for index in range(3)]
    for name in names[:2]:
        ledger.deliveries.begin(name, ME, 1)

    def late(asked: Sequence[str]) -> Mapping[str, object]:
        found: Mapping[str, object] = getattr(ledger.results, how)(asked)
        store(app, names[0], result={"outcomes": []})
        ledger.deliveries.end(names[0])
        return found

    assert ledger.ended(names, late, cancelled=True) == ({}, names[2:])
    ended, never = ledger.ended(names, late, cancelled=True)
    assert (list(ended), never) == (names[:1], names[2:])
    assert ledger.ended(names, late, cancelled=False)[1] == []


def test_a_batch_that_nobody_had_begun_stays_so_while_a_worker_answers_for_its_cancelled_job(ledger: Ledger) -> None:
    names = [task_id("spring", index) for index in range(3)]
    for name in names[:2]:
        ledger.deliveries.begin(name, ME, 1)
    ledger.deliveries.hand_back(names[1], ME)
    ledger.cancel("spring", 3)
    met = [ledger.deliveries.begin(name, OTHER, 1) for name in names]
    assert [(one.count, one.stop) for one in met] == [(2, Stop.CANCELLED), (1, Stop.CANCELLED), (1, Stop.CANCELLED)]
    assert ledger.ended(names, ledger.results.counted, cancelled=True) == ({}, names[2:])


def test_whoever_submits_waits_for_the_removals_that_began_before_and_for_no_later_one(ledger: Ledger) -> None:
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(ledger.removals.removing())
        waited: list[None] = []

        def pause(_: float) -> None:
            waited.append(None)
            second.enter_context(ledger.removals.removing())
            first.close()

        assert ledger.removals.since(frozenset(), pause)
        assert len(waited) == 1
    assert len(ledger.removals.seen()) == 2
    assert not ledger.removals.since(ledger.removals.seen())


@pytest.mark.parametrize("step", [3600, -3600])
def test_whoever_submits_waits_for_removals_whatever_the_clocks_of_hosts_say(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    now, waited = time.time, list[None]()
    with ExitStack() as removing:
        with monkeypatch.context() as there:
            there.setattr(time, "time", lambda: now() + step)
            removing.enter_context(ledger.removals.removing())

        def pause(_: float) -> None:
            waited.append(None)
            removing.close()

        assert ledger.removals.since(frozenset(), pause) and waited == [None]


@pytest.mark.parametrize("step", [3600, -3600])
def test_a_removal_lives_while_it_says_something_new_and_one_that_died_is_waited_for_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    real, passed, words = time.monotonic, 0.0, 0
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed)
    token = secrets.token_hex(8)
    begun = int(time.time()) + step  # the database's clock was set after it had spoken
    ledger.client.hset(keys.REMOVALS, token, begun)

    def pause(_: float) -> None:
        nonlocal passed, words
        passed += 20
        if words < 3:
            words += 1
            ledger.client.hset(keys.REMOVALS, token, begun + words)

    assert ledger.removals.since(frozenset(), pause)
    assert words == 3 and 3 * 20 + ALIVE <= passed < 3 * 20 + ALIVE + 40
    assert ledger.removals.since(frozenset(), lambda _: pytest.fail("waits once more for one that died"))
    assert token not in ledger.removals.seen(), "what it removed is not known"


def test_results_are_those_of_tasks_that_ended(ledger: Ledger, app: App) -> None:
    store(app, "good", result={"outcomes": []})
    store(app, "bad", "FAILURE", ValueError("too large"))
    store(app, "gone", "REVOKED", RuntimeError("revoked"))
    store(app, "busy", "STARTED", {"pid": 1})
    ends = ledger.results.read(["good", "bad", "busy", "gone", "unknown"])
    assert set(ends) == {"good", "bad", "gone"} == ledger.results.ended(["good", "bad", "busy", "gone", "unknown"])
    assert ends["good"].result == {"outcomes": []}
    assert (ends["bad"].state, ends["bad"].result, ends["bad"].error) == ("FAILURE", None, "ValueError: too large")


def test_thousands_of_results_are_read_in_chunks(ledger: Ledger, app: App) -> None:
    names = [f"task-{index}" for index in range(1201)]
    with ledger.client.pipeline() as pipe:
        for name in names:
            pipe.set(keys.task_result(name), '{"status": "SUCCESS", "result": {"n": 1}}')
        pipe.execute()
    assert ledger.results.ended(names) == set(names) == set(ledger.results.read(names))
    assert ledger.results.ended([]) == set()


@pytest.mark.parametrize("size", range(2))
def test_a_record_may_be_cut_in_the_midst_of_a_letter(ledger: Ledger, size: int) -> None:
    head = '{"status": "SUCCESS", "result": {"version":1,"ends":{"matched": 1}, "name": "' + "a" * size
    ledger.client.set(keys.task_result("t"), head + "Чай" * 200 + '"}}')
    assert ledger.results.counted(["t"]) == {"t": {"matched": 1}}
    ledger.client.set(keys.task_result("t"), '{"status": "FAILURE", "result": "' + "a" * size + "Чай" * 200 + '"}')
    assert ledger.results.ended(["t"]) == {"t"}
    assert ledger.deliveries.begin("t", ME, 1).ended


ME, OTHER = Holder("parent", 7), Holder("another", 7)


def test_a_delivery_is_counted_and_knows_whether_its_task_ended(ledger: Ledger, app: App) -> None:
    assert [ledger.deliveries.begin("t", ME, 1).count for _ in range(3)] == [1, 2, 3]
    assert not ledger.deliveries.begin("t", ME, 1).ended
    store(app, "t", result={})
    assert ledger.deliveries.begin("t", ME, 1).ended
    ledger.deliveries.end("t")
    assert ledger.deliveries.count("t") == 0


def test_a_stored_result_is_not_overwritten_by_a_second_delivery(ledger: Ledger, app: App) -> None:
    store(app, "t", result={"first": True})
    store(app, "t", "FAILURE", ValueError("late"))
    assert ledger.results.read(["t"])["t"].result == {"first": True}


def test_a_batchs_result_is_kept_and_told_and_its_deliveries_are_forgotten_in_one_step(ledger: Ledger, app: App) -> None:
    ledger.deliveries.begin("t", ME, 1)
    ledger.deliveries.keep("t", {0: "outcome"})
    with closing(ledger.client.pubsub()) as told:  # type: ignore[no-untyped-call]
        told.subscribe(keys.task_result("t"))
        assert told.get_message(timeout=5) is not None
        store(app, "t", result=answered("first"))
        message = told.get_message(timeout=5)
    assert message is not None
    assert message["data"] == ledger.client.get(keys.task_result("t")), "what Celery's own clients wait for"
    assert not ledger.client.exists(keys.partial("t"))
    assert 0 < ledger.client.ttl(keys.task_result("t")) <= app.settings.queue.result_expires
    ledger.deliveries.begin("t", ME, 1)
    store(app, "t", result=answered("second"))
    assert not ledger.client.exists(keys.partial("t"))
    end = ledger.results.read(["t"])["t"].result
    assert end is not None
    assert [outcome["image"] for outcome in end["outcomes"]] == ["first"], "a child that was taken for dead had answered"


def test_a_batchs_result_waits_for_room_and_its_deliveries_with_it(ledger: Ledger, app: App) -> None:
    ledger.deliveries.begin("t", ME, 1)
    ledger.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            app.backend._store_result("t", answered("first"), "SUCCESS")
    finally:
        ledger.client.config_set("maxmemory", 0)
    assert ledger.client.exists(keys.partial("t"))
    assert not ledger.results.read(["t"])
    store(app, "t", result=answered("first"))
    assert ledger.results.read(["t"])["t"].state == "SUCCESS"


def test_a_batchs_result_takes_the_place_of_a_failure(ledger: Ledger, app: App) -> None:
    store(app, "t", "FAILURE", ValueError("early"))
    store(app, "t", result=answered("first"))
    assert ledger.results.read(["t"])["t"].state == "SUCCESS"


def test_another_programs_result_may_break_a_letter_where_its_head_ends(ledger: Ledger) -> None:
    ledger.client.set(keys.task_result("t"), '{"status": "SUCCESS", "result": "a' + "ж" * 40)
    assert ledger.deliveries.begin("t", ME, 1).ended


def answered(image: str) -> RecognizeResult:
    return RecognizeResult.of([Outcome(image=image, status=Status.NO_MATCH)])


def test_what_is_known_of_a_batch_survives_until_its_task_ends(ledger: Ledger) -> None:
    book = ledger.deliveries
    book.keep("t", {0: "outcome", 3: "another"})
    book.record_death("t", ME, ErrorCode.WORKER_KILLED, (0, 8))
    book.record_death("t", ME, ErrorCode.WORKER_KILLED, (7, 8))
    book.record_death("t", ME, ErrorCode.TIME_LIMIT, (7, 8))
    assert [book.record_death("t", ME, ErrorCode.WORKER_KILLED, None) for _ in range(2)] == [1, 2]
    assert book.begin("t", ME, 8).progress == Progress(
        done={0: "outcome", 3: "another"},
        broken=frozenset({(0, 8)}),
        deaths={7: 2},
        causes={7: ErrorCode.TIME_LIMIT},
        idle_deaths=2,
    )
    book.end("t")
    assert book.begin("t", ME, 8).progress == Progress()


def test_what_another_release_noted_of_a_batch_is_passed_over(ledger: Ledger) -> None:
    ledger.client.hset(keys.partial("t"), mapping={"begun:1": 2, "cause": "worker_killed", "crashes": 1, "done:0": "outcome"})
    assert ledger.deliveries.begin("t", ME, 2).progress == Progress(done={0: "outcome"})


def test_what_others_had_in_work_is_seen_until_they_take_it_back(ledger: Ledger) -> None:
    book = ledger.deliveries
    book.begin("t", ME, 8)
    assert book.begin("t", ME, 8).progress == Progress(), "whoever asks lives"
    assert book.begin("t", OTHER, 8).progress == Progress(broken=frozenset({(0, 8)}))
    book.begin_part("t", OTHER, (3, 4))
    assert book.begin("t", ME, 8).progress == Progress(lost={3: 1})
    assert book.begin("t", Holder("another", 8), 8).progress.lost == {}, "a child of that parent: so it lives"
    book.hand_back("t", Holder("another", 8))
    book.hand_back("t", OTHER)
    assert book.begin("t", ME, 8).progress == Progress()


def test_an_end_that_is_said_again_since_the_answer_was_lost_is_noted_once(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, read = ledger.deliveries, redis.connection.Connection.read_response
    lost: list[bool] = []

    def lose(connection: redis.connection.Connection, *arguments: Any, **options: Any) -> Any:
        answer = read(connection, *arguments, **options)
        if not lost and isinstance(answer, int | list):  # to what was to be noted
            lost.append(True)
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise RedisConnectionError("cut")
        return answer

    book.begin("t", ME, 2)
    book.hand_back("t", ME)  # the server knows the scripts
    for note in (
        lambda: book.record_death("t", ME, ErrorCode.WORKER_KILLED, (0, 1)),
        lambda: book.record_death("t", ME, ErrorCode.WORKER_KILLED, None),
        lambda: book.hand_back("t", ME, attempted=True),
    ):
        lost.clear()
        with monkeypatch.context() as patch:
            patch.setattr(redis.connection.Connection, "read_response", lose)
            note()
        assert lost
    progress = book.begin("t", ME, 2).progress
    assert (progress.deaths, progress.idle_deaths, progress.attempts) == ({0: 1}, 1, 1)


def test_every_key_has_a_time_to_live_except_the_dead_letters(ledger: Ledger, letters: DeadLetters, app: App) -> None:
    ledger.jobs.register("spring", batches=3)
    ledger.jobs.advance("spring", 1)
    ledger.jobs.note_finished("spring", 1, JobState(3, 1, 0))
    ledger.jobs.still_missing("spring", ["a"])
    ledger.deliveries.begin("t", ME, 2)
    ledger.deliveries.begin_part("t", ME, (0, 1))
    ledger.deliveries.keep("t", {0: "x"}, ME)
    ledger.deliveries.record_death("u", ME, ErrorCode.WORKER_KILLED, (0, 1))
    store(app, "v", result={})
    for index in range(7):
        letters.put(letter(f"{index}.jpg"))
    lasting = {key for key in ledger.client.scan_iter() if ledger.client.ttl(key) == -1}
    assert lasting == FOR_EVER
    assert len(list(ledger.client.scan_iter())) == 6 + len(FOR_EVER)


def letter(image: str | None, **fields: object) -> DeadLetter:
    common = {"code": ErrorCode.WORKER_KILLED, "message": "died", "task": RECOGNIZE, "task_id": "t", "image": image}
    return DeadLetter.model_validate({**common, "payload": {"images": [image], "top_k": 3}, **fields})


def test_letters_are_listed_oldest_first_and_can_be_dropped(letters: DeadLetters) -> None:
    first, second = (letters.put(letter(name, at=at)) for name, at in (("a", 1.0), ("b", 2.0)))
    assert [item.image for item in letters.list()] == ["a", "b"]
    assert letters.get(first).image == "a"
    assert letters.drop(first)
    assert not letters.drop(first)
    assert [item.id for item in letters.list()] == [second]
    with pytest.raises(UserError, match=first):
        letters.get(first)


def test_the_same_letter_put_twice_is_one_letter(letters: DeadLetters) -> None:
    assert letters.put(letter("a", at=1.0)) == letters.put(letter("a", at=2.0))
    assert letters.count() == 1


def test_the_oldest_letters_are_dropped_and_counted_when_the_list_is_full(letters: DeadLetters) -> None:
    for index in range(8):
        letters.put(letter(str(index), at=float(index)))
    assert [item.image for item in letters.list()] == ["3", "4", "5", "6", "7"]
    assert letters.dropped() == 3


def sent(ledger: Ledger, app: App, queue: str) -> list[tuple[str, Any]]:
    """Ids and arguments of the messages in a queue, oldest first."""
    with app.connection_for_read() as connection:
        channel = connection.channel()
        found = []
        while message := channel.basic_get(queue, no_ack=True):
            found.append((message.headers["id"], message.payload[0]))
        return found


def test_a_letter_of_a_release_that_knows_more_codes_is_listed_with_all_others(letters: DeadLetters, ledger: Ledger) -> None:
    letters.put(letter("a.jpg", at=1.0))
    name = letters.put(letter("b.jpg", at=2.0))
    told = {**letters.get(name).model_dump(mode="json"), "code": "of_tomorrow"}
    ledger.client.hset(keys.DEAD_LETTERS, name, json.dumps(told))
    assert [(one.image, one.code) for one in letters.list()] == [
        ("a.jpg", ErrorCode.WORKER_KILLED), ("b.jpg", ErrorCode.INTERNAL),
    ]  # fmt: skip
    assert letters.get(name).code is ErrorCode.INTERNAL


def test_an_image_is_replayed_as_a_batch_of_one(letters: DeadLetters, ledger: Ledger, app: App) -> None:
    name = letters.put(letter("a.jpg"))
    task = letters.replay(app, name)
    assert task != "t"
    assert sent(ledger, app, "packsight.recognize") == [(task, [{"images": ["a.jpg"], "top_k": 3}])]
    assert letters.count() == 0


def test_an_image_of_a_task_of_the_longest_id_is_replayed_under_one_that_workers_take(letters: DeadLetters, app: App) -> None:
    first, second = (letters.put(letter("a.jpg", task_id="t" * 255 + end)) for end in "ab")
    tasks = [letters.replay(app, name) for name in (first, second)]
    assert len(set(tasks)) == 2
    with app.connection_for_read() as connection:
        for _ in tasks:
            admit(connection.channel().basic_get("packsight.recognize"))


def test_a_refused_message_is_replayed_under_its_own_id_in_its_own_queue(
    letters: DeadLetters, ledger: Ledger, app: App
) -> None:
    name = letters.put(letter(None, task="packsight.other", queue="celery", payload={"args": [1], "kwargs": {}}))
    store(app, "t", "FAILURE", ValueError("refused"))
    assert letters.replay(app, name) == "t"
    assert not ledger.deliveries.begin("t", ME, 1).ended
    assert sent(ledger, app, "celery") == [("t", [1])]


def test_an_unreadable_message_needs_a_corrected_payload(letters: DeadLetters, ledger: Ledger, app: App) -> None:
    name = letters.put(letter(None, payload={"body": "garbage"}))
    with pytest.raises(UserError, match="corrected"):
        letters.replay(app, name)
    assert letters.count() == 1
    letters.replay(app, name, {"images": ["b.jpg"]})
    assert sent(ledger, app, "packsight.recognize") == [("t", [{"images": ["b.jpg"]}])]
    assert letters.count() == 0


@pytest.mark.parametrize(
    ("error", "code", "text", "remedy"),
    [
        (
            TaskError(ErrorCode.TIME_LIMIT, "every child took too long"),
            ErrorCode.TIME_LIMIT,
            "every child took too long",
            ADVICE[ErrorCode.TIME_LIMIT].remedy,
        ),
        (MessageError(message="99 images", remedy="Send 8."), ErrorCode.BAD_MESSAGE, "99 images", "Send 8."),
        (TimeLimitExceeded(120), ErrorCode.TIME_LIMIT, "TimeLimitExceeded: 120", ""),
        (WorkerLostError("Worker exited prematurely: signal 9"), ErrorCode.WORKER_KILLED, "signal 9", ""),
        (ValueError("time_limit"), ErrorCode.INTERNAL, "ValueError: time_limit", ""),
        (ValueError("time_limit", "WorkerLostError"), ErrorCode.INTERNAL, "ValueError: time_limit WorkerLostError", ""),
    ],
)
def test_a_stored_failure_keeps_its_code_and_its_remedy(
    ledger: Ledger, app: App, error: Exception, code: ErrorCode, text: str, remedy: str
) -> None:
    store(app, "t", "FAILURE", error)
    end = ledger.results.read(["t"])["t"]
    assert (end.code, end.remedy) == (code, remedy)
    assert text in end.error


def test_a_failure_that_an_earlier_release_stored_is_read(ledger: Ledger) -> None:
    stored = {"exc_type": "MessageError", "exc_message": ["bad_message", "no images"], "exc_module": MessageError.__module__}
    ledger.client.set(keys.task_result("t"), json.dumps({"status": "FAILURE", "result": stored}))
    assert ledger.results.read(["t"])["t"] == TaskEnd("FAILURE", None, "no images", ErrorCode.BAD_MESSAGE)


def test_a_sender_in_any_language_reads_what_was_wrong_and_what_to_do(ledger: Ledger, app: App) -> None:
    store(app, "t", "FAILURE", MessageError(message="99 images", remedy="Send 8."))
    stored = json.loads(str(ledger.client.get(keys.task_result("t"))))["result"]
    assert (stored["exc_type"], stored["exc_message"]) == ("MessageError", ["bad_message", "99 images", "Send 8.", False])
