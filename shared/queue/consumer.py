"""Celery's consumer, which takes messages and hands them to the children, with habits of our own.

It comes back fast after a broker's restart. Batches that are running then go on under the new connection instead of
being delivered a second time. A message that cannot become a task is put aside on the dead-letter list instead of
being thrown away or, worse, ending the worker. One that is to wait does so in the broker, where it holds nobody. And
children that do nothing with what they were handed are killed. Its event loop has a heartbeat, by which its health is judged.
"""

from __future__ import annotations

import functools
import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

from celery.exceptions import CPendingDeprecationWarning, InvalidTaskError
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu.asynchronous import set_event_loop
from redis import RedisError

from packsight.shared.contract.errors import MessageError
from packsight.shared.queue import headers, refused
from packsight.shared.queue.broker import Leases
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.heartbeat import PERIOD, heartbeat
from packsight.shared.queue.pulse import pulses
from packsight.shared.queue.refusals import Refusing
from packsight.shared.queue.watchdog import Watchdog

log = logging.getLogger(__name__)

# Celery announces at every lost connection what a later release will do by default; here it is set.
warnings.filterwarnings("ignore", message=r"\s*In Celery 5\.1 we introduced", category=CPendingDeprecationWarning)

EVENTS_SECONDS = 0.1
"""For so long at most what happens to tasks waits to be published together with what happens next: a message at every turn of
the event loop, as Celery sends them, took a quarter of the parent's time in a queue of answers that cost nothing."""
ASIDE_SECONDS = 15.0
"""Until a message that could not be put aside comes again."""
REFUSED_SECONDS = 2.0
"""Until a worker connects again to a broker that can be reached and can do nothing now."""


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Named by the setting `worker_consumer`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dead_letters = DeadLetters(self.app.settings)
        self.watchdog = Watchdog(self.pool, pulses(), self.app.settings.worker.begin_timeout)
        self.events_due = False

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, at first at short intervals: Celery's own, 2, 4, 6… s, sleep through most of a broker's restart."""
        connect = functools.partial(conn.ensure_connection, interval_start=0.2, interval_step=0.2, interval_max=1.0)

        def ensure(*args: Any, callback: Callable[[], None], **options: Any) -> Any:
            def each_time() -> None:
                heartbeat().connecting()
                callback()

            heartbeat().connecting()
            return connect(*args, callback=each_time, **options)

        conn.ensure_connection = ensure
        return super().ensure_connected(conn)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Leave to the old channel what no child has begun: closing it puts that back, but not the running batches."""
        if self.task_consumer is not None:
            held: Leases = self.task_consumer.channel.qos
            for request in tuple(state.active_requests):
                held.forget(request.message.delivery_tag)
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, Refusing):
            log.error("the broker can be reached, but %s", exc)
            time.sleep(REFUSED_SECONDS)

    def on_ready(self) -> None:
        """Take running batches over to the new channel, which renews and acknowledges them from now on."""
        super().on_ready()
        if self.hub is not None:  # which forgets its timers when a connection is lost
            self.hub.call_repeatedly(self.watchdog.period, self.watchdog.look)
            self.hub.call_repeatedly(PERIOD, heartbeat().beat, self)
            self.events_due = False
            # Resetting the hub after a lost connection also makes it no longer the current one, and a warm shutdown would
            # then neither renew nor acknowledge what is still running.
            set_event_loop(self.hub)
        held: Leases = self.task_consumer.channel.qos
        for request in tuple(state.active_requests):
            if not request.acknowledged and request.message.channel is not self.task_consumer.channel:
                held.adopt(request.message)
        held.renew()

    def on_send_event_buffered(self) -> None:
        """Publish soon what happened to tasks; those who watch lose what still waits when the broker is lost, as they lose it."""
        if self.hub is not None and not self.events_due:
            self.events_due = True
            self.hub.call_later(EVENTS_SECONDS, self.publish_events)

    def publish_events(self) -> None:
        """Publish what happened to tasks since the last time."""
        self.events_due = False
        if self.event_dispatcher:
            self.event_dispatcher.flush()

    def shutdown(self) -> None:
        """Publish what is still to be told, also of tasks that ended while the pool was closed."""
        self.publish_events()
        super().shutdown()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Look at each message before Celery does."""
        handle = super().create_task_handler(*args, **kwargs)

        def look(message: Any) -> None:
            try:
                due = headers.admit(message)
            except InvalidTaskError as error:
                self._put_aside(message, error)
                return
            held: Leases = message.channel.qos
            if due is None or not held.park(message.delivery_tag, due):
                handle(message)

        return look

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Put a message aside that names no task."""
        self._put_aside(message, ValueError("the message names no task"))

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Put a message aside whose task this worker does not have."""
        self._put_aside(message, LookupError(f"this worker has no task {exc}"))

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Put a message aside that breaks Celery's protocol or has a content type that is not accepted."""
        self._put_aside(message, exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Put a message aside whose body cannot be read."""
        self._put_aside(message, exc)

    def _put_aside(self, message: Any, error: Exception) -> None:
        dead_letter = refused.dead_letter(message, error)
        try:
            self.dead_letters.put(dead_letter)
        except RedisError as away:  # which ends neither the worker nor the message
            log.warning("a message cannot be put aside and comes again: %s: %s", type(away).__name__, away)
            held: Leases = message.channel.qos
            held.put_off(message.delivery_tag, ASIDE_SECONDS)
            return
        if dead_letter.task_id:
            # Whoever waits for this task, or for what follows on it, learns why it will not come.
            refusal = MessageError(message=dead_letter.message)
            self.app.backend.mark_as_failure(
                dead_letter.task_id, refusal, request=refused.context(message, dead_letter.task_id)
            )
            if self.event_dispatcher:
                self.event_dispatcher.send("task-failed", uuid=dead_letter.task_id, exception=repr(error))
        message.reject_log_error(log, self.connection_errors)

