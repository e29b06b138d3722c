"""Real workers before messages that others wrote: none holds a queue or a child, none ends the worker."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import BULK_QUEUE, DEFAULT_QUEUE, RECOGNIZE
from packsight.shared.queue import keys
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.transport.message import MAX_BYTES
from tests.acceptance.stack import connect, running, wait_until
from tests.acceptance.test_kills import Stack

IMAGES = [{"images": ["sleep:0.01"]}]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("stack"), visibility_timeout=4) as parts:
        yield Stack(*parts)


def raw(own: Any = None, body: Any = None, properties: Any = None, **envelope: Any) -> bytes:
    """A message as a foreign program writes it."""
    text = body if isinstance(body, bytes) else json.dumps([IMAGES, {}, {}] if body is None else body).encode()
    return json.dumps(
        {
            "body": base64.b64encode(text).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"id": "odd", "task": RECOGNIZE, **(own or {})},
            "properties": {"delivery_tag": "tag", "body_encoding": "base64", **(properties or {})},
            **envelope,
        }
    ).encode()


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def with_text(message: bytes, text: str) -> bytes:
    """Put text into a message that no writer of JSON would write."""
    return message.replace(b'"PLACE"', text.encode())


def odd() -> dict[str, bytes]:
    """Hundreds of megabytes: made when they are sent."""
    return {
        "a number longer than Python reads": with_text(raw(x="PLACE"), "9" * 5000),
        "nested deeper than Python reads": with_text(raw(x="PLACE"), nested(980)),
        "nested deeper than the server reads": with_text(raw(x="PLACE"), nested(5000)),
        "a header nested deeply": with_text(raw({"stamps": "PLACE"}), nested(900)),
        "an unknown header nested deeply": with_text(raw({"id": "deep", "x": "PLACE"}), nested(900)),
        "a header of 5 MB": raw({"group": "g" * 5_000_000}),
        "an unknown header of 5 MB": raw({"id": "long", "x": "g" * 5_000_000}),
        "larger than any message": raw({"x": "g" * MAX_BYTES}),
        "a body that unpacks to 300 MB": raw({"compression": "application/x-gzip"}, zlib.compress(b" " * 300_000_000)),
        "packed in an unknown way": raw({"compression": ["brotli"]}),
        "a task that is no name": raw({"task": [RECOGNIZE]}),
        "an id that is no name": raw({"id": {"a": 1}}),
        "headers that are a list": raw(headers=["id"]),
        "headers that are a text": raw(headers="id"),
        "stamps that cannot be looked up": raw({"stamped_headers": [["a"], {}]}),
        "retries that are no number": raw({"retries": "many"}),
        "an eta that is no time": raw({"eta": {"a": 1}}),
        "an eta beyond the calendar": raw({"eta": "9999-12-31T23:59:59-12:00"}),
        "an eta in a thousand years": raw({"eta": "2999-01-01T00:00:00Z"}),
        "an expiry that is no time": raw({"expires": 1e300}),
        "a group that is no name": raw({"group": 5}),
        "root and parent that are no names": raw({"root_id": [], "parent_id": {}}),
        "a body of another kind": raw({}, b"x", **{"content-type": "application/x-python-serialize"}),
        "an encoding that is no name": raw(**{"content-encoding": 5}),
        "half a character": raw({}, [["\ud800"], {}, {}]),
        "fields of a request among the callbacks": raw({"id": "among"}, [IMAGES, {}, {"args": [], "is_eager": True}]),
        "no callbacks": raw({"id": "none"}, [IMAGES, {}, None]),
        "callbacks of megabytes": raw({}, [IMAGES, {}, {"callbacks": ["x" * 1000] * 3000}]),
        "another program's protocol 1": raw({}, {"task": 5, "id": [], "args": {}}, headers={}),
    }


UNPACKED = {"a body that unpacks to 300 MB", "packed in an unknown way"}
RUN = {
    "an unknown header nested deeply", "an unknown header of 5 MB", "fields of a request among the callbacks", "no callbacks",
}  # fmt: skip
MORE = {
    "odd properties": raw({"id": "p1"}, properties={"delivery_info": "x", "reply_to": [1], "priority": "x"}),
    "an origin that is made up": raw({"id": "p2"}, properties={"delivery_info": {"routing_key": [], "consumer_tag": ["x"]}}),
    "retries without end": raw({"id": "p3", "retries": 10**30}),
    "a shadow with control characters": raw({"id": "p4", "shadow": "\x1b[2J\nforged"}),
    "garbage for callbacks": raw({"id": "p5"}, [IMAGES, {}, {"callbacks": 5, "errbacks": "x", "chain": [5], "chord": []}]),
    "protocol 1": raw({}, {"task": RECOGNIZE, "id": "p6", "args": IMAGES, "timelimit": [0.01, 0.01]}, headers={}),
}


def test_whatever_is_in_a_message_it_is_run_or_put_aside_with_a_sentence(stack: Stack) -> None:
    """One after the other to one worker, which answers an ordinary message after each and holds nothing at the end."""
    worker, refusable = stack.worker.process.pid, odd()
    for name, message in {**refusable, **MORE}.items():
        with connect(stack.servers, 0) as client:
            client.lpush(BULK_QUEUE, message)
        wait_until(stack.broker_is_empty, f"the end of {name}")
        refused = name in refusable and name not in RUN
        letters = stack.letters.list()
        assert len(letters) == refused, name
        for letter in letters:
            assert (letter.code, bool(letter.message)) == (ErrorCode.BAD_MESSAGE, True), name
            assert len(letter.model_dump_json()) < 200_000, name
            stack.letters.drop(letter.id)
        assert stack.wait(stack.send(["sleep:0.01"])) == [[None]], name
        with connect(stack.servers, 1) as client:
            told = client.getdel("celery-task-meta-odd")
        assert name not in UNPACKED or '"status": "FAILURE"' in str(told), f"whoever sent it hears of it: {name}"
    ran = ["deep", "long", "among", "none", *(f"p{number}" for number in range(1, 7))]
    assert stack.wait(ran) == [[None]] * len(ran)
    assert stack.worker.process.poll() is None
    assert stack.worker.process.pid == worker
    assert "\x1b" not in stack.worker.log.read_text(errors="replace").replace("\x1b[0m", "").replace("\x1b[1;3", "")


def test_no_id_of_a_message_keeps_others_from_their_answer(stack: Stack) -> None:
    stack.ledger.cancel("spring", 1)
    odd = ["job:", "job:spring", "order", ":", "packsight.recognize", "unacked", "-", "-000001", "x-"]
    with connect(stack.servers, 1) as client:
        client.set(keys.partial("spoilt"), "x")
    with connect(stack.servers, 0) as client:
        client.lpush(DEFAULT_QUEUE, *(raw({"id": one}) for one in (*odd, "spoilt")))
    assert stack.wait(stack.send(*[["sleep:0.01"]] * 5)) == [[None]] * 5
    assert stack.wait(odd) == [[None]] * len(odd)
    wait_until(stack.broker_is_empty, "the end of all")
    end = stack.ledger.results.read(["spoilt"])["spoilt"]
    assert (end.state, end.code) == ("FAILURE", ErrorCode.BAD_MESSAGE)
    (letter,) = stack.letters.list()
    assert stack.wait([stack.letters.replay(stack.app, letter.id)]) == [[None]], "what was kept under its id is gone"


@pytest.mark.parametrize("kept", ["a list", "no JSON", "{}"])
@pytest.mark.parametrize("own", [{"task": "no.such.task"}, {"expires": "2020-01-01T00:00:00+00:00"}], ids=("refused", "expired"))
def test_whoever_waits_for_an_id_under_which_no_result_is_kept_hears_how_its_message_ended(
    stack: Stack, kept: str, own: dict[str, str]
) -> None:
    with connect(stack.servers, 1) as client:
        client.delete(keys.task_result("kept"))
        client.rpush(keys.task_result("kept"), kept) if kept == "a list" else client.set(keys.task_result("kept"), kept)
    with connect(stack.servers, 0) as client:
        client.lpush(BULK_QUEUE, raw({"id": "kept", **own}))
    wait_until(stack.broker_is_empty, "the end")
    assert stack.worker.process.poll() is None
    assert stack.ledger.results.read(["kept"])["kept"].state == ("REVOKED" if "expires" in own else "FAILURE")
    for letter in stack.letters.list():
        stack.letters.drop(letter.id)


def test_two_messages_under_one_tag_are_both_answered(stack: Stack) -> None:
    messages = [raw({"id": f"twin-{number}"}, [[{"images": ["sleep:1"]}], {}, {}]) for number in range(2)]
    with connect(stack.servers, 0) as client:
        client.lpush(DEFAULT_QUEUE, *messages)
    wait_until(lambda: all(stack.runs(f"twin-{number}") for number in range(2)), "both at work")
    with connect(stack.servers, 0) as client:
        assert client.hlen("unacked") == 2
    assert stack.wait(["twin-0", "twin-1"]) == [[None], [None]]
    wait_until(stack.broker_is_empty, "both acknowledged")


def test_callbacks_of_other_programs_reach_their_queue_and_one_that_cannot_be_sent_harms_nothing(stack: Stack) -> None:
    app = Celery(broker=stack.servers.redis_url(0), backend=stack.servers.redis_url(1), set_as_current=False)
    look = app.signature(RECOGNIZE, args=IMAGES, options={"queue": BULK_QUEUE})
    store = app.signature("myapp.store", options={"queue": "myapp"})
    asked = [
        look.apply_async(link=store).id,
        chain(look, store).apply_async().parent.id,
        look.apply_async(link=app.signature("myapp.store", options={"queue": 5})).id,
        app.send_task(RECOGNIZE, args=IMAGES, queue=BULK_QUEUE, chain=["text"]).id,
    ]
    assert stack.wait(asked) == [[None]] * 4
    wait_until(stack.broker_is_empty, "all acknowledged")
    with connect(stack.servers, 0) as client:
        sent = [json.loads(raw_)["headers"] for raw_ in client.lrange("myapp", 0, -1)]
    assert [headers["task"] for headers in sent] == ["myapp.store"] * 2
    assert {headers["root_id"] for headers in sent} == set(asked[:2])


def test_a_worker_takes_no_orders_over_the_broker_and_goes_on_answering_questions(stack: Stack) -> None:
    pid, inspect = stack.worker.process.pid, stack.app.control.inspect(timeout=5)
    (name,) = inspect.ping()
    for order in ("pool_restart", "shutdown"):
        (answer,) = stack.app.control.broadcast(order, reply=True, timeout=5)
        assert answer[name]["error"].startswith("refused"), order
    stack.app.control.cancel_consumer(BULK_QUEUE)
    assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]
    assert inspect.stats()[name]["pid"] == pid
    assert BULK_QUEUE in {queue["name"] for queue in inspect.active_queues()[name]}


def test_an_expired_message_is_dropped_unseen(stack: Stack) -> None:
    with connect(stack.servers, 0) as client:
        client.lpush(DEFAULT_QUEUE, raw({"id": "old", "expires": "2020-01-01T00:00:00"}))
    wait_until(stack.broker_is_empty, "its end")
    assert stack.ledger.results.read(["old"])["old"].state == "REVOKED"
    assert stack.runs("old") == 0
    stack.app.send_task(RECOGNIZE, args=IMAGES, task_id="old", queue=BULK_QUEUE)
    wait_until(stack.broker_is_empty, "its end")
    assert stack.ledger.results.read(["old"])["old"].state == "REVOKED", "what came first stands until it is forgotten"
    Celery(backend=stack.servers.redis_url(1), set_as_current=False).AsyncResult("old").forget()
    stack.app.send_task(RECOGNIZE, args=IMAGES, task_id="old", queue=BULK_QUEUE)
    assert stack.wait(["old"]) == [[None]]


def test_messages_that_are_to_wait_for_hours_hold_nobody(stack: Stack) -> None:
    app, broker = stack.app, open_broker(stack.settings)
    waiting = [app.send_task(RECOGNIZE, args=IMAGES, queue=BULK_QUEUE, countdown=6 * 3600).id for _ in range(3)]
    soon = app.send_task(RECOGNIZE, args=IMAGES, queue=BULK_QUEUE, countdown=2).id
    assert stack.wait(stack.send(*[["sleep:0.01"]] * 10)) == [[None]] * 10
    assert stack.wait([soon]) == [[None]]
    wait_until(lambda: broker.backlog([BULK_QUEUE]).empty, "nothing that is held")
    seen = broker.backlog([BULK_QUEUE])
    assert (seen.parked, seen.unacked, seen.waiting[BULK_QUEUE]) == (3, 0, 0)
    assert broker.task_ids([BULK_QUEUE]) == set(waiting)
    # A death of the worker changes nothing for them; another, or the next, takes them when their time has come.
    stack.worker.kill()
    stack.worker.start()
    assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]
    assert broker.backlog([BULK_QUEUE]).parked == 3
    assert not any(map(stack.runs, waiting))
    with connect(stack.servers, 0) as client:
        client.delete("unacked", "unacked_index")
    broker.close()
