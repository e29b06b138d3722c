"""Celery's result backend, which waits too when the database answers but can keep nothing, and lets results write their JSON."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from celery import states
from redis import RedisError

from packsight.shared.contract.outcomes import Result
from packsight.shared.contract.references import plain
from packsight.shared.queue import keys
from packsight.shared.queue.callbacks import Backend
from packsight.shared.queue.pulse import renew
from packsight.shared.queue.refusals import is_refusal, is_spoilt
from packsight.shared.queue.results import STATUS_BYTES, SUCCESS

log = logging.getLogger(__name__)

_STORE = (Path(__file__).parent / "store.lua").read_text()

_SAID_AGAIN = 30.0
"""Seconds after which it is said once more that a result still cannot be stored."""


class ResultBackend(Backend):
    """A result that cannot be stored is tried again: its message would be acknowledged, and nobody would get an answer.

    Named by the loader.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        logging.getLogger("celery.backends.base").addFilter(_now_and_then)

    def exception_safe_to_retry(self, exc: BaseException) -> bool:
        """Whether the same can succeed later; asked of each try that failed."""
        renew()
        return is_refusal(exc) or bool(super().exception_safe_to_retry(exc))

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        """Store how a task ended: of a batch in one call, of which Celery makes three and sends the result twice."""
        if not isinstance(result, Result):
            return super()._store_result(task_id, result, state, traceback=traceback, request=request, **kwargs)
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        record = self.encode(meta | {"task_id": task_id})
        places = [self.get_key_for_task(task_id), keys.partial(task_id)]
        self.ensure(self._store, (places, [record, int(self.expires), STATUS_BYTES, SUCCESS]))
        return result

    def _get_task_meta_for(self, task_id: str) -> Any:
        """What is kept of a task, which decides whether its end is stored; what no Celery has put there is nothing."""
        try:
            return super()._get_task_meta_for(task_id)
        except Exception as error:
            if isinstance(error, RedisError) and not is_spoilt(error):
                raise
            log.warning("what is kept under the id of a task is no result: %s", plain(f"{task_id}: {error}"))
            return {"status": states.PENDING, "result": None}

    @cached_property
    def _store(self) -> Callable[..., Any]:
        store: Callable[..., Any] = self.client.register_script(_STORE)
        return store

    def on_connection_error(self, *args: Any) -> Any:
        """Wait for a database that is away, as long as that takes: whoever does so stands not still."""
        renew()
        return super().on_connection_error(*args)

    def encode(self, data: Any) -> Any:
        """JSON of a record. A result of ours writes its own: by way of dictionaries it costs a worker four times as much."""
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(result, Result):
            return super().encode(data)
        record = super().encode({name: value for name, value in data.items() if name != "result"})
        return f'{record[:-1]}, "result": {result.stored()}}}'


class _NowAndThen(logging.Filter):
    """Of what Celery says at every try, with all that led there, lets one line through now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._said = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith("Failed operation"):
            return True
        error = record.exc_info[1] if record.exc_info else None
        record.msg, record.args = "A result cannot be stored and is tried again: %s", (error,)
        record.exc_info = record.exc_text = None
        said, now = self._said, time.monotonic()
        if now - said < _SAID_AGAIN:
            return False
        self._said = now
        return True


_now_and_then = _NowAndThen()
