"""The transport against a real server: nothing is ever nowhere, queues keep their order, foreign programs keep working."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import kombu
import pytest
import redis
from celery import Celery
from kombu import Consumer, Queue
from kombu.asynchronous import Hub, set_event_loop
from kombu.transport import redis as stock
from pydantic import SecretStr

from packsight.deploy.stack import services
from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.testbed import Servers
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import (
    BULK_QUEUE,
    DESCRIBE_QUEUE,
    INDEXER_QUEUE,
    INTERACTIVE_QUEUE,
    RECOGNIZE,
    WORKER_QUEUES,
)
from packsight.shared.queue.app import make_app
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.transport import channel as channels
from packsight.shared.queue.transport.channel import FAIR_TURN
from packsight.shared.queue.transport.contract import UNACKED, UNACKED_INDEX
from packsight.shared.queue.transport.message import MALFORMED, MAX_BYTES, REASON
from packsight.shared.queue.transport.poller import Transport
from packsight.shared.settings import Settings


@pytest.fixture
def broker(live_settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(live_settings.broker_url.get_secret_value(), decode_responses=True) as client:
        yield client


@pytest.fixture
def connect(live_settings: Settings) -> Iterator[Callable[[], kombu.Connection]]:
    app, made = make_app("test", live_settings), []

    def connection() -> kombu.Connection:
        made.append(app.connection_for_read())
        return made[-1]

    yield connection
    for opened in made:
        opened.close()


def publish(connection: kombu.Connection, queue: str, *bodies: Any) -> None:
    for body in bodies:
        connection.Producer(serializer="json").publish(body, routing_key=queue)


def waiting(broker: redis.Redis) -> dict[str, Any]:
    """The newest message in the queue of single photos."""
    raw = broker.lindex("packsight.recognize", 0)
    assert isinstance(raw, str)
    message: dict[str, Any] = json.loads(raw)
    return message


def stock_transport(settings: Settings) -> Any:
    return stock.Transport(kombu.Connection(settings.broker_url.get_secret_value()))


class Taker:
    """A consumer without an event loop that keeps what it is given."""

    def __init__(self, connection: kombu.Connection, queues: tuple[str, ...] = ("celery",), **options: Any) -> None:
        self.connection = connection
        self.channel = connection.channel()
        self.messages: list[Any] = []
        queues_ = [Queue(name, exchange="", routing_key=name) for name in queues]
        self.consumer = Consumer(
            self.channel, queues_, on_message=self.messages.append, accept=["json"], auto_declare=False, **options
        )
        self.consumer.consume()

    def take(self, count: int) -> list[Any]:
        """Wait for so many messages more and return them."""
        before = len(self.messages)
        while len(self.messages) < before + count:
            self.connection.drain_events(timeout=10)
        return self.messages[before:]

    def nothing_comes(self) -> bool:
        try:
            self.connection.drain_events(timeout=0.2)
        except TimeoutError:
            return True
        return False


def test_a_batch_that_ends_after_its_connection_was_lost_is_left_to_its_lease(
    live_settings: Settings, broker: redis.Redis, connect: Callable[[], kombu.Connection]
) -> None:
    publish(connect(), "celery", 1, 2, 3)
    taker = Taker(connect())
    done, died, dropped = taker.take(3)
    for message in (done, died, dropped):
        taker.channel.qos.forget(message.delivery_tag)  # as the consumer does of what runs
    taker.channel.close()
    done.ack()
    died.reject(requeue=True)
    dropped.reject()
    assert broker.hlen(UNACKED) == 3
    assert broker.llen("celery") == 0


def test_messages_of_single_photos_are_taken_beyond_those_of_jobs(live_settings: Settings) -> None:
    app = make_app("test", live_settings, per_queue_prefetch=(2, (BULK_QUEUE, DESCRIBE_QUEUE)))
    with app.connection_for_read() as connection:
        publish(connection, BULK_QUEUE, 1, 2, 3)
        publish(connection, DESCRIBE_QUEUE, 4)
        taker = Taker(connection, WORKER_QUEUES, prefetch_count=3)
        jobs = taker.take(2)
        assert [message.payload for message in jobs] == [1, 2]
        assert taker.nothing_comes()
        publish(connection, INTERACTIVE_QUEUE, 5)
        single = taker.take(1)
        assert single[0].payload == 5
        single[0].ack()
        assert taker.nothing_comes()
        jobs[0].ack()
        assert taker.take(1)[0].payload == 3


def test_whoever_is_free_again_looks_into_the_queues_at_once(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "BUSY_POLL_SECONDS", 3600.0)
    app = make_app("test", live_settings, per_queue_prefetch=(1, (BULK_QUEUE,)))
    with app.connection_for_read() as connection:
        publish(connection, BULK_QUEUE, 1, 2)
        taker = Taker(connection, WORKER_QUEUES, prefetch_count=2)
        first = taker.take(1)[0]
        assert not taker.channel.fetch(), "it holds as many as it may"
        first.ack()
        assert taker.channel.fetch()
        assert taker.messages[-1].payload == 2


def test_an_ordinary_redis_url_means_this_transport(connect: Callable[[], kombu.Connection]) -> None:
    connection = connect()
    assert type(connection.transport) is Transport
    assert type(connection.clone().transport) is Transport
    assert connection.as_uri().startswith("redis://")


def test_every_other_app_of_the_process_keeps_the_transport_of_kombu(live_settings: Settings) -> None:
    ours = make_app("test", live_settings)
    other = Celery("other", broker=live_settings.broker_url.get_secret_value(), set_as_current=False)
    other.conf.broker_transport_options = ours.conf.broker_transport_options
    for app, kind in ((ours, Transport), (other, stock.Transport)):
        with app.connection_for_read() as read, app.connection_or_acquire() as pooled:
            assert [type(one.transport) for one in (read, pooled)] == [kind, kind]


def test_a_message_that_was_taken_is_recorded_in_the_same_step(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "celery", "precious")
    channel = connect().channel()
    found = channel._take(["celery"], set())
    # As if the worker died here, before it has read the answer.
    assert found is not None
    assert broker.llen("celery") == 0
    assert broker.hlen("unacked") == broker.zcard("unacked_index") == 1


def test_the_stock_transport_has_a_moment_in_which_a_message_is_nowhere(
    live_settings: Settings, broker: redis.Redis
) -> None:
    """Why there is a transport of our own. When this fails, kombu may have fixed it and ours can go."""
    unchanged = stock_transport(live_settings)
    channel = unchanged.create_channel(unchanged)
    channel._active_queues.append("celery")
    channel._update_queue_cycle()
    moment: list[tuple[int, int]] = []
    unchanged._deliver = lambda message, queue: moment.append((broker.llen("celery"), broker.hlen("unacked")))
    broker.lpush("celery", json.dumps({"properties": {"delivery_tag": "1"}}))
    channel.client.connection = channel.client.connection_pool.get_connection()
    channel._brpop_start()
    channel._brpop_read()
    channel.close()
    assert moment == [(0, 0)]


def test_what_a_dead_consumer_held_comes_back_and_what_a_living_one_holds_does_not(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "celery", "of the dead", "of the living")
    dead, living = Taker(connect(), prefetch_count=1), Taker(connect(), prefetch_count=1)
    (lost,), (held,) = dead.take(1), living.take(1)
    broker.zadd("unacked_index", {lost.delivery_tag: 1.0, held.delivery_tag: 1.0})  # both silent for years …
    living.channel.qos.renew()  # … but one of them gives a sign of life
    other = Taker(connect())
    other.channel.qos.restore_visible()
    assert [message.payload for message in other.take(1)] == ["of the dead"]
    assert other.nothing_comes()


@pytest.mark.parametrize("role", [Role.WORKER, Role.INDEXER])
def test_messages_of_another_role_are_left_to_it_and_hide_none_behind_them(
    role: Role, connect: Callable[[], kombu.Connection], broker: redis.Redis, servers: Servers, live_settings: Settings
) -> None:
    own, other = (BULK_QUEUE, INDEXER_QUEUE) if role is Role.WORKER else (INDEXER_QUEUE, BULK_QUEUE)
    holder = connect().channel()
    for score, queue in enumerate((other, other, own, own), 1):
        publish(connect(), queue, {"to": queue})
        message = holder.basic_get(queue)
        broker.zadd(UNACKED_INDEX, {message.delivery_tag: score})
    app = make_app("swept", servers.settings(live_settings.home, user=role))
    with closing(app.connection_for_read()) as connection:
        connection.channel().qos.restore_visible(num=1)
        assert (broker.llen(own), broker.llen(other)) == (1, 0)
        connection.channel().qos.restore_visible()
        assert (broker.llen(own), broker.llen(other), broker.hlen(UNACKED)) == (2, 0, 2)


def test_a_sweep_that_comes_late_does_not_take_a_renewed_message_away(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "celery", "mine")
    holder = Taker(connect())
    (message,) = holder.take(1)
    seen = broker.zscore("unacked_index", message.delivery_tag)
    assert seen is not None
    broker.zadd("unacked_index", {message.delivery_tag: seen + 1})
    holder.channel.qos.restore_by_tag(message.delivery_tag, seen=seen)
    assert broker.llen("celery") == 0
    assert broker.hlen("unacked") == 1


def test_a_renewal_does_not_revive_what_was_taken_away(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "celery", "x")
    frozen = Taker(connect())
    (message,) = frozen.take(1)
    broker.zadd("unacked_index", {message.delivery_tag: 1.0})
    connect().channel().qos.restore_visible()
    frozen.channel.qos.renew()
    assert broker.zcard("unacked_index") == 0
    assert broker.llen("celery") == 1


def test_acknowledged_messages_leave_nothing_behind(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "celery", *range(20))
    taker = Taker(connect())
    for message in taker.take(20):
        message.ack()
    assert [key for key in broker.scan_iter() if not key.startswith("_kombu.binding")] == []


def test_a_rejected_message_goes_to_the_front_of_its_queue(connect: Callable[[], kombu.Connection]) -> None:
    publish(connect(), "celery", "first", "second", "third")
    taker = Taker(connect(), prefetch_count=1)
    (first,) = taker.take(1)
    first.reject(requeue=True)
    (again,) = taker.take(1)
    assert again.payload == "first"
    assert again.headers["redelivered"] is True
    again.ack()
    assert taker.take(1)[0].payload == "second"


_taking = threading.Event()


def takes(_queue: str) -> bool:
    return _taking.is_set()


def test_what_a_broker_that_only_reads_could_not_be_told_is_said_when_work_is_taken_again(
    live_settings: Settings, broker: redis.Redis
) -> None:
    app = make_app("test", live_settings, takes=f"{__name__}:{takes.__name__}")
    _taking.set()
    with app.connection_for_read() as connection:
        publish(connection, "celery", 1)
        taker = Taker(connection)
        (message,) = taker.take(1)
        try:
            broker.replicaof("127.0.0.1", "1")
            message.reject(requeue=True)
            _taking.clear()  # before a look for work is refused
            assert taker.nothing_comes()
        finally:
            broker.replicaof("NO", "ONE")
        assert taker.nothing_comes()
        assert broker.hlen("unacked") == 1
        _taking.set()
        for _ in range(2):  # a look that is answered, and one that finds the message
            taker.channel.reset_poll()
            found = taker.channel.fetch()
        assert found, "it is still held, and would be as long as this consumer lives"
        taker.messages[-1].ack()
        assert not broker.exists("unacked", "celery")


@pytest.mark.parametrize("limit", ["of all", "of some queues"])
def test_whoever_ended_what_a_broker_could_not_be_told_of_is_free_and_learns_when_it_can_be_used_again(
    live_settings: Settings, broker: redis.Redis, limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app("test", live_settings, per_queue_prefetch=(2, (BULK_QUEUE,)) if limit == "of some queues" else None)
    with app.connection_for_read() as connection:
        publish(connection, BULK_QUEUE, 1, 2, 3)
        taker = Taker(connection, (BULK_QUEUE,), prefetch_count=2 if limit == "of all" else 0)
        both = taker.take(2)
        try:
            broker.replicaof("127.0.0.1", "1")
            for message in both:
                message.ack()
            assert taker.nothing_comes()
            assert "the broker can do nothing now" in caplog.text, "with nobody in work, it must be asked to be known"
            taker.channel.qos.renew()
        finally:
            broker.replicaof("NO", "ONE")
        assert taker.take(1)[0].payload == 3
        assert broker.hlen("unacked") == 1, "the two are let go of"


def test_a_consumer_whose_children_are_all_busy_learns_by_its_leases_that_the_broker_can_do_nothing(
    broker: redis.Redis, connect: Callable[[], kombu.Connection], caplog: pytest.LogCaptureFixture
) -> None:
    publish(connect(), "celery", 1, 2)
    taker = Taker(connect(), prefetch_count=1)
    (message,) = taker.take(1)
    try:
        broker.replicaof("127.0.0.1", "1")
        taker.channel.qos.renew()
        assert taker.channel.refusing
        assert "the broker can do nothing now" in caplog.text
    finally:
        broker.replicaof("NO", "ONE")
    taker.channel.qos.renew()
    message.ack()
    assert taker.take(1)[0].payload == 2
    assert not taker.channel.refusing


def test_a_full_broker_hands_nothing_out(connect: Callable[[], kombu.Connection], broker: redis.Redis) -> None:
    publish(connect(), "celery", 1)
    taker = Taker(connect())
    try:
        broker.config_set("maxmemory", 1)
        assert taker.nothing_comes()
        assert taker.channel.refusing
    finally:
        broker.config_set("maxmemory", 0)
    assert broker.llen("celery") == 1
    assert taker.take(1)[0].payload == 1


def test_a_message_that_a_full_broker_cannot_keep_for_later_is_held_by_nobody_and_comes_again_when_it_can(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "celery", 1)
    taker = Taker(connect(), prefetch_count=1)
    (message,) = taker.take(1)
    try:
        broker.config_set("maxmemory", 1)
        assert taker.channel.qos.park(message.delivery_tag, broker.time()[0] + 3600)
        assert taker.channel.qos.working_tags() == []
    finally:
        broker.config_set("maxmemory", 0)
    assert taker.take(1)[0].payload == 1
    assert broker.hlen(UNACKED) == 1


def test_queues_are_served_in_strict_order(connect: Callable[[], kombu.Connection]) -> None:
    for queue in reversed(WORKER_QUEUES):
        publish(connect(), queue, queue, queue)
    taken = [message.payload for message in Taker(connect(), WORKER_QUEUES).take(8)]
    assert taken == [queue for queue in WORKER_QUEUES for _ in range(2)]


def test_the_last_queue_is_served_although_others_never_empty(connect: Callable[[], kombu.Connection]) -> None:
    *others, last = WORKER_QUEUES[1:]
    publish(connect(), last, "at last")
    for queue in others:
        publish(connect(), queue, *[queue] * 3 * FAIR_TURN)
    assert "at last" in [message.payload for message in Taker(connect(), WORKER_QUEUES).take(3 * FAIR_TURN)]


def test_no_message_is_taken_while_nobody_is_free(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "celery", *range(3))
    taker = Taker(connect(), prefetch_count=2)
    first, _ = taker.take(2)
    assert taker.nothing_comes()
    assert broker.llen("celery") == 1
    first.ack()
    assert taker.take(1)[0].payload == 2


def test_a_reply_that_needs_no_acknowledgement_is_not_recorded(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "replies", "pong")
    assert Taker(connect(), ("replies",), no_ack=True).take(1)[0].payload == "pong"
    assert broker.exists("unacked", "unacked_index") == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe",
        b"not json",
        b"[]",
        b'"text"',
        b"{}",
        b'{"properties": {"delivery_tag": 5}}',
        b'{"properties": {"delivery_tag": "1", "body_encoding": "base64"}, "body": "x"}',
        b'{"properties": {"delivery_tag": "1", "body_encoding": "rot13"}, "body": "x"}',
    ],
)
def test_what_is_no_message_is_delivered_as_a_malformed_one(
    connect: Callable[[], kombu.Connection], broker: redis.Redis, raw: bytes
) -> None:
    broker.lpush("celery", raw)
    (message,) = Taker(connect()).take(1)
    assert message.content_type == MALFORMED
    assert broker.hlen("unacked") == 1
    message.ack()
    assert broker.exists("unacked", "unacked_index", "celery") == 0


@pytest.mark.parametrize(
    "properties", [{"delivery_tag": "1", "body_encoding": "rot13"}, {"delivery_tag": 5}, {}], ids=["encoding", "tag", "nothing"]
)
def test_a_malformed_message_says_whose_task_it_was_where_it_did(
    connect: Callable[[], kombu.Connection], broker: redis.Redis, properties: dict[str, Any]
) -> None:
    said = {"id": "t-1", "task": "packsight.recognize", "retries": 5}
    broker.lpush("celery", json.dumps({"headers": said, "properties": properties, "body": "x"}))
    (message,) = Taker(connect()).take(1)
    assert message.content_type == MALFORMED
    assert {name: message.headers.get(name) for name in said} == said | {"retries": None}
    message.ack()


@pytest.mark.parametrize(
    "written",
    [
        '{"priority": 1e999, "delivery_tag": "1", "delivery_info": {}}',
        '{"delivery_tag": "1", "more": 0x10}',
        '{"delivery_tag": "1", "more": "two\nlines"}',
        f'{{"delivery_tag": "1", "more": {"[" * 990}{"]" * 990}}}',
    ],
    ids=["a priority without end", "another number", "another text", "too deep"],
)
def test_what_only_the_server_can_read_comes_back_and_holds_up_nothing_behind_it(
    connect: Callable[[], kombu.Connection], broker: redis.Redis, written: str
) -> None:
    broker.lpush("celery", f'{{"properties": {written}, "headers": {{}}, "body": "1", "content-type": "application/json"}}')
    publish(connect(), "celery", "behind it")
    dead = Taker(connect(), prefetch_count=2)
    odd, plain = dead.take(2)
    broker.zadd(UNACKED_INDEX, {odd.delivery_tag: 1.0, plain.delivery_tag: 2.0})
    other = Taker(connect())
    other.channel.qos.restore_visible()
    back = other.take(2)
    assert {(message.content_type, message.body) for message in back} == {(one.content_type, one.body) for one in (odd, plain)}
    assert "behind it" in [message.payload for message in back if message.content_type != MALFORMED]
    back[0].requeue()
    assert other.take(1)[0].body == back[0].body


def test_a_parked_message_is_held_by_nobody_until_its_time(
    live_settings: Settings, connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "celery", 1, 2)
    taker = Taker(connect(), prefetch_count=1)
    (message,) = taker.take(1)
    now = float(broker.time()[0])
    assert not taker.channel.qos.park(message.delivery_tag, now - 1), "it is due"
    assert taker.channel.qos.unacked_tags() == [message.delivery_tag]
    assert taker.channel.qos.park(message.delivery_tag, now + 3600)
    assert taker.channel.qos.unacked_tags() == []
    assert taker.take(1)[0].payload == 2
    taker.channel.qos.renew()
    taker.channel.qos.restore_visible()
    assert broker.llen("celery") == 0
    with closing(open_broker(live_settings)) as seen:
        backlog = seen.backlog(["celery"])
    assert (backlog.parked, backlog.unacked) == (1, 1)
    # Its time: a sweep of anybody puts it back.
    broker.zincrby("unacked_index", -3601, message.delivery_tag)
    taker.channel.qos.restore_visible()
    assert broker.llen("celery") == 1


@pytest.mark.parametrize("origin", ["x", ["x"], {"routing_key": "elsewhere"}, {"consumer_tag": ["x"], "redelivered": {}}, None])
def test_a_message_comes_from_the_queue_that_it_lay_in(
    connect: Callable[[], kombu.Connection], broker: redis.Redis, origin: Any
) -> None:
    publish(connect(), "packsight.recognize", 1)
    message = waiting(broker)
    message["properties"]["delivery_info"] = origin
    broker.delete("packsight.recognize")
    broker.lpush("packsight.recognize", json.dumps(message))
    taker = Taker(connect(), ("packsight.recognize",))
    (taken,) = taker.take(1)
    assert taken.delivery_info == {"exchange": "", "routing_key": "packsight.recognize"}
    assert taker.channel.qos.queue_of(taken.delivery_tag) == "packsight.recognize"


@pytest.mark.parametrize("packed", ["gzip", "bzip2", "lzma"])
def test_packed_messages_are_unpacked(connect: Callable[[], kombu.Connection], packed: str) -> None:
    connect().Producer(serializer="json").publish(["Шампунь"] * 100, routing_key="celery", compression=packed)
    (message,) = Taker(connect()).take(1)
    assert message.payload == ["Шампунь"] * 100


@pytest.mark.parametrize("packed", ["gzip", "bzip2", "lzma"])
def test_what_would_unpack_to_more_than_any_message_is_not_unpacked(connect: Callable[[], kombu.Connection], packed: str) -> None:
    connect().Producer(serializer="json").publish("x" * (MAX_BYTES + 1), routing_key="celery", compression=packed)
    (message,) = Taker(connect()).take(1)
    assert message.content_type == MALFORMED
    assert f"{MAX_BYTES:,}" in message.headers[REASON]


def test_the_stock_transport_can_put_back_what_ours_recorded(
    live_settings: Settings, connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    publish(connect(), "packsight.recognize", {"nothing": [], "empty": {}, "exact": 1.0, "text": "Шампунь"})
    before = waiting(broker)
    (message,) = Taker(connect(), ("packsight.recognize",)).take(1)
    unchanged = stock_transport(live_settings)
    stock_channel = unchanged.create_channel(unchanged)
    stock_channel.qos.restore_by_tag(message.delivery_tag)
    after = waiting(broker)
    assert after["body"] == before["body"]
    assert broker.exists("unacked", "unacked_index") == 0
    stock_channel.close()


def test_messages_are_taken_again_after_the_scripts_were_flushed(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    taker = Taker(connect())
    publish(connect(), "celery", 1)
    taker.take(1)
    broker.script_flush()
    publish(connect(), "celery", 2)
    assert taker.take(1)[0].payload == 2


def test_a_single_message_can_be_fetched_directly(
    connect: Callable[[], kombu.Connection], broker: redis.Redis
) -> None:
    channel = connect().channel()
    assert channel.basic_get("celery") is None
    publish(connect(), "celery", "one")
    message = channel.basic_get("celery")
    assert message.payload == "one"
    assert broker.hlen("unacked") == 1
    message.ack()
    assert broker.exists("unacked") == 0


def test_a_channel_sends_all_commands_by_one_client_and_by_another_when_its_connections_were_dropped(
    connect: Callable[[], kombu.Connection],
) -> None:
    channel = connect().channel()
    with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
        assert first is second
    channel._disconnect_pools()
    with channel.conn_or_acquire() as third:
        assert third is not first
        assert third.connection_pool is channel.pool
        assert third.ping()


def test_publishing_to_a_broker_that_is_away_fails_with_an_error(live_settings: Settings) -> None:
    away = live_settings.model_copy(update={"broker_url": type(live_settings.broker_url)("redis://127.0.0.1:1/0")})
    app = make_app("producer", away)
    with pytest.raises(kombu.exceptions.OperationalError):
        app.send_task("packsight.recognize", args=[{"images": ["a"]}], ignore_result=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SecretStr]:
    """Address of a server in cluster mode."""
    port, bus = free_ports(2)
    spec = services.valkey(tmp_path / "valkey", port, dict.fromkeys(Role, "secret"))
    spec = replace(spec, stdin=f"{spec.stdin}\ncluster-enabled yes\ncluster-port {bus}")
    process = services.start(spec, tmp_path / "log")
    try:
        services.wait_ready(spec, process, tmp_path / "log")
        yield SecretStr(f"redis://operator:secret@127.0.0.1:{port}/0")
    finally:
        services.stop(process)


def test_a_cluster_is_refused_at_the_first_connection(live_settings: Settings, cluster: SecretStr) -> None:
    settings = live_settings.model_copy(update={"broker_url": cluster, "result_url": cluster})
    with make_app("test", settings).connection_for_write() as connection, pytest.raises(UserError, match="is a cluster"):
        connection.default_channel  # noqa: B018
    with closing(open_broker(settings)) as broker, pytest.raises(UserError, match="is a cluster"):
        broker.backlog(WORKER_QUEUES)
    with closing(Ledger(settings)) as ledger, pytest.raises(UserError, match="is a cluster"):
        ledger.jobs.active()


def test_the_broker_tells_what_waits_and_what_is_held(live_settings: Settings) -> None:
    app = make_app("test", live_settings)
    names = [app.send_task(RECOGNIZE, args=[{}], queue=queue).id for queue in (BULK_QUEUE, BULK_QUEUE, DESCRIBE_QUEUE)]
    with app.connection_for_read() as connection, closing(open_broker(live_settings)) as broker:
        assert broker.backlog(WORKER_QUEUES).waiting == dict.fromkeys(WORKER_QUEUES, 0) | {BULK_QUEUE: 2, DESCRIBE_QUEUE: 1}
        (message,) = Taker(connection, (BULK_QUEUE,), prefetch_count=1).take(1)
        seen = broker.backlog(WORKER_QUEUES)
        assert (seen.waiting[BULK_QUEUE], seen.unacked, seen.empty) == (1, 1, False)
        assert broker.task_ids(WORKER_QUEUES) == set(names)
        message.ack()
        assert broker.task_ids([BULK_QUEUE]) == {names[1]}
        assert broker.backlog([INTERACTIVE_QUEUE]).empty


class Listener(Taker):
    """A consumer with an event loop, like a worker."""

    def __init__(self, connection: kombu.Connection, **options: Any) -> None:
        super().__init__(connection, **options)
        self.hub = Hub()
        connection.register_with_event_loop(self.hub)
        # One hub at a time is the process's own, and kombu's parts take it for theirs.
        set_event_loop(None)

    def rest(self) -> None:
        """Let the loop run for a moment."""
        over: list[bool] = []
        self.hub.call_later(0.3, over.append, True)
        self.until(lambda: over)

    def until(self, happened: Callable[[], object]) -> None:
        """Let the loop run until something has happened."""
        deadline = monotonic() + 20
        while not happened():
            assert monotonic() < deadline, "it does not happen"
            self.hub.run_once()


def asked(broker: redis.Redis) -> int:
    """How often scripts were called: looks into queues among them."""
    stats: dict[str, Any] = broker.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {"calls": 0})["calls"])


def told(broker: redis.Redis) -> list[str]:
    """Ids of the connections that the server tells of changes."""
    return [str(one["id"]) for one in broker.client_list() if "t" in one["flags"]]


@pytest.fixture
def never_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would look into empty queues again during a test."""
    for name in ("POLL_SECONDS", "BUSY_POLL_SECONDS", "TOLD_POLL_SECONDS"):
        monkeypatch.setattr(channels, name, 3600.0)


