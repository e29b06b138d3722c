"""The one place where Celery is set up: every queue, serializer, time and transport setting, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from celery import Celery
from celery.loaders.app import AppLoader
from celery.platforms import set_pdeathsig
from celery.signals import beat_embedded_init, worker_init
from kombu import Queue

from packsight.shared.contract import messages
from packsight.shared.queue.pulse import pulses
from packsight.shared.settings import Settings


@beat_embedded_init.connect  # type: ignore[untyped-decorator]
def _die_with_the_worker(**_: Any) -> None:
    """End an embedded clock when the worker around it is killed; it would go on ticking beside its successor's.

    Connected here, since a spawned clock imports no more than this module.
    """
    set_pdeathsig("SIGKILL")


@worker_init.connect  # type: ignore[untyped-decorator]
def _listen_to_children(**_: Any) -> None:
    """Make what children say their word into before there are any."""
    pulses()


QUEUES = (*messages.WORKER_QUEUES, messages.INDEXER_QUEUE)


class Loader(AppLoader):  # type: ignore[misc]
    """Imports tasks as Python does; Celery would look for all that they import in the current folder first. Names our backend."""

    override_backends: ClassVar = dict.fromkeys(("redis", "rediss"), "packsight.shared.queue.result_backend:ResultBackend")

    def import_from_cwd(self, module: str, imp: Any = None, package: str | None = None) -> Any:
        """Import a module from where it is installed."""
        return self.import_module(module, package)


class App(Celery):  # type: ignore[misc]
    """A Celery app that knows packsight's settings and speaks over its transport, in the children too."""

    amqp_cls = "packsight.shared.queue.transport.connection:AMQP"
    control_cls = "packsight.shared.queue.remote_control:Control"
    loader_cls = Loader
    task_cls = "packsight.shared.queue.callbacks:Task"

    def __init__(self, *args: Any, settings: Settings, **kwargs: Any) -> None:
        self.settings = settings
        super().__init__(*args, **kwargs)

    def __reduce_keys__(self) -> dict[str, Any]:
        return {**super().__reduce_keys__(), "settings": self.settings}


def make_app(
    name: str,
    settings: Settings,
    *,
    include: Sequence[str] = (),
    per_queue_prefetch: tuple[int, Sequence[str]] | None = None,
    takes: str | None = None,
    beat_schedule: Mapping[str, Any] | None = None,
    sends_only: bool = False,
) -> App:
    """Make the app of one of our processes.

    include: modules that define tasks; a spawned child starts from nothing and imports just these.
    per_queue_prefetch: how many messages of some queues together a worker holds; those of others are taken beyond that.
    takes: `module:function` that tells whether messages of a queue are taken now.
    beat_schedule: what the clock in a worker sends periodically.
    sends_only: for whoever is waited for. It says at once that the broker is away, since sending can be resumed, and
    has no result backend, because Celery would subscribe to every task it sends and keep each in memory; results are read
    through the ledger.
    """
    app = App(name, settings=settings, set_as_current=False)
    app.conf.update(_messages(), **_broker(settings), **_results(settings), **_worker(settings), include=list(include))
    options: dict[str, Any] = {"per_queue_prefetch": per_queue_prefetch, "takes": takes}
    options |= {"max_retries": 0} if sends_only else {}
    app.conf.broker_transport_options |= options
    if sends_only:
        app.conf.result_backend = "disabled"
        # A misspelt queue would be created silently and served by nobody.
        app.conf.task_create_missing_queues = False
    if beat_schedule:
        # In memory: a schedule file that cannot be written would end the beat, and losing it costs but part of a period.
        app.conf.update(beat_schedule=beat_schedule, beat_scheduler="celery.beat:Scheduler")
    return app


