"""The event loop's side of the transport: when queues are looked into, and when what is held is renewed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.transport import redis as stock

from packsight.shared.queue.transport.channel import POLL_SECONDS, Channel

log = logging.getLogger(__name__)

BURST = 64
"""Messages taken in one turn of the event loop at most, so that a consumer without a limit hears its other events."""
RENEWALS_PER_TIMEOUT = 4


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
    """The transport itself; see the package's docstring."""

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
