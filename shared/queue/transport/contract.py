"""Every name of kombu, Celery, billiard and redis-py by which packsight reaches into them, with what is expected of it.

A test compares this list with the installed releases and names what vanished or changed, so the pin of both is a range;
`make canary` does so with the newest. The names beyond the documented ones are used in this package, in
`shared.queue.consumer`, `shared.queue.refused`, `shared.queue.watchdog`, `shared.queue.heartbeat`, `shared.queue.callbacks`,
`shared.queue.remote_control` and `worker.queue.request`, and nowhere else; another test sees to that.

Imports nothing of theirs, so that looking at the broker (`shared.queue.broker`) needs neither.
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from importlib import import_module
from typing import Any

from packsight.shared.contract.messages import PRIORITIES

UNACKED = "unacked"
"""kombu's hash from delivery tag to message, exchange and routing key."""
UNACKED_INDEX = "unacked_index"
"""kombu's sorted set of these tags by the time of their last sign of life."""
BOOKS = (UNACKED, "_kombu.", "packsight:", "celery-task-meta-", "celery-taskset-meta-")
"""What keys begin with that are no queues: kombu's, of what is held and of which queues there are; ours, and results, which may
lie in the broker's database."""

SEPARATOR = "\x06\x16"
"""What stands between a queue and a priority in the name of a list."""
STEPS = (*PRIORITIES.values(), 9)
"""Priorities for which kombu has a list of their own, in the order in which we look into them; its own is by number."""

PRESENT = "present"
"""Expected of a name that is read or set: that it is there."""

