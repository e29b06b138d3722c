"""Connections over this transport, for the apps that ask for them; every other app of the process keeps kombu's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from celery.app import amqp, routes
from kombu import Queue
from kombu import connection as stock
from kombu.utils.collections import HashedSeq
from kombu.utils.objects import cached_property

from packsight.shared.contract.arguments import called, shown_arguments
from packsight.shared.contract.messages import CALLED, RECONCILE, SENT_AT
from packsight.shared.queue.transport.poller import Transport


class _OverOurTransport:
    """Speaks redis:// and rediss:// over our transport; the settings let no other scheme through."""

    def get_transport_cls(self) -> type[Transport]:
        return Transport


class Connection(_OverOurTransport, stock.Connection):  # type: ignore[misc]
    """A connection to the broker."""

    def __eqhash__(self) -> HashedSeq:
        # kombu keeps one pool per process for all connections that compare equal; a stock one must not count as equal.
        return HashedSeq(Transport, *super().__eqhash__())

    def Pool(self, limit: int | None = None, **kwargs: Any) -> Pool:  # noqa: N802 - kombu's name
        """Make a pool of connections like this one."""
        return Pool(self, limit, **kwargs)


class PooledConnection(_OverOurTransport, stock.PooledConnection):  # type: ignore[misc]
    """A connection that is lent by a pool."""


class Pool(stock.ConnectionPool):  # type: ignore[misc]
    """A pool whose connections are ours too."""

    def new(self) -> PooledConnection:
        """Make one more connection."""
        return PooledConnection(self, **dict(self.connection._info(resolve=False)))


_CHORD_BODY = {"max_retries": 6, "interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
"""How the body of a chord is tried again: 9 s of pauses bridge a broker's restart, and attempts at a frozen one end within a
batch's time limit."""


UNTOLD = frozenset({RECONCILE})
"""Tasks of which no event is sent."""


class Router(routes.Router):  # type: ignore[misc]
    """Celery's routing, which where the settings say so also leads to queues that are not ours: those of callbacks."""

    def expand_destination(self, route: Any) -> Any:
        """Put the queue itself in the place of its name."""
        name = route.get("queue") if isinstance(route, dict) else None
        if self.create_missing and isinstance(name, str) and name not in self.queues:
            # Without an exchange of its own, whose binding would stay in the broker for ever.
            route["queue"] = Queue(name, routing_key=name)
        return super().expand_destination(route)


class AMQP(amqp.AMQP):  # type: ignore[misc]
    """Celery's messaging over these connections; named by the app."""

    Connection = Connection

    def Queues(self, queues: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N802 - Celery's name
        """Make the list of our queues, to which none is added: not by a misspelt one to consume from, nor by a callback's."""
        return super().Queues(queues, create_missing=False)

    def Router(self, queues: Any = None, create_missing: Any = None) -> Router:  # noqa: N802 - Celery's name
        """Make the router."""
        return Router(self.routes, queues or self.queues, bool(self.app.conf.task_create_missing_queues), app=self.app)

    def as_task_v2(self, task_id: Any, name: Any, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Write a message with the time, and for Flower with arguments as they may be shown: those of callbacks are results.

        Of what the clock sends every few seconds Flower is told nothing: it would see little else.
        """
        names = (options.get("headers") or {}).get(CALLED)
        shown = {"argsrepr": shown_arguments(called(list(args or ()), names)), "kwargsrepr": shown_arguments(dict(kwargs or {}))}
        message = super().as_task_v2(task_id, name, args, kwargs, *rest, **{**options, **shown})
        message.headers[SENT_AT] = time.time()
        return message._replace(sent_event=None) if name in UNTOLD else message

    @cached_property  # type: ignore[untyped-decorator]
    def send_task_message(self) -> Callable[..., Any]:
        """Publish a message; the policy of trying again is ours, since a callback's may wait for hours in a child."""
        send = self._create_task_sender()

        def publish(*args: Any, **options: Any) -> Any:
            policy = _CHORD_BODY if amqp._callback_publish_retry.get() else None
            queue = options.get("queue")
            # What names an exchange beside a queue means the queue: only where that was bound would the other way lead anywhere.
            straight = {"exchange": None, "routing_key": None} if isinstance(queue, Queue) and not queue.exchange.name else {}
            return send(*args, **{**options, **straight, "retry_policy": policy})

        return publish
