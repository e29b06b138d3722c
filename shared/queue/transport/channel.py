"""A channel that takes messages by one script, in the order of its queues, when someone is free for them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, cast

import redis
from kombu.transport import redis as stock
from kombu.utils.encoding import bytes_to_str
from kombu.utils.imports import symbol_by_name

from packsight.shared.queue.connection import refuse_cluster
from packsight.shared.queue.refusals import is_refusal, refused
from packsight.shared.queue.transport.contract import is_book, lists
from packsight.shared.queue.transport.message import KEPT_BYTES, MAX_BYTES, Message, read
from packsight.shared.queue.transport.qos import QoS
from packsight.shared.queue.transport.watch import Watch

log = logging.getLogger(__name__)

POLL_SECONDS = 0.025
"""How long an idle consumer may overlook a new message where the server does not tell it, and the least time between two looks
to which it was called in vain: where many are called, one finds the message."""
BUSY_POLL_SECONDS = 0.05
"""The same while it holds as much as it may of some queues: a look takes a third of a millisecond from those who work."""
TOLD_POLL_SECONDS = 1.0
"""The same where the server tells: for word that a failing server or network has swallowed."""
REFUSED_POLL_SECONDS = 1.0
"""Until a broker that can do nothing now is asked again."""
ASK_AGAIN_SECONDS = 30.0
"""After which a server that does not tell is asked again to: it may have been replaced."""
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
    takes: str | None = None
    """`module:function` that tells whether messages of a queue are taken now; None: always. Transport option: by name, since
    Celery tells them to whoever asks."""
    from_transport_options = (*stock.Channel.from_transport_options, "per_queue_prefetch", "takes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._unrecorded: set[str] = set()
        self._taken = 0
        self._watch: Watch | None = None
        self._shared: Any = None
        self._ask_again_at = 0.0
        self._woken = False
        self._refusing = False
        self._in_vain_until = 0.0
        self._takes: Callable[[str], bool] | None = None
        self.look_again_at = 0.0
        """When the queues are looked into again, on the clock of `time.monotonic`."""
        try:
            super().__init__(*args, **kwargs)
        except redis.ResponseError as error:  # it is asked whether it is there, which one whose disk is full does not answer
            raise refused(error) from error
        try:
            if self.global_keyprefix:
                raise ValueError("global_keyprefix is not supported: give packsight a Redis database of its own")
            refuse_cluster(self.client)
        except BaseException:
            self.close()
            raise
        self._takes = symbol_by_name(self.takes) if self.takes else None
        self.fetch_script = self.client.register_script(_FETCH)
        self.requeue_script = self.client.register_script(_REQUEUE)

    def watch(self, loop: Any) -> None:
        """Let the server tell this event loop when there is something to take, if it can; else the queues are polled."""
        if not self.active_queues or (self._watch is not None and self._watch.alive) or monotonic() < self._ask_again_at:
            return
        self._ask_again_at = monotonic() + ASK_AGAIN_SECONDS
        try:
            self._watch = Watch(self.pool, loop, told=self._wake, lost=self.reset_poll)
        except (redis.RedisError, OSError) as error:
            log.warning("the broker does not tell of new messages (%s), so its queues are polled", error)
            self._watch = None

    def close(self) -> None:
        """Close it."""
        if self._watch is not None:
            self._watch.close()
        super().close()

    def _create_client(self, asynchronous: bool = False) -> Any:
        """A client for a command or several, of connections that are taken from the pool for each: one for all of them.

        Kombu makes one every time, which costs a worker as much as the command.
        """
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._shared is None or self._shared.connection_pool is not self.pool:
            self._shared = super()._create_client()
        return self._shared

    def basic_consume(self, queue: str, no_ack: bool = False, *args: Any, **kwargs: Any) -> Any:
        """Consume from a queue; messages that need no acknowledgement are not recorded."""
        (self._unrecorded.add if no_ack else self._unrecorded.discard)(queue)
        self.reset_poll()
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    @property
    def records(self) -> bool:
        """Whether it consumes from a queue whose messages are recorded."""
        return not self._unrecorded.issuperset(self.active_queues)

    def _queue_bind(self, *args: Any, **kwargs: Any) -> None:
        """Note that a queue is there, which a worker does when it connects.

        Raises Refusing where the broker can do nothing now: Celery waits for one that is away, and ends over any other error.
        """
        try:
            super()._queue_bind(*args, **kwargs)
        except redis.ResponseError as error:
            raise refused(error) from error

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        """Put a message into a queue, which callbacks name as they like.

        Raises ValueError for the name of a key in which books are kept, ours or another program's: a list there would end all who
        look into it.
        """
        if is_book(queue):
            raise ValueError(f"{queue} is no name of a queue: keys that are called so are no lists of messages")
        super()._put(queue, message, **kwargs)

    def _get_message_priority(self, message: Any, reverse: bool = False) -> int:
        """The priority of a message, which kombu cannot tell where its sender wrote one without end."""
        try:
            return int(super()._get_message_priority(message, reverse=reverse))
        except OverflowError:
            return int(super()._get_message_priority({}, reverse=reverse))

    def _receive_one(self, client: Any) -> Any:
        """Hear a broadcast, or the answer to a question whether the broker is there; a refusal says so too."""
        try:
            return super()._receive_one(client)
        except redis.ResponseError as error:
            if not is_refusal(error):
                raise
            return None

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
        if not self.active_queues or monotonic() < self.look_again_at or not self.qos.can_consume():
            return False
        queues = service_order(self.active_queues, self._taken)
        open_ = self._open(queues)
        try:
            found = self._take(open_, self._unrecorded)
        except redis.ResponseError as error:
            if not is_refusal(error):
                raise
            self.note_refusal(error)
            return False
        if open_:  # else it was not asked
            self._usable()
        if found is None:
            self._rest(open_, POLL_SECONDS if open_ == queues else BUSY_POLL_SECONDS)
            return False
        self._woken = False
        self._taken += 1
        queue, payload = found
        self.connection._deliver(payload, queue)
        return True

    def note_refusal(self, error: redis.ResponseError) -> None:
        """Leave a broker alone for a moment that answers but can do nothing."""
        if not self._refusing:
            log.error("the broker can do nothing now (%s); no message is taken", error, extra={"action": "broker_refuses"})
        self._refusing = True
        self.look_again_at = monotonic() + REFUSED_POLL_SECONDS

    def _usable(self) -> None:
        if self._refusing:
            log.warning("the broker can be used again", extra={"action": "broker_usable"})
            self._refusing = False
        self.qos.say_again()

    @property
    def refusing(self) -> bool:
        """Whether the broker answers but can do nothing, so that nothing is taken."""
        return self._refusing

    def reset_poll(self) -> None:
        """Let the next fetch look into the queues, however short ago they were empty."""
        self.look_again_at = 0.0

    def _wake(self) -> None:
        """Look again, at once unless the last word was in vain."""
        self._woken = True
        self.look_again_at = min(self.look_again_at, self._in_vain_until)

    def _rest(self, empty: Sequence[str], pause: float) -> None:
        """Leave queues alone that were found empty: until there is word of them, or for a pause."""
        now = monotonic()
        if self._woken:
            self._woken, self._in_vain_until = False, now + POLL_SECONDS
        if self._watch is not None and self._watch.alive:
            try:
                told = not empty or self._watch.empty([key for key, _ in self._lists(empty)])
            except (redis.RedisError, OSError):
                told = False
            pause = TOLD_POLL_SECONDS if told else 0.0
        self.look_again_at = now + pause

    def _lists(self, queues: Sequence[str]) -> list[tuple[str, str]]:
        """Keys of the lists of some queues, each with its queue, in the order in which they are served."""
        return [(key, queue) for queue in queues for key in lists(queue)]

    def _open(self, queues: list[str]) -> list[str]:
        """Leave out the queues of which nothing is taken now, or enough is held."""
        queues = queues if self._takes is None else list(filter(self._takes, queues))
        if self.per_queue_prefetch is None:
            return queues
        count, limited = self.per_queue_prefetch
        held = sum(self.qos.queue_of(tag) in limited for tag in self.qos.working_tags())
        return [queue for queue in queues if queue not in limited] if held >= count else queues

    def _take(self, queues: Sequence[str], unrecorded: set[str]) -> tuple[str, dict[str, Any]] | None:
        lists = self._lists(queues)
        if unrecorded.issuperset(queues):
            # Whoever only hears answers needs no right to what others hold, which the script names.
            taken = ((queue, self.client.rpop(key)) for key, queue in lists)
            return next(((queue, json.loads(bytes_to_str(text))) for queue, text in taken if text is not None), None)
        flags = [str(MAX_BYTES), str(KEPT_BYTES)]
        flags += [value for _, queue in lists for value in (queue, "0" if queue in unrecorded else "1")]
        keys = [self.unacked_key, self.unacked_index_key, *(key for key, _ in lists)]
        found = self.fetch_script(keys=keys, args=flags, client=self.client)
        if not found:
            return None
        queue, text, *tag = map(bytes_to_str, found)
        return queue, read(text, queue, tag[0]) if tag else cast("dict[str, Any]", json.loads(text))
