"""The record of messages that are neither acknowledged nor rejected, kept by the server's clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import NoPermissionError

from packsight.shared.queue.refusals import is_refusal

_NO_EXCHANGE = b',"",'
"""What stands in a record of ours between message and queue; within a text its quotes would be escaped."""
_SWEEP_LIMIT = 1000
"""Messages put back in one sweep at most, so that the consumer hears its other events."""


class QoS(stock.QoS):  # type: ignore[misc]
    """What one channel holds. See `shared.queue.broker.Leases` for the part that others use."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unsaid: dict[str, bool] = {}
        """What a broker that could do nothing was not told: tags, and whether the message is to be put back."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message that the fetch has already recorded."""
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Let go of a message; whoever worked on it is free for the next one at once."""
        self._say(delivery_tag, requeue=False)
        self.channel.reset_poll()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Drop a message, or put it back to the front of its queue."""
        self._say(delivery_tag, requeue=requeue)

    def say_again(self) -> None:
        """Tell the broker what it could not be told, now that it can be used again."""
        for tag, requeue in list(self._unsaid.items()):
            self._say(tag, requeue=requeue)

    def _say(self, tag: str, *, requeue: bool) -> None:
        """Let go of a message, or put it back; a broker that can do nothing now is told later.

        Nothing can be said over a channel that was closed with its lost connection, where a batch ends before the next one has
        taken it over (`adopt`): nobody renews its lease then, and it is handed out again.
        """
        if self.channel.connection is None:
            self.forget(tag)
            return
        try:
            if requeue:
                self.restore_by_tag(tag)
                virtual.QoS.ack(self, tag)
            else:
                super().ack(tag)
        except redis.ResponseError as error:
            if not is_refusal(error):
                raise
            self._unsaid[tag] = requeue
        else:
            self._unsaid.pop(tag, None)

    def can_consume(self) -> bool:
        """Tell whether somebody is free for a message: whoever worked on one that a broker could not be told of is."""
        return not self.prefetch_count or len(self.working_tags()) < self.prefetch_count

    def working_tags(self) -> list[str]:
        """Return the tags of the messages that somebody works on, or will."""
        return [tag for tag in self.unacked_tags() if tag not in self._unsaid]

    def unacked_tags(self) -> list[str]:
        """Return the tags of the messages that are neither acknowledged nor rejected."""
        return [tag for tag in list(self._delivered) if tag not in self._dirty]

    def queue_of(self, tag: str) -> str:
        """Name of the queue that a held message came from; Celery names routing key and queue alike."""
        return str(self._delivered[tag].delivery_info.get("routing_key"))

    def adopt(self, message: Any) -> None:
        """Hold a message that was taken over a connection which is gone, and acknowledge it over this one."""
        message.channel = self.channel
        self.append(message, message.delivery_tag)

    def forget(self, tag: str) -> None:
        """Hold a message no longer, without a word to the broker."""
        self._delivered.pop(tag, None)

    def park(self, tag: str, due: float) -> bool:
        """Hold a message no longer, but leave it with the broker until `due`, seconds since 1970 by the server's clock.

        False when it is due already. It lies where the messages of dead workers lie, under the time at which a sweep of any
        worker, of the stock transport too, finds it overdue and puts it back to the front of its queue. A broker that can do
        nothing now gets it back as soon as it can.
        """
        with self.channel.conn_or_acquire() as client:
            if due <= _server_time(client):
                return False
            self._park(tag, due, client)
        return True

    def put_off(self, tag: str, seconds: float) -> None:
        """Park a message for so long, whatever the time is here."""
        with self.channel.conn_or_acquire() as client:
            self._park(tag, _server_time(client) + seconds, client)

    def _park(self, tag: str, due: float, client: Any) -> None:
        try:
            client.zadd(self.unacked_index_key, {tag: due - self.visibility_timeout}, xx=True)
        except redis.ResponseError as error:
            if not is_refusal(error):
                raise
            self._unsaid[tag] = True
            self.channel.note_refusal(error)
            return
        virtual.QoS.ack(self, tag)
        self.channel.reset_poll()

    def renew(self) -> None:
        """Stamp everything that is held with the present time, except what was taken from us in the meantime.

        By this a worker learns of a broker that can do nothing while all of its children are busy, storing their results over and
        over: it looks for no message meanwhile.
        """
        tags = self.unacked_tags()
        if not tags:
            return
        try:
            with self.channel.conn_or_acquire() as client:
                now = _server_time(client)
                client.zadd(self.unacked_index_key, dict.fromkeys(tags, now), xx=True)
        except redis.ResponseError as error:
            if not is_refusal(error):
                raise
            self.channel.note_refusal(error)

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int | None = None) -> None:
        """Put back what no living consumer has renewed within the visibility timeout, of the queues that this one may put into.

        Needs no lock: of several sweepers, one wins each message. Messages of other roles lie among ours, and are left to them.
        """
        with _leaving_alone(), self.channel.conn_or_acquire() as client:
            latest, foreign = _server_time(client) - self.visibility_timeout, 0
            while True:
                overdue = client.zrange(
                    self.unacked_index_key, "-inf", latest, byscore=True, offset=foreign, num=num or _SWEEP_LIMIT, withscores=True
                )
                before = foreign
                for tag, score in overdue:
                    try:
                        self.restore_by_tag(tag, client, seen=score)
                    except NoPermissionError:
                        foreign += 1
                if foreign == before:  # a whole page of others' would hide ours behind it
                    return

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
            key, text = self._way_back(record)
            self.channel.requeue_script(
                keys=[self.unacked_key, self.unacked_index_key, key],
                args=[tag, text, "" if seen is None else repr(seen)],
                client=connection,
            )

    def _way_back(self, record: bytes) -> tuple[str, str | bytes]:
        """The list into which a recorded message is put back, and what is put there."""
        try:
            payload, exchange, routing_key = json.loads(bytes_to_str(record))
            _mark_redelivered(payload)
            text = json.dumps(payload)
        except (RecursionError, ValueError):
            # The server's reader is not as strict as ours: such a message goes back as it came, and all others after it.
            message, _, queue = record.removeprefix(b"[").rpartition(_NO_EXCHANGE)
            return json.loads(queue.removesuffix(b"]")), message
        # An exchange that nobody has bound: kombu would drop the message, Celery names exchange and queue alike.
        queue = (self.channel._lookup(exchange, routing_key) or [routing_key])[0]
        return self.channel._q_for_pri(queue, self.channel._get_message_priority(payload)), text


@contextmanager
def _leaving_alone() -> Iterator[None]:
    """Leave a broker alone that can do nothing now: it hands nothing out either, and what is done here is done again soon."""
    try:
        yield
    except redis.ResponseError as error:
        if not is_refusal(error):
            raise


def _server_time(client: Any) -> float:
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1e6


def _mark_redelivered(payload: dict[str, Any]) -> None:
    for holder in (payload.get("headers"), payload.get("properties", {}).get("delivery_info")):
        if isinstance(holder, dict):
            holder["redelivered"] = True
