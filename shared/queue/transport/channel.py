"""kombu's Redis transport, made so that no death of a worker or broker can lose a message.

kombu pops a message and records it as unacknowledged in two round trips; what dies in between takes the message
along. Here both are one script. Three things follow from owning the fetch: queues are served in strict order, a
message is only taken when a child is free for it, and what a living consumer holds is renewed, so that the visibility
timeout measures the silence of a dead worker and not the length of a task.

All keys keep kombu's names and forms: producers, inspectors and workers on the stock transport can share the broker.
One Redis server (or a primary with replicas) and no `global_keyprefix`: the script touches several keys at once.
Leases are renewed by the event loop, so use the prefork pool; a `solo` worker that is busy renews nothing.

Builds on internals of kombu 5.7.0; the version is pinned.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any, cast

from kombu import transport as kombu_transport
from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str

log = logging.getLogger(__name__)

POLL_SECONDS = 0.025
"""How long an idle consumer may overlook a new message. Redis cannot block on several lists without popping."""
BUSY_POLL_SECONDS = 0.05
"""The same while it holds as much as it may of some queues: a look takes a third of a millisecond from those who work."""
FAIR_TURN = 16
"""Every so many messages, the queues behind the first take turns at being served before the others."""
BURST = 64
"""Messages taken in one turn of the event loop at most, so that a consumer without a limit hears its other events."""
RENEWALS_PER_TIMEOUT = 4
SWEEP_LIMIT = 1000
MALFORMED = "application/x-malformed"

_FETCH = (Path(__file__).parent / "transport_fetch.lua").read_text()
_REQUEUE = (Path(__file__).parent / "transport_requeue.lua").read_text()


def install() -> None:
    """Make redis:// and rediss:// mean this transport, in this process."""
    for scheme in ("redis", "rediss"):
        kombu_transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
        kombu_transport._transport_cache.pop(scheme, None)


