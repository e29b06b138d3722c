"""The transport as a state machine against a real server: whatever consumers do and die of, no message is lost or doubled."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from packsight.shared.queue.app import App, make_app
from packsight.shared.queue.transport.contract import UNACKED, UNACKED_INDEX
from packsight.shared.settings import Settings

QUEUES = ("packsight.interactive", "celery", "packsight.recognize")
PREFETCH = 4
LONG_AGO = 1.0


class Consumer:
    """A connection with what was taken over it; its pauses between empty looks are left out."""

    def __init__(self, app: App) -> None:
        self.connection = app.connection_for_read()
        self.channel = self.connection.channel()
        self.channel.basic_qos(0, PREFETCH, False)
        self.taken: list[Any] = []
        for queue in QUEUES:
            self.channel.basic_consume(queue, False, self.taken.append, queue)

    def take(self) -> Any | None:
        self.channel.reset_poll()
        before = len(self.taken)
        self.channel.fetch()
        return self.taken[-1] if len(self.taken) > before else None

    def held(self) -> dict[str, int]:
        """Numbers of the messages that it holds, by tag; some may have been given to the other one."""
        qos = self.channel.qos
        return {tag: qos.get(tag).payload for tag in qos.unacked_tags()}


def machine(app: App, broker: redis.Redis) -> type[RuleBasedStateMachine]:
    """Make the machine; every run of it starts from an empty broker and two consumers."""
    either = st.integers(0, 1)

    class Transport(RuleBasedStateMachine):
        held = Bundle("held")

        def __init__(self) -> None:
            super().__init__()
            broker.flushdb()
            self.consumers = [Consumer(app), Consumer(app)]
            self.sender = app.connection_for_write()
            self.sent = 0
            self.waiting: set[int] = set()
            self.in_work: set[int] = set()
            """Messages that a consumer was given and nobody has put back or acknowledged since."""

        def teardown(self) -> None:
            self.sender.close()
            for consumer in self.consumers:
                consumer.connection.close()

        @rule(queue=st.sampled_from(QUEUES), count=st.integers(1, 3))
        def send(self, queue: str, count: int) -> None:
            for _ in range(count):
                self.sender.Producer(serializer="json").publish(self.sent, routing_key=queue)
                self.waiting.add(self.sent)
                self.sent += 1

        @rule(target=held, which=either)
        def take(self, which: int) -> Any:
            consumer = self.consumers[which]
            free = len(consumer.held()) < PREFETCH
            message = consumer.take()
            assert (message is not None) == (bool(self.waiting) and free), (
                "taken when someone is free and something waits"
            )
            if message is None:
                return multiple()
            self.waiting.remove(message.payload)
            self.in_work.add(message.payload)
            return message

        @rule(message=consumes(held))
        def acknowledge(self, message: Any) -> None:
            """Whoever has the result ends the message, also one that was given to the other consumer meanwhile."""
            message.ack()
            self.in_work.discard(message.payload)

        @rule(message=consumes(held))
        def put_back(self, message: Any) -> None:
            message.reject(requeue=True)
            self.lose(message.payload)

        @rule(silent=st.sets(either), wakes=st.booleans(), sweeper=either)
        def time_passes(self, silent: set[int], wakes: bool, sweeper: int) -> None:
            """All stamps become old, the consumers that are not silent renew theirs, and someone puts the rest back.

            A silent one that wakes renews what it thinks it holds, which must not take anything back.
            """
            for tag in map(str, broker.hkeys(UNACKED)):
                broker.zadd(UNACKED_INDEX, {tag: LONG_AGO}, xx=True)
            living = [consumer for which, consumer in enumerate(self.consumers) if which not in silent]
            for consumer in living:
                consumer.channel.qos.renew()
            renewed = {number for consumer in living for number in consumer.held().values()}
            self.consumers[sweeper].channel.qos.restore_visible()
            for number in set(self.in_work) - renewed:
                self.lose(number)
            if wakes:
                for consumer in self.consumers:
                    consumer.channel.qos.renew()

        def lose(self, number: int) -> None:
            if number in self.in_work:
                self.in_work.remove(number)
                self.waiting.add(number)

        @invariant()
        def the_broker_has_every_message_once(self) -> None:
            assert sum(broker.llen(queue) for queue in QUEUES) == len(self.waiting)
            assert broker.hlen(UNACKED) == len(self.in_work)
            assert set(broker.hkeys(UNACKED)) == set(broker.zrange(UNACKED_INDEX, 0, -1))

    return Transport


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_message_is_lost_or_doubled_whatever_consumers_do(live_settings: Settings) -> None:
    app = make_app("test", live_settings)
    url = live_settings.broker_url.get_secret_value()
    few = settings(
        max_examples=30, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    with redis.Redis.from_url(url, decode_responses=True) as broker:
        run_state_machine_as_test(machine(app, broker), settings=few)