FOREIGN: dict[str, dict[str, str]] = {
    "kombu.connection:Connection": {
        "get_transport_cls": "(self)",
        "__eqhash__": "(self)",
        "transport_options": PRESENT,
        "ensure_connection": "(self, *args, **kwargs)",
        "Pool": "(self, limit=, **kwargs)",
        "_info": "(self, resolve=)",
    },
    "kombu.connection:PooledConnection": {
        "__init__": "(self, pool, **kwargs)",
        "get_transport_cls": "(self)",
    },
    "kombu.connection:ConnectionPool": {
        "new": "(self)",
        "connection": PRESENT,
    },
    "kombu.utils.collections:HashedSeq": {
        "__init__": "(self, *seq)",
    },
    "kombu.utils.encoding": {
        "bytes_to_str": "(s)",
    },
    "kombu.asynchronous": {
        "set_event_loop": "(loop)",
    },
    "kombu.asynchronous.hub:Hub": {
        "call_repeatedly": "(self, delay, callback, *args)",
        "call_later": "(self, delay, callback, *args)",
        "add_reader": "(self, fds, callback, *args)",
        "remove": "(self, fd)",
    },
    "kombu.asynchronous.timer:Entry": {
        "cancel": "(self)",
    },
    "redis.connection:Connection": {
        "connect": PRESENT,
        "disconnect": PRESENT,
        "send_command": "(self, *args, **kwargs)",
        "can_read": PRESENT,
        "read_response": PRESENT,
        "_sock": PRESENT,
    },
    "kombu.message:Message": {
        "reject_log_error": "(self, logger, errors, requeue=)",
        "channel": PRESENT,
        "delivery_tag": PRESENT,
        "delivery_info": PRESENT,
    },
    "kombu.transport.virtual:Message": {
        "__init__": "(self, payload, channel=, **kwargs)",
    },
    "kombu.transport.virtual:QoS": {
        "append": "(self, message, delivery_tag)",
        "ack": "(self, delivery_tag)",
        "can_consume": "(self)",
        "prefetch_count": PRESENT,
        "_delivered": PRESENT,
        "_dirty": PRESENT,
        "channel": PRESENT,
    },
    "kombu.transport.virtual:Channel": {
        "basic_get": "(self, queue, no_ack=, **kwargs)",
        "qos": PRESENT,
        "connection": PRESENT,
        "_lookup": "(self, exchange, routing_key, default=)",
        "_get_message_priority": "(self, message, reverse=)",
        "Message": PRESENT,
        "QoS": PRESENT,
    },
    "kombu.transport.virtual:Transport": {
        "_deliver": "(self, message, queue)",
        "cycle": PRESENT,
    },
    "kombu.transport.redis:QoS": {
        "ack": "(self, delivery_tag)",
        "reject": "(self, delivery_tag, requeue=)",
        "append": "(self, message, delivery_tag)",
        "restore_visible": "(self, start=, num=, interval=)",
        "restore_by_tag": "(self, tag, client=, leftmost=)",
        "unacked_key": PRESENT,
        "unacked_index_key": PRESENT,
        "visibility_timeout": PRESENT,
    },
    "kombu.transport.redis:Channel": {
        "basic_consume": "(self, queue, *args, **kwargs)",
        "_queue_bind": "(self, exchange, routing_key, pattern, queue)",
        "_receive_one": "(self, c)",
        "_put": "(self, queue, message, **kwargs)",
        "_create_client": "(self, asynchronous=)",
        "pool": PRESENT,
        "close": "(self)",
        "conn_or_acquire": "(self, client=)",
        "client": PRESENT,
        "_q_for_pri": "(self, queue, pri)",
        "sep": SEPARATOR,
        "active_queues": PRESENT,
        "active_fanout_queues": PRESENT,
        "from_transport_options": PRESENT,
        "global_keyprefix": PRESENT,
        "visibility_timeout": PRESENT,
        "unacked_key": UNACKED,
        "connection_errors": PRESENT,
        "unacked_index_key": UNACKED_INDEX,
    },
    "kombu.transport.redis:MultiChannelPoller": {
        "_channels": PRESENT,
        "_register_LISTEN": "(self, channel)",
        "close": "(self)",
        "on_poll_start": "(self)",
        "get": "(self, callback, timeout=)",
        "handle_event": "(self, fileno, event)",
        "maybe_restore_messages": "(self)",
        "poller": PRESENT,
    },
    "kombu.transport.redis:Transport": {
        "register_with_event_loop": "(self, connection, loop)",
        "Channel": PRESENT,
    },
    "celery.app.amqp": {
        "_callback_publish_retry": PRESENT,
    },
    "celery.app.amqp:AMQP": {
        "Connection": PRESENT,
        "Queues": (
            "(self, queues, create_missing=, create_missing_queue_type=, create_missing_queue_exchange_type=, autoexchange=, "
            "max_priority=)"
        ),
        "Router": "(self, queues=, create_missing=)",
        "as_task_v2": (
            "(self, task_id, name, args=, kwargs=, countdown=, eta=, group_id=, group_index=, expires=, retries=, chord=, "
            "callbacks=, errbacks=, reply_to=, time_limit=, soft_time_limit=, create_sent_event=, root_id=, parent_id=, shadow=, "
            "chain=, now=, timezone=, origin=, ignore_result=, argsrepr=, kwargsrepr=, stamped_headers=, "
            "replaced_task_nesting=, **options)"
        ),
        "send_task_message": PRESENT,
        "_create_task_sender": "(self)",
    },
    "celery.app.routes:Router": {
        "__init__": "(self, routes=, queues=, create_missing=, app=)",
        "expand_destination": "(self, route)",
    },
    "kombu.pidbox:Node": {
        "handle_message": "(self, body, message=)",
        "dispatch": "(self, method, arguments=, reply_to=, ticket=, **kwargs)",
        "reply": "(self, data, exchange, routing_key, ticket, **kwargs)",
    },
    "kombu.pidbox:Mailbox": {
        "node_cls": PRESENT,
        "reply_exchange": PRESENT,
    },
    "celery.app.control:Control": {
        "Mailbox": PRESENT,
    },
    "celery.app.base:Celery": {
        "amqp_cls": PRESENT,
        "control_cls": PRESENT,
        "task_cls": PRESENT,
        "loader_cls": PRESENT,
        "__reduce_keys__": "(self)",
    },
    "celery.loaders.app:AppLoader": {
        "override_backends": PRESENT,
        "import_from_cwd": "(self, module, imp=, package=)",
        "import_module": "(self, module, package=)",
    },
    "celery.app.task": {
        "Context": PRESENT,
    },
    "celery.app.task:Task": {
        "Request": PRESENT,
        "__call__": "(self, *args, **kwargs)",
        "run": "(self, *args, **kwargs)",
        "request": PRESENT,
        "resultrepr_maxsize": PRESENT,
        "before_start": "(self, task_id, args, kwargs)",
        "on_success": "(self, retval, task_id, args, kwargs)",
        "on_failure": "(self, exc, task_id, args, kwargs, einfo)",
    },
    "celery.backends.base:Backend": {
        "mark_as_done": "(self, task_id, result, request=, store_result=, state=)",
        "mark_as_failure": (
            "(self, task_id, exc, traceback=, request=, store_result=, call_errbacks=, state=)"
        ),
        "mark_as_revoked": "(self, task_id, reason=, request=, store_result=, state=)",
        "_call_task_errbacks": "(self, request, exc, traceback)",
        "_fail_chain": "(self, chain, exc, traceback=, store_result=, state=)",
        "store_result": "(self, task_id, result, state, traceback=, request=, **kwargs)",
    },
    "celery.backends.base:BaseKeyValueStoreBackend": {
        "_store_result": "(self, task_id, result, state, traceback=, request=, **kwargs)",
        "_get_result_meta": "(self, result, state, traceback, request, format_date=, encode=)",
        "_get_task_meta_for": "(self, task_id)",
        "get_key_for_task": "(self, task_id, key=)",
    },
    "celery.backends.redis:RedisBackend": {
        "ensure": "(self, fun, args, **policy)",
        "client": PRESENT,
        "on_chord_part_return": "(self, request, state, result, propagate=, **kwargs)",
        "exception_safe_to_retry": "(self, exc)",
        "on_connection_error": "(self, max_retries, exc, intervals, retries)",
    },
    "celery.worker.consumer:Consumer": {
        "ensure_connected": "(self, conn)",
        "on_connection_error_after_connected": "(self, exc)",
        "on_ready": "(self)",
        "on_send_event_buffered": "(self)",
        "shutdown": "(self)",
        "create_task_handler": "(self, promise=)",
        "on_unknown_message": "(self, body, message)",
        "on_unknown_task": "(self, body, message, exc)",
        "on_invalid_task": "(self, body, message, exc)",
        "on_decode_error": "(self, message, exc)",
        "hub": PRESENT,
        "connection_errors": PRESENT,
    },
    "celery.worker.state": {
        "active_requests": PRESENT,
        "all_total_count": PRESENT,
        "reserved_requests": PRESENT,
        "task_ready": (
            "(request, successful=, remove_request=, discard_active_request=, discard_reserved_request=, "
            "discard_scheduled_request=)"
        ),
        "should_terminate": PRESENT,
    },
    "celery.worker.request:Request": {
        "maybe_expire": "(self)",
        "expires": PRESENT,
        "on_accepted": "(self, pid, time_accepted)",
        "on_timeout": "(self, soft, timeout)",
        "on_failure": "(self, exc_info, send_failed_event=, return_ok=)",
        "acknowledge": "(self)",
        "reject": "(self, requeue=)",
        "send_event": "(self, type, **fields)",
        "store_errors": PRESENT,
        "ignore_result": PRESENT,
        "_already_cancelled": PRESENT,
        "_already_revoked": PRESENT,
        "_success_was_stored": "(self)",
        "_context": PRESENT,
        "_app": PRESENT,
        "_args": PRESENT,
        "_apply_result": PRESENT,
        "_connection_errors": PRESENT,
        "time_limits": PRESENT,
        "worker_pid": PRESENT,
        "_type": PRESENT,
        "acknowledged": PRESENT,
        "message": PRESENT,
    },
    "celery.concurrency.prefork:TaskPool": {
        "_pool": PRESENT,
    },
    "billiard.pool:Pool": {
        "_pool": PRESENT,
    },
    "celery.concurrency.base:BasePool": {
        "_pool": PRESENT,
    },
    "celery.concurrency.asynpool:AsynPool": {
        "on_hard_timeout": PRESENT,
        "outbound_buffer": PRESENT,
    },
    "billiard.pool:TimeoutHandler": {
        "on_hard_timeout": "(self, job)",
    },
    "billiard.pool:ApplyResult": {
        "ready": "(self)",
        "_accepted": PRESENT,
        "_scheduled_for": PRESENT,
        "_time_accepted": PRESENT,
        "_timeout": PRESENT,
        "_worker_pid": PRESENT,
        "_write_to": PRESENT,
    },
    "billiard.process:BaseProcess": {
        "_is_alive": "(self)",
    },
    "billiard.einfo:ExceptionWithTraceback": {
        "__init__": "(self, exc, tb)",
        "exc": PRESENT,
    },
    "billiard.exceptions": {
        "TimeLimitExceeded": PRESENT,
        "WorkerLostError": PRESENT,
    },
    "celery.worker.consumer.tasks": {
        "task_consumer": PRESENT,
    },
    "celery.worker.consumer.events": {
        "event_dispatcher": PRESENT,
    },
}
"""By owner, `module` or `module:class`: the expected parameters of what is called or overridden, those with a default
marked by `=`; the expected value of a constant; or PRESENT."""