def service_order(queues: Sequence[str], taken: int) -> list[str]:
    """Return the order in which to look into queues after `taken` messages.

    Strictly as given, so that the first is always served first; but on every FAIR_TURN-th message the others are
    rotated, each time further, so that none of them waits for ever behind one that never empties.
    """
    first, rest = list(queues[:1]), list(queues[1:])
    if not rest or taken % FAIR_TURN != FAIR_TURN - 1:
        return first + rest
    shift = (taken // FAIR_TURN + 1) % len(rest)
    return first + rest[shift:] + rest[:shift]


class Message(virtual.Message):  # type: ignore[misc]
    """A message that can always be made: one that breaks the rules becomes a malformed one, with its text as body."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        try:
            super().__init__(payload, channel=channel, **kwargs)
        except Exception:  # whatever a foreign program wrote into the list
            super().__init__(_envelope(payload), channel=channel, **kwargs)


def _envelope(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "body": base64.b64encode(json.dumps(payload).encode()).decode(),
        "headers": {"packsight-malformed": True},
        "content-type": MALFORMED,
        "content-encoding": "utf-8",
        "properties": {
            "delivery_tag": payload["properties"]["delivery_tag"],
            "delivery_info": {"exchange": "", "routing_key": ""},
            "body_encoding": "base64",
        },
    }


class QoS(stock.QoS):  # type: ignore[misc]
    """Keeps the record of unacknowledged messages, by the server's clock."""

    def append(self, message: Message, delivery_tag: str) -> None:
        """Note a message that the fetch has already recorded."""
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Let go of a message; whoever worked on it is free for the next one at once."""
        super().ack(delivery_tag)
        self.channel.look_now()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Drop a message, or put it back to the front of its queue."""
        if requeue:
            self.restore_by_tag(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
        else:
            super().reject(delivery_tag)

    def held(self) -> list[str]:
        """Return the tags of the messages that are neither acknowledged nor rejected."""
        return [tag for tag in list(self._delivered) if tag not in self._dirty]

    def queue_of(self, tag: str) -> str:
        """Name of the queue that a held message came from; Celery names routing key and queue alike."""
        return str(self._delivered[tag].delivery_info.get("routing_key"))

    def forget(self, tag: str) -> None:
        """Hold a message no longer, without a word to the broker."""
        self._delivered.pop(tag, None)

    def renew(self) -> None:
        """Stamp everything that is held with the present time, except what was taken from us in the meantime."""
        tags = self.held()
        if tags:
            with self.channel.conn_or_acquire() as client:
                now = _server_time(client)
                client.zadd(self.unacked_index_key, dict.fromkeys(tags, now), xx=True)

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int | None = None) -> None:
        """Put back what no living consumer has renewed within the visibility timeout.

        Needs no lock: of several sweepers, one wins each message.
        """
        with self.channel.conn_or_acquire() as client:
            latest = _server_time(client) - self.visibility_timeout
            overdue = client.zrange(
                self.unacked_index_key, "-inf", latest, byscore=True, offset=0, num=num or SWEEP_LIMIT, withscores=True
            )
            for tag, score in overdue:
                self.restore_by_tag(tag, client, seen=score)

    def restore_by_tag(
        self, tag: str | bytes, client: Any = None, leftmost: bool = False, *, seen: float | None = None
    ) -> None:
        """Put a message back to the front of its queue; with `seen`, only if its time is still that one."""
        with self.channel.conn_or_acquire(client) as connection:
            record = connection.hget(self.unacked_key, tag)
            if record is None:
                if seen is not None:
                    connection.zrem(self.unacked_index_key, tag)
                return
            payload, exchange, routing_key = json.loads(bytes_to_str(record))
            _mark_redelivered(payload)
            # An exchange that nobody has bound: kombu would drop the message, Celery names exchange and queue alike.
            queue = (self.channel._lookup(exchange, routing_key) or [routing_key])[0]
            key = self.channel._q_for_pri(queue, self.channel._get_message_priority(payload))
            self.channel.requeue_script(
                keys=[self.unacked_key, self.unacked_index_key, key],
                args=[tag, json.dumps(payload), "" if seen is None else repr(seen)],
                client=connection,
            )


def _server_time(client: Any) -> float:
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1e6


def _mark_redelivered(payload: dict[str, Any]) -> None:
    for holder in (payload.get("headers"), payload.get("properties", {}).get("delivery_info")):
        if isinstance(holder, dict):
            holder["redelivered"] = True


class Channel(stock.Channel):  # type: ignore[misc]
    """A channel that fetches by script instead of by BRPOP."""

    QoS = QoS
    Message = Message

    at_most: tuple[int, Sequence[str]] | None = None
    """Messages to be held at a time of some queues together; those of others are taken beyond that. Transport option."""
    from_transport_options = (*stock.Channel.from_transport_options, "at_most")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._unrecorded: set[str] = set()
        self._taken = 0
        self._look_again_at = 0.0
        super().__init__(*args, **kwargs)
        if self.global_keyprefix:
            self.close()
            raise ValueError("global_keyprefix is not supported: give packsight a Redis database of its own")
        self.fetch_script = self.client.register_script(_FETCH)
        self.requeue_script = self.client.register_script(_REQUEUE)

    def basic_consume(self, queue: str, no_ack: bool = False, *args: Any, **kwargs: Any) -> Any:
        """Consume from a queue; messages that need no acknowledgement are not recorded."""
        (self._unrecorded.add if no_ack else self._unrecorded.discard)(queue)
        self.look_now()
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """Take one message at once, None when there is none."""
        found = self._take([queue], set() if not no_ack else {queue})
        if found is None:
            return None
        message = self.Message(found[1], channel=self)
        if not no_ack:
            self.qos.append(message, message.delivery_tag)
        return message

    def fetch(self) -> bool:
        """Take a message and hand it to its consumer, if there is one and someone is free for it.

        After an empty look the queues are left alone for a moment. Returns whether anything was taken.
        """
        if not self.active_queues or monotonic() < self._look_again_at or not self.qos.can_consume():
            return False
        queues = service_order(self.active_queues, self._taken)
        open_ = self._open(queues)
        found = self._take(open_, self._unrecorded)
        if found is None:
            self._look_again_at = monotonic() + (POLL_SECONDS if open_ == queues else BUSY_POLL_SECONDS)
            return False
        self._taken += 1
        queue, payload = found
        self.connection._deliver(payload, queue)
        return True

    def look_now(self) -> None:
        """Let the next fetch look into the queues, however short ago they were empty."""
        self._look_again_at = 0.0

    def _open(self, queues: list[str]) -> list[str]:
        """Leave out the queues of which enough is held."""
        if self.at_most is None:
            return queues
        count, limited = self.at_most
        held = sum(self.qos.queue_of(tag) in limited for tag in self.qos.held())
        return [queue for queue in queues if queue not in limited] if held >= count else queues

    def _take(self, queues: Sequence[str], unrecorded: set[str]) -> tuple[str, dict[str, Any]] | None:
        if not queues:
            return None
        lists = [(self._q_for_pri(queue, step), queue) for queue in queues for step in self.priority_steps]
        flags = [value for _, queue in lists for value in (queue, "0" if queue in unrecorded else "1")]
        keys = [self.unacked_key, self.unacked_index_key, *(key for key, _ in lists)]
        found = self.fetch_script(keys=keys, args=flags, client=self.client)
        if not found:
            return None
        return bytes_to_str(found[0]), cast("dict[str, Any]", json.loads(bytes_to_str(found[1])))


class Poller(stock.MultiChannelPoller):  # type: ignore[misc]
    """Polls the sockets of pub/sub; queues are looked into at every turn of the event loop."""

    def on_poll_start(self) -> None:
        """Fetch for every channel and listen for every broadcast."""
        for channel in list(self._channels):
            for _ in range(BURST):
                if not channel.fetch():
                    break
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)

    def renew(self) -> None:
        """Renew what the channels hold; an unreachable broker is left to the fetch to notice."""
        for channel in list(self._channels):
            try:
                channel.qos.renew()
            except channel.connection_errors:
                log.warning("the broker cannot be reached; held messages are not renewed", exc_info=True)

    def get(self, callback: Callable[..., Any], timeout: float | None = None) -> None:
        """Wait for one event, for consumers without an event loop; raises Empty after POLL_SECONDS without one."""
        for channel in list(self._channels):
            if channel.fetch():
                return
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)
        wait = POLL_SECONDS if timeout is None else min(timeout, POLL_SECONDS)
        for fileno, event in self.poller.poll(wait):
            if self.handle_event(fileno, event):
                return
        self.maybe_restore_messages()
        raise Empty


class Transport(stock.Transport):  # type: ignore[misc]
    """The transport itself; see the module's docstring."""

    Channel = Channel

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cycle = Poller()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Add our timers to kombu's: looking for messages when idle, and renewing what is held."""
        super().register_with_event_loop(connection, loop)
        options = connection.client.transport_options
        timeout = options.get("visibility_timeout", Channel.visibility_timeout)
        # The loop calls on_poll_start at every turn; this timer sees to it that there is a turn.
        loop.call_repeatedly(POLL_SECONDS, _turn)
        loop.call_repeatedly(timeout / RENEWALS_PER_TIMEOUT, self.cycle.renew)


def _turn() -> None:
    """Do nothing: the turn of the event loop is the point."""
