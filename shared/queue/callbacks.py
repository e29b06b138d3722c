"""What follows on a task: its callbacks, the rest of its chain or chord, its error callbacks. None of it can harm the task.

Celery publishes them before it stores the result, and stores a failure instead where that fails; and it runs an error callback
whose task it knows in its own process, where ours would load networks into a worker's parent. Here each is published, to
whatever queue it names; one that cannot be is a line in the log, and whoever waits for it learns that it will not come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import celery
from celery import states
from celery.backends.redis import RedisBackend
from celery.canvas import signature
from celery.exceptions import TaskRevokedError
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from packsight.shared.contract.references import plain
from packsight.shared.queue.pulse import renew

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds for which all that follows on one task is tried again while a server is away: its restart. A worker's child says its
word anew before each try."""
_PAUSE = 0.5
TELLING = 5.0
"""Seconds for which the tasks of a chain are told that it has failed, the last of them first: a worker's parent may be the one
that does so, and nothing else meanwhile. A thousand take one second."""
_AWAY = (OperationalError, RedisConnectionError, RedisTimeoutError)


class Task(celery.Task):  # type: ignore[misc]
    """Every task of our apps: publishes what follows on it itself, before its result is stored, and so at least once."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task; in a worker, publish what follows as well."""
        request = self.request
        if request.called_directly:
            return super().__call__(*args, **kwargs)
        result = self.run(*args, **kwargs)
        self.follow(request, result)
        request.callbacks = request.chain = None  # Celery has none to publish any more
        return result

    def follow(self, request: Any, result: Any) -> None:
        """Publish what follows on a task that has a result; raises nothing."""
        callbacks, chain = _list(request.callbacks), _list(request.chain)
        follow = Following(self.app, request.id, request.root_id)
        for callback in callbacks:
            follow.publish("a callback", callback, result)
        if chain:
            follow.publish("the next task of its chain", chain[-1], result, *chain[:-1])


class Following:
    """Publishes what follows on one task, and goes on trying for a while in all."""

    def __init__(self, app: Any, task_id: str, root_id: str | None) -> None:
        self._app = app
        self._task_id = task_id
        self._family = {"parent_id": task_id, "root_id": root_id or task_id}
        self._until = time.monotonic() + PATIENCE

    def publish(self, what: str, follower: Any, argument: Any, *chain: Any) -> None:
        """Publish a signature with an argument, and with the rest of its chain, last task first; raises nothing."""
        options = {**self._family, **({"chain": list(chain)} if chain else {})}
        try:
            self.patiently(lambda: _signature(follower, self._app).apply_async((argument,), **options))
        except Exception as error:
            _note(what, self._task_id, error)
            # Whoever waits for it or for what would have come after it learns that it will not come.
            self._app.backend._fail_chain([*chain, follower], error)

    def patiently(self, act: Callable[[], Any]) -> Any:
        """Do something, again and again while a server is away, until the patience is spent."""
        while True:
            renew()
            try:
                return act()
            except _AWAY:
                if time.monotonic() + _PAUSE > self._until:
                    raise
            time.sleep(_PAUSE)


class Backend(RedisBackend):  # type: ignore[misc]
    """Celery's result backend; what it does beside storing a result raises nothing."""

    def on_chord_part_return(self, request: Any, state: Any, result: Any, propagate: Any = None, **kwargs: Any) -> None:
        """Count a part of a chord, and publish the chord's body after the last."""
        with _harmless("the rest of its chord", request.id):
            _signature(request.chord, self.app)
            count = super().on_chord_part_return
            Following(self.app, request.id, request.root_id).patiently(
                lambda: count(request, state, result, propagate=propagate, **kwargs)
            )

    def mark_as_revoked(self, task_id: str, reason: str = "", request: Any = None, *args: Any, **kwargs: Any) -> None:
        """Note that a task was dropped, as one that has expired is, and the rest of its chain with it."""
        super().mark_as_revoked(task_id, reason, request, *args, **kwargs)
        if request:
            self._fail_chain(request.chain, TaskRevokedError(reason), state=states.REVOKED)

    def _fail_chain(self, chain: Any, *args: Any, **kwargs: Any) -> None:
        until = time.monotonic() + TELLING
        for place, follower in enumerate(_list(chain)):
            options = follower.get("options") if isinstance(follower, dict) else None
            if isinstance(options, dict):  # of anything else nobody can wait for the result
                what, task_id = "that its chain has failed", str(options.get("task_id"))
                if place and time.monotonic() > until:
                    _note(what, task_id, TimeoutError(f"it takes more than {TELLING:g} s"))
                    return
                with _harmless(what, task_id):
                    super()._fail_chain([follower], *args, **kwargs)

    def _call_task_errbacks(self, request: Any, exc: Any, traceback: Any) -> None:
        follow = Following(self.app, request.id, request.root_id)
        for errback in _list(request.errbacks):
            follow.publish("an error callback", errback, request.id)


def _signature(follower: Any, app: Any) -> Any:
    if not isinstance(follower, dict) or not isinstance(follower.get("task"), str):
        raise TypeError("it is no signature")
    return signature(follower, app=app)


def _list(followers: Any) -> list[Any]:
    """What a message holds for some followers; what is no list is one that cannot be published."""
    return list(followers) if isinstance(followers, list | tuple) else [followers] if followers else []


@contextmanager
def _harmless(what: str, task_id: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _note(what, task_id, error)


def _note(what: str, task_id: str, error: Exception) -> None:
    details = {"action": "not_published", "task_id": task_id}
    log.error("%s cannot be published: %s", what, plain(f"{type(error).__name__}: {error}"[:500]), extra=details)
