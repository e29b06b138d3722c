"""The event loop's side of the transport: when queues are looked into, and when what is held is renewed."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import redis as stock

from packsight.shared.queue.transport.channel import POLL_SECONDS, Channel

log = logging.getLogger(__name__)

BURST = 64
"""Messages taken in one turn of the event loop at most, so that a consumer without a limit hears its other events."""
RENEWALS_PER_TIMEOUT = 4


class Bell:
    """Gives an event loop another turn at once, from within one: kombu's own wake-up works from other threads alone."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._reader, self._writer = os.pipe()
        self._rung = False
        loop.add_reader(self._reader, self._heard)

    def ring(self) -> None:
        """Let the loop not sleep before its next turn."""
        if not self._rung:
            os.write(self._writer, b"!")
            self._rung = True

    def close(self) -> None:
        """Take it away."""
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        os.close(self._writer)

    def _heard(self) -> None:
        os.read(self._reader, 1)
        self._rung = False


class Poller(stock.MultiChannelPoller):  # type: ignore[misc]
    """Polls the sockets of pub/sub; queues are looked into at the turns of the event loop, when there is reason to."""

    def __init__(self) -> None:
        super().__init__()
        self._loop: Any = None
        self._turn: Any = None
        self._turn_at = math.inf
        self._bell: Bell | None = None

    def attach(self, loop: Any) -> None:
        """Take an event loop, which from now on calls `on_poll_start` at each of its turns."""
        self._silence()
        self._loop, self._bell = loop, Bell(loop)

    def on_poll_start(self) -> None:
        """Fetch for every channel and listen for every broadcast."""
        taken = False
        for channel in list(self._channels):
            channel.watch(self._loop)
            for _ in range(BURST):
                if not channel.fetch():
                    break
                taken = True
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)
        if taken and self._bell is not None:
            # Whoever passes messages on may have had its part of this turn before there was one: a pool looks at the start of a
            # turn whether it has something for its children. Without another turn they would wait for the next event.
            self._bell.ring()
        self._plan_turn()

    def close(self) -> None:
        """Forget all channels and the turn that was planned for them."""
        self._cancel_turn()
        self._silence()
        super().close()

    def _silence(self) -> None:
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def _plan_turn(self) -> None:
        """See to it that the loop has a turn when the next queue is to be looked into: it sleeps while nothing happens."""
        waiting = [channel for channel in self._channels if channel.active_queues and channel.qos.can_consume()]
        due = min((channel.look_again_at for channel in waiting), default=math.inf)
        if due < self._turn_at:
            self._cancel_turn()
            self._turn_at = due
            self._turn = self._loop.call_later(max(0.0, due - monotonic()), self._cancel_turn)

    def _cancel_turn(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._turn, self._turn_at = None, math.inf

    def renew(self) -> None:
        """Renew what the channels hold; an unreachable broker is left to the fetch to notice."""
        for channel in list(self._channels):
            try:
                channel.qos.renew()
            except channel.connection_errors:
                log.warning("the broker cannot be reached; held messages are not renewed", exc_info=True)

    def maybe_restore_messages(self) -> None:
        """Put back what nobody renews any more.

        Left to those who take messages: whoever only hears answers need not have the right.
        """
        if any(channel.records for channel in self._channels):
            super().maybe_restore_messages()

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
        """Add our timer to kombu's, which renews what is held, and let the loop be told of new messages."""
        super().register_with_event_loop(connection, loop)
        options = connection.client.transport_options
        timeout = options.get("visibility_timeout", Channel.visibility_timeout)
        self.cycle.attach(loop)
        loop.call_repeatedly(timeout / RENEWALS_PER_TIMEOUT, self.cycle.renew)
