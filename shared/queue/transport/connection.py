"""Connections over this transport, for the apps that ask for them; every other app of the process keeps kombu's own."""

from __future__ import annotations

from typing import Any

from celery.app import amqp
from kombu import connection as stock
from kombu.utils.collections import HashedSeq

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


class AMQP(amqp.AMQP):  # type: ignore[misc]
    """Celery's messaging over these connections; named by the app."""

    Connection = Connection
