"""Every door of the broker, tried on a real server without a key and with the key of each role: a table of doors and roles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.retry import Retry

from packsight.deploy.stack.acl import users
from packsight.deploy.stack.credentials import Role
from packsight.deploy.testbed import Servers
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.queue import keys
from packsight.shared.queue.deliveries import Deliveries, Stop
from packsight.shared.queue.jobs_ledger import JobsLedger, JobState
from packsight.shared.queue.pulse import Holder
from packsight.shared.storage.jobs import task_id

LETTERS = {
    "O": Role.OPERATOR, "P": Role.PRODUCER, "W": Role.WORKER, "I": Role.INDEXER, "F": Role.FLOWER, "M": Role.MONITOR,
    "H": Role.HTTP,
}  # fmt: skip
PRIORITY = "packsight.recognize\x06\x166"
CONTROL, EVENTS = "/0.celery.pidbox", "/0.celeryev/*"

DOORS: list[tuple[str, tuple[str, ...], str]] = [
    # what is done, the command, who may
    ("ask about a photo", ("LPUSH", "packsight.interactive", "x"), "OPWIH"),
    ("queue a batch", ("LPUSH", "packsight.recognize", "x"), "OPWIH"),
    ("queue a batch of low priority", ("LPUSH", PRIORITY, "x"), "OPWIH"),
    ("have a photo described", ("LPUSH", "packsight.describe", "x"), "OWI"),
    ("start a sync", ("LPUSH", "packsight.indexer", "x"), "OWI"),
    ("put a callback into a queue of another program", ("LPUSH", "somebody", "x"), "W"),
    ("take a batch", ("RPOP", "packsight.recognize"), "W"),
    ("take a batch of low priority", ("RPOP", PRIORITY), "W"),
    ("take a message of the indexer", ("RPOP", "packsight.indexer"), "I"),
    ("take a message of another program", ("RPOP", "somebody"), ""),
    ("read what waits", ("LRANGE", "packsight.recognize", "0", "-1"), "I"),
    ("read what waits for the indexer", ("LRANGE", "packsight.indexer", "0", "-1"), "I"),
    ("read what another program has waiting", ("LRANGE", "somebody", "0", "-1"), ""),
    ("remove a queue", ("DEL", "packsight.recognize"), ""),
    ("count what waits", ("LLEN", "packsight.recognize"), "OPWIFMH"),
    ("count what is in work", ("HLEN", "unacked"), "OPWIMH"),
    ("read all that is in work", ("HGETALL", "unacked"), ""),
    ("read a message in work", ("HGET", "unacked", "x"), "WI"),
    ("lose a message in work", ("HDEL", "unacked", "x"), "WI"),
    ("lose all messages in work", ("DEL", "unacked"), ""),
    ("lead a queue elsewhere", ("SADD", "_kombu.binding.packsight.describe", "x"), "OWI"),
    ("read a result", ("GET", "celery-task-meta-x"), "OPWIFH"),
    ("forge a result", ("SET", "celery-task-meta-x", "x"), "WI"),
    ("remove a result", ("DEL", "celery-task-meta-x"), "OPWIH"),
    ("wait for a result", ("SUBSCRIBE", "celery-task-meta-x"), "OPIH"),
    ("wait for all results", ("PSUBSCRIBE", "*"), ""),
    ("note a job", ("HSET", "packsight:job:x", "batches", "1"), "OPIH"),
    ("note a delivery", ("HINCRBY", "packsight:partial:x", "count", "1"), "W"),
    ("see whether a batch was begun", ("EXISTS", "packsight:partial:x"), "OPWH"),
    ("have nobody begin a job's batches", ("HSET", "packsight:deliveries:job:x", "stop", "cancelled"), "OPWIH"),
    ("read whether that was said", ("HGET", "packsight:deliveries:job:x", "stop"), "OPWH"),
    ("read what was done of a batch", ("HGET", "packsight:partial:x", "done:0"), "W"),
    ("note what is removed", ("HSET", "packsight:job:", "x", "done"), "OPIH"),
    ("have a batch begin anew", ("DEL", "packsight:partial:x"), "OPWIH"),
    ("tell of a group", ("PUBLISH", "celery-taskset-meta-x", "x"), "OPWIH"),
    ("pretend that a result has come", ("PUBLISH", "celery-task-meta-x", "x"), "WI"),
    ("read dead letters", ("HMGET", "packsight:dead-letters", "x"), "O"),
    ("put a dead letter aside", ("HSET", "packsight:dead-letters", "x", "x"), "WI"),
    ("drop a dead letter", ("HDEL", "packsight:dead-letters", "x"), "OWI"),
    ("count dead letters", ("ZCARD", "packsight:dead-letters:order"), "OWIM"),
    ("pretend to be a worker", ("SET", "packsight:child:x", "x"), "W"),
    ("say that a catalog is served", ("SET", "packsight:served:x", "1"), "W"),
    ("see the workers", ("MGET", "packsight:child:x", "packsight:replica:x"), "OWIM"),
    ("read what was seen on photos", ("HGET", "packsight:seen:x", "x"), "W"),
    ("forget what was seen on photos", ("UNLINK", "packsight:seen:x"), "OW"),
    ("count how photos end while a canary is tried", ("HINCRBY", "packsight:tried:default:v2", "canary:matched", "1"), "W"),
    ("read how they ended", ("HGETALL", "packsight:tried:default:v2"), "OM"),
    ("note how a sync ended", ("HSET", "packsight:sync:default", "ending", "failed"), "OI"),
    ("read how a sync ended", ("HGETALL", "packsight:sync:default"), "OIM"),
    ("tell what is seen of the whole", ("SET", "packsight:figures", "x"), "I"),
    ("read what is seen of the whole", ("GET", "packsight:figures"), "OM"),
    ("take what the HTTP door has to do", ("ZADD", "packsight:errands:queue", "1", "x"), "H"),
    ("read what the HTTP door has to do", ("GET", "packsight:errand:x"), "H"),
    ("forge what the HTTP door has to do", ("SET", "packsight:errand:x", "x"), "H"),
    ("end what the HTTP door has to do", ("EVALSHA", "0" * 40, "2", "packsight:errand:x", "packsight:errands:queue"), "H"),
    ("hold up a catalog", ("SET", "packsight:lock:sync:default", "x"), "OI"),
    ("tell of a new version", ("PUBLISH", "packsight:catalogs", "default"), "OWI"),
    ("ask all workers", ("PUBLISH", CONTROL, "x"), "OFM"),
    ("hear what workers are asked", ("PSUBSCRIBE", CONTROL), "WI"),
    ("take somebody's answers", ("RPOP", "x.reply.celery.pidbox"), "OFM"),
    ("hear what workers do", ("PSUBSCRIBE", EVENTS), "F"),
    ("tell what one does", ("PUBLISH", "/0.celeryev/worker.heartbeat", "x"), "OPWIH"),
    ("hear all channels", ("SUBSCRIBE", "x"), ""),
    ("list the names of keys", ("SCAN", "0"), "OIM"),
    ("list the names of keys at one go", ("KEYS", "*"), ""),
    ("read any key", ("GET", "x"), ""),
    ("write any key", ("SET", "x", "x"), ""),
    ("copy a key", ("DUMP", "celery-task-meta-x"), ""),
    ("put a copy in place", ("RESTORE", "celery-task-meta-x", "0", "x"), ""),
    ("give a key another name", ("RENAME", "packsight:dead-letters", "celery-task-meta-x"), ""),
    ("read the configuration", ("CONFIG", "GET", "dir"), ""),
    ("change the configuration", ("CONFIG", "SET", "appendonly", "no"), ""),
    ("see users", ("ACL", "LIST"), ""),
    ("make a user", ("ACL", "SETUSER", "intruder", "on", "nopass", "+@all", "~*", "&*"), ""),
    ("see everything that is asked", ("MONITOR",), ""),
    ("empty the database", ("FLUSHDB",), ""),
    ("empty the server", ("FLUSHALL",), ""),
    ("exchange databases", ("SWAPDB", "0", "1"), ""),
    ("read the log of slow commands", ("SLOWLOG", "GET"), ""),
    ("see who is connected", ("CLIENT", "LIST"), ""),
    ("cut others off", ("CLIENT", "KILL", "TYPE", "normal"), ""),
    ("hold all up", ("CLIENT", "PAUSE", "1"), ""),
    ("write a snapshot", ("SAVE",), ""),
    ("make it a copy of another server", ("REPLICAOF", "127.0.0.1", "1"), ""),
    ("hand keys to another server", ("MIGRATE", "127.0.0.1", "1", "x", "0", "1"), ""),
    ("load a module", ("MODULE", "LIST"), ""),
    ("load a function", ("FUNCTION", "LOAD", "x"), ""),
    ("forget scripts", ("SCRIPT", "FLUSH"), ""),
    ("run a script that was not loaded", ("EVAL", "return 1", "0"), ""),
    ("stop the server", ("SHUTDOWN", "NOSAVE", "NOW"), ""),
]
SCRIPTED = [
    "return redis.call('HGETALL', 'unacked')",
    "return redis.call('LRANGE', 'somebody', 0, -1)",
    "return redis.call('DEL', 'packsight.recognize')",
    "return redis.call('FLUSHALL')",
]
"""What a script might do beside the keys that it names."""


class Caller:
    """Tries commands, each over a connection of its own: some make a connection good for nothing else."""

    def __init__(self, servers: Servers, user: str | None = None, password: str | None = None) -> None:
        host, _, port = servers.address.partition(":")
        self._options: dict[str, Any] = {"host": host, "port": int(port), "username": user, "password": password}
        self._options |= {"retry": Retry(NoBackoff(), 0), "protocol": 2, "single_connection_client": True}

    def ask(self, *commands: tuple[str, ...]) -> list[Any]:
        with redis.Redis(**self._options) as client:
            return [client.execute_command(*command) for command in commands]

    def may(self, *command: str) -> bool:
        """Whether the server does what it is told, or would if it made sense."""
        try:
            self.ask(command)
        except (NoPermissionError, AuthenticationError):
            return False
        except redis.ResponseError:
            return True
        return True


@pytest.fixture
def callers(servers: Servers) -> Iterator[dict[Role, Caller]]:
    yield {role: Caller(servers, role, servers.passwords[role]) for role in Role}
    with redis.Redis.from_url(servers.redis_url(0)) as client:
        client.flushdb()


@pytest.mark.parametrize(("command", "who"), [door[1:] for door in DOORS], ids=[door[0] for door in DOORS])
def test_a_door_opens_to_those_who_need_it_and_to_nobody_else(
    servers: Servers, callers: dict[Role, Caller], command: tuple[str, ...], who: str
) -> None:
    assert {role for role, caller in callers.items() if caller.may(*command)} == {LETTERS[letter] for letter in who}
    assert not Caller(servers).may(*command)


def test_a_wrong_key_opens_nothing(servers: Servers) -> None:
    strangers = [Caller(servers, role, servers.passwords[other]) for role, other in itertools.permutations(Role, 2)]
    strangers += [Caller(servers, None, servers.passwords[Role.OPERATOR]), Caller(servers, "default", "")]
    assert not any(caller.may("PING") for caller in strangers)


@pytest.mark.parametrize("script", SCRIPTED)
def test_a_script_may_no_more_than_who_runs_it(callers: dict[Role, Caller], script: str) -> None:
    for role, caller in callers.items():
        (sha,) = caller.ask(("SCRIPT", "LOAD", script))
        with pytest.raises(redis.ResponseError, match="ACL failure in script"):
            caller.ask(("EVALSHA", sha.decode(), "0"))
            pytest.fail(role)


def test_a_worker_may_all_that_the_book_of_deliveries_does(servers: Servers, callers: dict[Role, Caller]) -> None:
    host, _, port = servers.address.partition(":")
    key: dict[str, Any] = {"username": Role.WORKER, "password": servers.passwords[Role.WORKER]}
    me, task = Holder("parent", 7), task_id("spring", 0)
    with redis.Redis(host=host, port=int(port), decode_responses=True, **key) as client:
        book = Deliveries(client, 60)
        for _ in range(2):
            assert book.begin(task, me, 2).stop is None
            book.begin_part(task, me, (0, 1))
            book.keep(task, {0: "outcome"}, me)
            assert book.record_death(task, me, ErrorCode.WORKER_KILLED, (1, 2)) == 0
            book.hand_back(task, me, attempted=True)
            book.leave_open("another")
        assert (book.count(task), book.begun([task]), book.why_stopped("spring")) == (0, {task}, None)
        book.end(task)
        callers[Role.PRODUCER].ask(("HSET", keys.stopped("spring"), "stop", Stop.CANCELLED))
        assert book.begin(task, me, 2).stop is Stop.CANCELLED
        assert book.begun([task]) == set()


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.PRODUCER, Role.HTTP])
def test_who_submits_may_ask_again_about_what_has_ended(servers: Servers, role: Role) -> None:
    host, _, port = servers.address.partition(":")
    key: dict[str, Any] = {"username": role, "password": servers.passwords[role]}
    with redis.Redis(host=host, port=int(port), decode_responses=True, **key) as client:
        book = Deliveries(client, 60)
        jobs = JobsLedger(client, 60)
        with client.pipeline() as pipe:
            jobs.take_up(pipe, "spring", 3, 0)
            book.ask_again(pipe, "spring-000000", {0: "outcome"})
            pipe.execute()
        assert jobs.state("spring") == JobState(batches=3, enqueued=3, finished=0, taken_up=1)
        assert book.begun(["spring-000000"])
        book.reopen("spring-000000")
        jobs.forget("spring")
        assert not book.begun(["spring-000000"])


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.PRODUCER, Role.HTTP])
def test_who_submits_may_keep_a_group_and_forget_a_result(servers: Servers, role: Role) -> None:
    broker, results = (f"redis://{role}:{quote(servers.passwords[role])}@{servers.address}/{number}" for number in (0, 1))
    app = Celery(broker=broker, backend=results, set_as_current=False)
    kept = app.GroupResult("a-group", [app.AsyncResult("one"), app.AsyncResult("two")])
    kept.save()
    assert app.GroupResult.restore("a-group") == kept
    kept.forget()
    kept.delete()
    assert app.GroupResult.restore("a-group") is None
    app.close()


def test_no_password_stands_in_the_rules(servers: Servers) -> None:
    written = "\n".join(users({role: servers.passwords[role] for role in Role}))
    assert not any(servers.passwords[role] in written for role in Role)
    assert "nopass" not in written