def is_book(name: str) -> bool:
    """Whether a key of this name is no queue; other programs call theirs of what is held NAME.unacked…"""
    return name.startswith(BOOKS) or f".{UNACKED}" in name


def lists(queue: str) -> list[str]:
    """Keys of the lists of a queue, those that are served first before the others."""
    return [f"{queue}{SEPARATOR}{step}" if step else queue for step in STEPS]


def changes() -> list[str]:
    """Compare FOREIGN with what is installed; one sentence for each name that vanished or is no longer what it was."""
    found = []
    for owner, names in FOREIGN.items():
        module, _, kind = owner.partition(":")
        try:
            holder = import_module(module)
            holder = getattr(holder, kind) if kind else holder
        except (ImportError, AttributeError):
            found.append(f"{owner} vanished")
            continue
        for name, expected in names.items():
            present = _what_is(holder, name)
            if present is None:
                found.append(f"{owner}.{name} vanished")
            elif expected not in (PRESENT, present):
                found.append(f"{owner}.{name} is {present}, expected {expected}")
    return found


def _what_is(holder: Any, name: str) -> str | None:
    value = inspect.getattr_static(holder, name, None)
    if inspect.isfunction(value):
        return f"({', '.join(map(_parameter, inspect.signature(value).parameters.values()))})"
    if isinstance(value, str):
        return value
    if hasattr(holder, name) or any(re.search(rf"\.{name}\b.* = ", text) for text in _sources(holder)):
        return PRESENT
    return None


def _parameter(parameter: inspect.Parameter) -> str:
    bare = parameter.replace(annotation=inspect.Parameter.empty, default=inspect.Parameter.empty)
    return f"{bare}{'=' if parameter.default is not parameter.empty else ''}"


def _sources(holder: Any) -> list[str]:
    """Where attributes are set that no class declares: in the methods of a class, or in a module that is given the object."""
    if not inspect.isclass(holder):
        return [_source(holder)]
    return [_source(one) for one in inspect.getmro(holder) if one.__module__.split(".")[0] != "builtins"]


@cache
def _source(holder: Any) -> str:
    """Kept, since to find a class Python parses all of its file."""
    return inspect.getsource(holder)
