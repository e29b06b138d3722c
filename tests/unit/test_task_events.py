"""What happens to tasks is published together with what happens soon after, whatever becomes of the timer that is to do so."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock

import pytest
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu.asynchronous import Hub, get_event_loop, set_event_loop

from packsight.shared.queue import consumer as consumers
from packsight.shared.queue.consumer import Consumer


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Consumer]:
    """One with an event loop of its own, at whose turns all is published that is due."""
    monkeypatch.setattr(consumers, "EVENTS_SECONDS", 0)
    monkeypatch.setattr(CeleryConsumer, "__init__", Mock(return_value=None))
    monkeypatch.setattr(consumers, "DeadLetters", Mock())
    monkeypatch.setattr(consumers, "Watchdog", Mock(return_value=Mock(period=60)))
    monkeypatch.setattr(CeleryConsumer, "app", Mock(), raising=False)
    monkeypatch.setattr(CeleryConsumer, "pool", Mock(), raising=False)
    before, hub = get_event_loop(), Hub()
    made = Consumer()
    made.hub, made.event_dispatcher = hub, Mock()
    made.init_callback, made.task_consumer, made.blueprint = None, Mock(), Mock()
    yield made
    set_event_loop(before)
    hub.close()


def published(consumer: Consumer) -> int:
    """How often something was published up to the next turn of the loop."""
    next(consumer.hub.create_loop())
    return int(consumer.event_dispatcher.flush.call_count)


def test_what_happens_in_a_moment_is_published_once(consumer: Consumer) -> None:
    for round_ in (1, 2):
        for _ in range(5):
            consumer.on_send_event_buffered()
        assert published(consumer) == round_
    assert published(consumer) == 2


def test_a_new_connection_goes_on_although_the_timers_of_the_old_one_are_gone(consumer: Consumer) -> None:
    consumer.on_send_event_buffered()
    consumer.hub.timer.clear()
    consumer.on_send_event_buffered()
    assert published(consumer) == 0
    consumer.on_ready()
    consumer.on_send_event_buffered()
    assert published(consumer) == 1


def test_a_worker_that_ends_tells_what_is_still_to_be_told(consumer: Consumer) -> None:
    consumer.on_send_event_buffered()
    consumer.shutdown()
    assert consumer.event_dispatcher.flush.call_count == 1
    consumer.event_dispatcher = None
    consumer.shutdown()
