"""A channel that takes messages by one script, in the order of its queues, when someone is free for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, cast

from kombu.transport import redis as stock
from kombu.utils.encoding import bytes_to_str

from packsight.shared.queue.connection import refuse_cluster
from packsight.shared.queue.transport.message import Message
from packsight.shared.queue.transport.qos import QoS

POLL_SECONDS = 0.025
"""How long an idle consumer may overlook a new message. Redis cannot block on several lists without popping."""
BUSY_POLL_SECONDS = 0.05
"""The same while it holds as much as it may of some queues: a look takes a third of a millisecond from those who work."""
FAIR_TURN = 16
"""Every so many messages, the queues behind the first take turns at being served before the others."""

_FETCH = (Path(__file__).parent / "fetch.lua").read_text()
_REQUEUE = (Path(__file__).parent / "requeue.lua").read_text()


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


class Channel(stock.Channel):  # type: ignore[misc]
    """A channel that fetches by script instead of by BRPOP."""

    QoS = QoS
    Message = Message

    per_queue_prefetch: tuple[int, Sequence[str]] | None = None
    """Messages to be held at a time of some queues together; those of others are taken beyond that. Transport option."""
    from_transport_options = (*stock.Channel.from_transport_options, "per_queue_prefetch")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._unrecorded: set[str] = set()
        self._taken = 0
        self._look_again_at = 0.0
        super().__init__(*args, **kwargs)
        try:
            if self.global_keyprefix:
                raise ValueError("global_keyprefix is not supported: give packsight a Redis database of its own")
            refuse_cluster(self.client)
        except BaseException:
            self.close()
            raise
        self.fetch_script = self.client.register_script(_FETCH)
        self.requeue_script = self.client.register_script(_REQUEUE)

    def basic_consume(self, queue: str, no_ack: bool = False, *args: Any, **kwargs: Any) -> Any:
        """Consume from a queue; messages that need no acknowledgement are not recorded."""
        (self._unrecorded.add if no_ack else self._unrecorded.discard)(queue)
        self.reset_poll()
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

    def reset_poll(self) -> None:
        """Let the next fetch look into the queues, however short ago they were empty."""
        self._look_again_at = 0.0

    def _open(self, queues: list[str]) -> list[str]:
        """Leave out the queues of which enough is held."""
        if self.per_queue_prefetch is None:
            return queues
        count, limited = self.per_queue_prefetch
        held = sum(self.qos.queue_of(tag) in limited for tag in self.qos.unacked_tags())
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