@pytest.mark.usefixtures("never_polled")
def test_an_idle_worker_is_told_of_messages_whoever_sends_them(
    broker: redis.Redis, connect: Callable[[], kombu.Connection], live_settings: Settings
) -> None:
    listener = Listener(connect(), queues=WORKER_QUEUES)
    with closing(listener.hub):
        listener.until(lambda: told(broker))
        publish(connect(), DESCRIBE_QUEUE, 1)
        listener.until(lambda: listener.messages)
        with kombu.Connection(live_settings.broker_url.get_secret_value()) as other:
            publish(other, INTERACTIVE_QUEUE, 2)
            listener.until(lambda: len(listener.messages) == 2)
        listener.rest()
        before = asked(broker)
        listener.rest()
        assert asked(broker) == before, "it looks again and again"


@pytest.mark.usefixtures("never_polled")
def test_a_worker_whose_connection_for_word_is_lost_opens_another(
    broker: redis.Redis, connect: Callable[[], kombu.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "ASK_AGAIN_SECONDS", 0.0)
    listener = Listener(connect(), queues=WORKER_QUEUES)
    with closing(listener.hub):
        listener.until(lambda: told(broker))
        (lost,) = told(broker)
        broker.client_kill_filter(_id=lost)
        listener.until(lambda: told(broker) not in ([], [lost]))
        publish(connect(), BULK_QUEUE, 1)
        listener.until(lambda: listener.messages)


def test_a_worker_that_may_not_be_told_polls(broker: redis.Redis, live_settings: Settings) -> None:
    broker.acl_setuser(
        "plain", enabled=True, nopass=True, commands=["+@all", "-client|tracking"], keys=["*"], channels=["*"]
    )
    try:
        url = f"redis://plain:any@{live_settings.broker_url.get_secret_value().rpartition('@')[2]}"
        app = make_app("test", live_settings.model_copy(update={"broker_url": SecretStr(url)}))
        with app.connection_for_read() as connection, app.connection_for_write() as sender:
            listener = Listener(connection, queues=WORKER_QUEUES)
            with closing(listener.hub):
                publish(sender, BULK_QUEUE, 1)
                listener.until(lambda: listener.messages)
                publish(sender, INTERACTIVE_QUEUE, 2)
                listener.until(lambda: len(listener.messages) == 2)
                assert told(broker) == []
    finally:
        broker.acl_deluser("plain")


@pytest.mark.usefixtures("never_polled")
def test_a_worker_that_was_called_in_vain_is_called_no_more_often_than_it_would_poll(
    broker: redis.Redis, connect: Callable[[], kombu.Connection]
) -> None:
    listener = Listener(connect(), queues=WORKER_QUEUES)
    with closing(listener.hub):
        listener.until(lambda: told(broker))

        def called_in_vain() -> int:
            """Let someone else be faster; how often does the worker look?"""
            before = asked(broker)
            with broker.pipeline() as pipe:
                pipe.lpush(BULK_QUEUE, "x")
                pipe.rpop(BULK_QUEUE)
                pipe.execute()
            listener.rest()
            return asked(broker) - before

        assert called_in_vain() == 1
        assert called_in_vain() == 0


@pytest.mark.usefixtures("never_polled")
def test_the_loop_does_not_sleep_over_what_was_taken(broker: redis.Redis, connect: Callable[[], kombu.Connection]) -> None:
    """The pool of children looks at the start of a turn for what to hand on; if that was before the fetch, it needs another."""
    listener = Listener(connect(), queues=WORKER_QUEUES)
    poll = listener.hub.poller.poll
    woken: list[bool] = []

    def noted(timeout: float) -> Any:
        events = poll(timeout)
        if listener.messages:
            woken.append(bool(events))
        return events

    listener.hub.poller.poll = noted
    with closing(listener.hub):
        listener.until(lambda: told(broker))
        publish(connect(), BULK_QUEUE, 1)
        listener.until(lambda: woken)
        assert woken == [True]