def _messages() -> dict[str, Any]:
    return {
        # Nothing but JSON: unpickling a message would run what its sender likes. Exceptions travel as type and text.
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "timezone": "UTC",
        "enable_utc": True,
        "task_default_queue": messages.DEFAULT_QUEUE,
        "task_queues": [Queue(queue) for queue in QUEUES],
        # Callbacks go to queues of other programs. Whoever sends of his own accord is told of a misspelt one: see make_app.
        "task_create_missing_queues": True,
        "task_routes": {
            messages.RECOGNIZE: {"queue": messages.BULK_QUEUE},
            messages.DESCRIBE: {"queue": messages.DESCRIBE_QUEUE},
            messages.SYNC: {"queue": messages.INDEXER_QUEUE},
            messages.RECONCILE: {"queue": messages.INDEXER_QUEUE},
        },
        # Flower and the progress display live on these.
        "task_send_sent_event": True,
        "worker_send_task_events": True,
        # Replies and events of an asker that has gone would stay in the broker for ever.
        "event_queue_ttl": 5.0,
        "event_queue_expires": 60.0,
        "control_queue_ttl": 60.0,
        "control_queue_expires": 60.0,
    }


def _broker(settings: Settings) -> dict[str, Any]:
    queue = settings.queue
    return {
        "broker_url": settings.broker,
        "broker_transport_options": {
            # Short, since the transport renews what a living consumer holds: it is the time to notice a dead worker,
            # not the time that a task may take.
            "visibility_timeout": queue.visibility_timeout,
            # The defaults multiply to a sweep every 100 s.
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            # Without them a publish to a frozen broker, or over a half-open connection, blocks for ever.
            "socket_timeout": queue.socket_timeout,
            "socket_connect_timeout": queue.socket_timeout,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        # A worker that gives up would have to be restarted by hand; None retries for ever.
        "broker_connection_max_retries": None,
        "broker_connection_timeout": queue.socket_timeout,
        # Bridges a broker's restart; a frozen one is reported after about two socket timeouts.
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0.5, "interval_step": 0, "interval_max": 0.5},
        # Cancelling on connection loss ends the whole worker at every restart of the broker; running tasks go on.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }


def _results(settings: Settings) -> dict[str, Any]:
    queue = settings.queue
    return {
        "result_backend": settings.results,
        "result_expires": queue.result_expires,
        "result_backend_transport_options": {
            "visibility_timeout": queue.visibility_timeout,
            # A finished batch waits for the database as long as its task may take in all (its child is killed then and the
            # message comes back); giving up earlier would acknowledge a message that has no result.
            "retry_policy": {"max_retries": None, "interval_start": 0, "interval_step": 0.2, "interval_max": 1},
        },
        "result_backend_always_retry": True,
        "result_backend_max_sleep_between_retries_ms": 1000,
        "redis_socket_timeout": queue.socket_timeout,
        "redis_socket_connect_timeout": queue.socket_timeout,
        "redis_socket_keepalive": True,
        "redis_retry_on_timeout": True,
        "redis_backend_health_check_interval": 25,
        # Two more round trips per message for a state that the event stream shows anyway.
        "task_track_started": False,
    }


def _worker(settings: Settings) -> dict[str, Any]:
    return {
        # A message leaves the broker only when its result is stored, and comes back when its child dies.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # One message per child and none in reserve: what waits, waits in the broker, where a free worker finds it.
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        # With the limit above there is nothing to reduce after a reconnect; the gradual restoring only slows the start.
        "worker_enable_prefetch_count_reduction": False,
        # A forked child inherits the thread pools of OpenVINO, torch and Faiss without their threads, and hangs.
        "worker_pool_start_method": "spawn",
        # A replacement child that is not up in time is killed, and the next one too; so leave time to build the models.
        "worker_proc_alive_timeout": settings.worker.start_timeout,
        # Of tasks that have no limit of their own. It ends a hang in native code too: the parent kills the child.
        "task_time_limit": settings.worker.seconds_for(settings.worker.max_batch),
        "worker_max_memory_per_child": settings.worker.max_memory_mb * 1024 or None,
        "worker_consumer": "packsight.shared.queue.consumer:Consumer",  # reconnects fast and puts refused messages aside
        # The program that starts the worker sets up logging.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }
