"""The broker's users: for each role the commands that it needs, each on the keys and channels that it needs it for.

Rules of Redis 7 and Valkey (https://valkey.io/topics/acl/): `(…)` is a selector, a right of its own; a command must be allowed
on all of its keys by one of them. What a script does is checked command by command under the same rules. Results lie in another
database of the same server, and rules do not tell databases apart, so names do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from packsight.deploy.stack.credentials import Role
from packsight.shared.contract.messages import (
    BULK_QUEUE,
    DEFAULT_QUEUE,
    DESCRIBE_QUEUE,
    INDEXER_QUEUE,
    INTERACTIVE_QUEUE,
    WORKER_QUEUES,
)
from packsight.shared.queue import keys
from packsight.shared.queue.registry import CHILD, HINTS, REPLICA, SERVED
from packsight.shared.queue.transport.contract import UNACKED, UNACKED_INDEX

DATABASE = 0
"""Of the broker. Its channels carry the number, and a subscription to a pattern is allowed for the very pattern alone."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Commands, each on all of these keys and channels. Keys as rules have them: %R~ to read, %W~ to write, ~ for both."""

    commands: str
    keys: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [*(f"+{command}" for command in self.commands.split()), *self.keys, *(f"&{channel}" for channel in self.channels)]
        return f"({' '.join(words)})"


_CONNECT = (
    "auth", "hello", "select", "ping", "quit", "reset", "info", "time", "client|setinfo", "client|setname", "client|id", "multi",
    "exec", "discard", "watch", "unwatch",
)  # fmt: skip
"""What is needed to hold a connection, and names neither keys nor channels."""
_SCRIPTS = "evalsha script|load script|exists"
_EVENTS = f"/{DATABASE}.celeryev/*"
_CONTROL = f"/{DATABASE}.celery.pidbox"
_RESULTS = ("~celery-task-meta-*", "~celery-taskset-meta-*")
_TOLD = ("celery-task-meta-*", "celery-taskset-meta-*")
"""Channels of the same names, on which Celery tells what it has kept."""
_DELIVERIES = (f"~{keys.stopped('*')}", f"~{keys.partial('*')}")
_LOCKS = (f"~{keys.sync_lock('*')}", f"~{keys.COLLECTION_LOCK}", f"~{keys.RECONCILER_LOCK}")
_JOBS = (f"~{keys.JOBS}", f"~{keys.job('*')}", f"~{keys.missing_candidates('*')}")
_DEAD_LETTERS = (f"~{keys.DEAD_LETTERS}", f"~{keys.DEAD_LETTERS_ORDER}", f"~{keys.DEAD_LETTERS_DROPPED}")
_ALIVE = (f"~{CHILD}*", f"~{REPLICA}*", f"~{SERVED}*", "~packsight:process:*")
"""Signs of life of processes."""
_ASKED_FOR = (INTERACTIVE_QUEUE, DEFAULT_QUEUE, BULK_QUEUE)
_ALL_QUEUES = (*WORKER_QUEUES, INDEXER_QUEUE)


def _lists(rights: str, *queues: str) -> tuple[str, ...]:
    """The lists of some queues: kombu has one for each priority, named QUEUE, then two control characters and a number."""
    return tuple(f"{rights}~{queue}{step}" for queue in queues for step in ("", "??[369]"))


def _bindings(*exchanges: str) -> tuple[str, ...]:
    """Sets in which kombu notes which queues an exchange leads to."""
    return tuple(f"~_kombu.{kind}.{exchange}" for exchange in exchanges for kind in ("binding", "binding_permanent"))


def _send(*queues: str) -> Iterator[Grant]:
    """Put messages into queues, never take or read one, and tell Flower."""
    yield Grant("lpush", _lists("%W", *queues))
    yield Grant("sadd smembers", _bindings(*queues))
    yield Grant("publish", channels=(_EVENTS,))


def _count(*queues: str) -> Iterator[Grant]:
    """Count messages, without seeing any."""
    yield Grant("llen", _lists("%R", *queues))
    yield Grant("hlen", (f"%R~{UNACKED}",))
    yield Grant("zcount", (f"%R~{UNACKED_INDEX}",))


def _take(*queues: str) -> Iterator[Grant]:
    """Take messages from queues, hold them, give them back."""
    lists = _lists("", *queues)
    held = (f"~{UNACKED}", f"~{UNACKED_INDEX}")
    yield Grant(f"{_SCRIPTS} rpop rpush exists llen client|tracking", (*lists, *held))
    yield Grant("hget hset hdel hexists hlen zadd zrem zscore zrange zcount", held)
    yield Grant("sadd smembers", _bindings(*queues))


def _answer() -> Iterator[Grant]:
    """Hear questions of remote control and answer them, and tell of what one does."""
    yield Grant("psubscribe punsubscribe", channels=(_CONTROL,))
    yield Grant("publish", channels=(_EVENTS,))
    yield Grant("llen del pexpire", _lists("", "*.celery.pidbox"))
    yield Grant("lpush pexpire", _lists("%W", "*.reply.celery.pidbox"))
    yield from _short_lived("celery.pidbox", "reply.celery.pidbox")


def _ask() -> Iterator[Grant]:
    """Ask all workers and hear their answers."""
    yield Grant("publish", channels=(_CONTROL,))
    yield Grant("rpop llen del pexpire", _lists("", "*.reply.celery.pidbox"))
    yield from _short_lived("celery.pidbox", "reply.celery.pidbox")


def _listen() -> Iterator[Grant]:
    """Hear what workers tell of what they do."""
    yield Grant("psubscribe punsubscribe", channels=(_EVENTS,))
    yield Grant("del pexpire llen", ("~celeryev.*",))
    yield from _short_lived("celeryev")


def _short_lived(*exchanges: str) -> Iterator[Grant]:
    """Bindings of queues that go with whoever listens; kombu removes by script those that nobody refreshed."""
    deadlines = "~_kombu.binding_deadlines"
    yield Grant(f"{_SCRIPTS} sadd smembers srem del exists", (*_bindings(*exchanges), deadlines))
    yield Grant("zadd zrangebyscore zrem", (deadlines,))


def _read_results() -> Iterator[Grant]:
    yield Grant("get mget getrange exists del", _RESULTS)
    yield Grant("subscribe unsubscribe", channels=("celery-task-meta-*",))


def _store_results() -> Iterator[Grant]:
    """Store results, and count the parts of chords by Celery's scripts."""
    yield Grant(
        f"{_SCRIPTS} get mget getrange exists set setex del expire incrby zadd zcount zrange rpush llen lrange sadd sismember",
        _RESULTS,
    )
    yield Grant("publish", channels=_TOLD)


def _put_dead_letters() -> Iterator[Grant]:
    """Put dead letters on the list, and drop the oldest unread."""
    yield Grant("hset hdel zadd zcard zpopmin incrby", _DEAD_LETTERS)


def _keep_jobs() -> Iterator[Grant]:
    yield Grant(f"{_SCRIPTS} hset hget hgetall expire zadd zrem zrange zremrangebyscore del sadd smembers sismember", _JOBS)


def _submit() -> Iterator[Grant]:
    """Queue jobs, read what became of them, ask again about what failed, cancel them, see what was begun or stopped."""
    yield from _send(*_ASKED_FOR)
    yield from _count(*WORKER_QUEUES)
    yield from _read_results()
    yield Grant("set setex expire", _RESULTS[1:])  # groups and chords of other programs
    yield Grant("publish", channels=_TOLD[1:])
    yield from _keep_jobs()
    yield Grant("hset expire del exists", _DELIVERIES)
    yield Grant("hget", (f"%R~{keys.stopped('*')}",))


def _serve_http() -> Iterator[Grant]:
    """What a producer may, and keep a list of what was accepted and is still to be done."""
    yield from _submit()
    errands = f"~{keys.errand('*')}", f"~{keys.errands('*')}"  # a script changes both
    yield Grant(f"{_SCRIPTS} set get mget del expire zadd zrem zrangebyscore zrevrange", errands)


def _recognise() -> Iterator[Grant]:
    """Work on photos and keep the books."""
    yield from _take(*WORKER_QUEUES)
    yield from _answer()
    # Callbacks go to whatever queue they name, so a worker may put a message anywhere; it may take and read none there.
    yield Grant("lpush llen", ("~*",))
    yield from _store_results()
    books = (*_DELIVERIES, _RESULTS[0])  # scripts begin a batch and end it
    yield Grant(f"{_SCRIPTS} expire exists hset hget hgetall hincrby hdel del", books)
    yield from _put_dead_letters()
    yield Grant("set del get mget", _ALIVE)
    yield Grant("set", (f"%W~{keys.PROBE}",))
    yield Grant("publish subscribe unsubscribe", channels=(HINTS,))
    yield Grant("hincrby expire", (f"~{keys.tried('*', '*')}",))
    yield Grant(f"{_SCRIPTS} hlen hexists hset hget hmget unlink rename expire", (f"~{keys.seen('*')}",))


def _publish() -> Iterator[Grant]:
    """Bring catalogs in step: have photos described, hold the lock, tell the workers, see whether they follow."""
    yield from _send(DESCRIBE_QUEUE)
    yield from _count(*WORKER_QUEUES)
    yield from _read_results()
    yield Grant(f"{_SCRIPTS} set get del pexpire pttl", _LOCKS)
    yield from _look_at_workers()
    yield Grant("publish", channels=(HINTS,))
    yield Grant("hset hincrby hgetall expire", (f"~{keys.sync('*')}",))


def _index() -> Iterator[Grant]:
    """Sync by the clock, and enqueue again what was lost."""
    yield from _take(INDEXER_QUEUE)
    yield from _answer()
    yield from _send(*_ALL_QUEUES)
    yield from _store_results()
    yield from _put_dead_letters()
    yield from _publish()
    yield from _keep_jobs()
    yield Grant("set del", _ALIVE[-1:])
    yield Grant("set", (f"%W~{keys.FIGURES}",))
    yield Grant("hset expire del", _DELIVERIES)
    yield Grant(f"{_SCRIPTS} lrange", _lists("", *_ALL_QUEUES))
    yield Grant(f"{_SCRIPTS} hscan", (f"~{UNACKED}",))


def _look_at_workers() -> Iterator[Grant]:
    yield Grant("scan")
    yield Grant("get mget", tuple(f"%R{alive}" for alive in _ALIVE))


def _look() -> Iterator[Grant]:
    """See what runs and what waits, without seeing a photo or an answer."""
    yield from _ask()
    yield from _count(*_ALL_QUEUES)
    yield from _look_at_workers()
    yield Grant("zcard", (f"%R~{keys.DEAD_LETTERS_ORDER}",))
    yield Grant("hgetall", (f"%R~{keys.tried('*', '*')}", f"%R~{keys.sync('*')}"))
    yield Grant("get", (f"%R~{keys.FIGURES}",))


def _watch() -> Iterator[Grant]:
    """What Flower shows."""
    yield from _listen()
    yield from _ask()
    yield Grant("llen", _lists("%R", *_ALL_QUEUES))
    yield Grant("get", ("%R~celery-task-meta-*",))


def _operate() -> Iterator[Grant]:
    """All that packsight's commands do."""
    yield from _submit()
    yield from _publish()
    yield from _look()
    yield from _send(DESCRIBE_QUEUE, INDEXER_QUEUE)
    yield Grant("hget hmget hdel zrange zrem zcard get", _DEAD_LETTERS)
    yield Grant("unlink del", (f"~{keys.seen('*')}",))


def _consume(name: str) -> Iterator[Grant]:
    """What a producer may; and take messages from the queues NAME and NAME.…, as Celery does over kombu's own transport.

    Its unacknowledged messages are to lie in keys of its own, NAME.unacked…: in kombu's usual ones lie those of our workers.
    """
    yield from _submit()
    yield from _answer()
    yield from _store_results()
    own = (name, f"{name}.*")
    yield Grant(f"brpop rpop lpush rpush llen {_SCRIPTS}", _lists("", *own))
    yield Grant("sadd smembers", _bindings(*own))
    yield Grant(f"hget hset hdel zadd zrem zrange zrevrangebyscore set get del {_SCRIPTS}", (f"~{name}.unacked*",))


_RIGHTS = {
    Role.OPERATOR: _operate,
    Role.PRODUCER: _submit,
    Role.WORKER: _recognise,
    Role.INDEXER: _index,
    Role.FLOWER: _watch,
    Role.HTTP: _serve_http,
    Role.MONITOR: _look,
}


def rules(grants: Iterable[Grant]) -> str:
    """What a user may do, without its password."""
    commands = " ".join(f"+{command}" for command in _CONNECT)
    return f"resetchannels resetkeys -@all {commands} {' '.join(dict.fromkeys(map(str, grants)))}"


def rules_of_program(name: str) -> str:
    """The same for another program that has workers of its own."""
    return rules(_consume(name))


def users(passwords: Mapping[Role, str], programs: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Lines of an ACL file, which are also lines of a server's configuration: users with their hashed passwords.

    passwords: of roles; programs: of other programs that have workers of their own, by name.
    """
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    lines += [_user(role, password, rules(_RIGHTS[role]())) for role, password in passwords.items()]
    return lines + [_user(name, password, rules_of_program(name)) for name, password in programs.items()]


def _user(name: str, password: str, may: str) -> str:
    return f"user {name} on sanitize-payload #{hashlib.sha256(password.encode()).hexdigest()} {may}"
