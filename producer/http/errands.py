"""What the door has accepted and has still to do: kept in the result database, so that no restart forgets it.

An errand is taken by one server at a time, for as long as it says that it lives, and is there until it is done or given up.
Times are the database's, since the clocks of several servers differ.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import cast

import redis
from pydantic import BaseModel, ConfigDict

from packsight.producer.backoff import UNANSWERED
from packsight.shared.contract.errors import ErrorCode, PacksightError, UserError
from packsight.shared.metrics.noting import note
from packsight.shared.metrics.table import WEBHOOKS_GIVEN_UP
from packsight.shared.queue import keys

log = logging.getLogger(__name__)

_LEASE = 30.0
"""Seconds for which an errand is nobody else's after its server's last word."""
_IDLE = 0.5
"""Seconds between two looks for errands that are due: another server may have put them there."""
_FIRST, _LAST, _TRIES = 5.0, 900.0, 25
"""Seconds until the second try, doubled with each further one up to the second number; after so many, some five hours, a
webhook is given up: whoever is to be told will look for itself by then. What else was accepted is tried until it is done."""
_LONGEST = 1000.0
"""Seconds for which no errand waits that was put there by today's clock: it was set back since."""
_NOW = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
"""
_ADD = _NOW + """
-- An errand in the place of one of the same name; 0 where that has other codes. KEYS: errand, errands, those that were given up.
-- ARGV: the errand (JSON), its name, seconds to keep it, its codes (JSON).
local text = redis.call('GET', KEYS[1])
local function joined(codes) return table.concat(codes or {}, ' ') end
if text and joined(cjson.decode(text)['codes']) ~= joined(cjson.decode(ARGV[4])) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""
_TAKE = _NOW + """
-- The errand that has been due longest, now leased; what has expired is left out. KEYS: errands. ARGV: seconds of the lease, for
-- which none waits, what the names of errands' keys begin with.
while true do
  local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)
  if #due == 0 then due = redis.call('ZRANGEBYSCORE', KEYS[1], now + ARGV[2], '+inf', 'LIMIT', 0, 1) end
  if #due == 0 then return false end
  local text = redis.call('GET', ARGV[3] .. due[1])
  if text then
    redis.call('ZADD', KEYS[1], now + ARGV[1], due[1])
    return text
  end
  redis.call('ZREM', KEYS[1], due[1])
end
"""
_UNLESS_REPLACED = _NOW + """
-- Commands, unless the errand is gone or another has taken its place. KEYS: errand, and others that the commands name.
-- ARGV: the errand's nonce, the commands (JSON); what ZADD is told there are seconds from now.
local text = redis.call('GET', KEYS[1])
if not text or (cjson.decode(text)['nonce'] or '') ~= ARGV[1] then return end
for _, command in ipairs(cjson.decode(ARGV[2])) do
  if command[1] == 'ZADD' then command[#command - 1] = now + command[#command - 1] end
  redis.call(unpack(command))
end
"""


class Kind(StrEnum):
    """What is to be done."""

    QUEUE = "queue"
    """Put a job's messages on the queue."""
    RETRY = "retry"
    """Ask again about a job's failed photos."""
    WEBHOOK = "webhook"
    """Tell that a job has ended, when it has."""


class Errand(BaseModel):
    """Something to do for a job."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Kind
    job: str
    client: str = ""
    """Whose it is."""
    codes: tuple[ErrorCode, ...] = ()
    """Of a retry: failures to ask again about."""
    tries: int = 0
    """That have failed."""
    error: str = ""
    """Why the last did."""
    nonce: str = ""
    """Of this adding: the next errand of the same name has another."""

    @property
    def name(self) -> str:
        """A job has one of each kind."""
        return f"{self.kind}:{self.job}"


class NotYet(Exception):
    """An errand waits for something that takes its time; looked at again after some seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Otherwise(Exception):
    """An errand is to be done that is left to be done in another way."""


class Stopped(Exception):
    """The server is to end: whoever takes the errand next goes on with it."""


class Errands:
    """The list. All methods raise redis.RedisError when the database cannot be reached.

    expires: seconds for which an errand that nobody touches is kept.
    """

    def __init__(self, client: redis.Redis, expires: int) -> None:
        self._client, self._expires = client, expires
        self._add = client.register_script(_ADD)
        self._take = client.register_script(_TAKE)
        self._unless_replaced = client.register_script(_UNLESS_REPLACED)
        self.news = threading.Condition()
        """Told of what is added here."""

    def add(self, errand: Errand) -> None:
        """Have it done; one of the same name is replaced, and whoever works on that changes nothing any more.

        Raises Otherwise where that one asks again about other failures: they would be forgotten.
        """
        text = errand.model_copy(update={"nonce": uuid.uuid4().hex}).model_dump_json()
        added = self._add(
            keys=[keys.errand(errand.name), keys.errands(errand.kind), keys.errands_failed(errand.kind)],
            args=[text, errand.name, self._expires, json.dumps(errand.codes)],
        )
        if not added:
            raise Otherwise
        with self.news:
            self.news.notify_all()

    def take(self, kind: Kind) -> Errand | None:
        """The errand that has been due longest, which is nobody else's for now; None when there is none."""
        text = cast("str | None", self._take(keys=[keys.errands(kind)], args=[_LEASE, _LONGEST, keys.errand("")]))
        return None if text is None else Errand.model_validate_json(text)

    def renew(self, errand: Errand) -> None:
        """Say that it is still worked on."""
        self._change(errand, ("ZADD", keys.errands(errand.kind), "XX", str(_LEASE), errand.name))

    def done(self, errand: Errand) -> None:
        """Take it off the list; whom a webhook tells stays known, for `again`."""
        gone = self._kept(errand) if errand.kind is Kind.WEBHOOK else ("DEL", keys.errand(errand.name))
        self._change(errand, ("ZREM", keys.errands(errand.kind), errand.name), gone)

    def again(self, kind: Kind, job: str) -> None:
        """Have done anew what is known of a job, whether it is still to be done, was done or was given up."""
        text = cast("str | None", self._client.get(keys.errand(Errand(kind=kind, job=job).name)))
        if text is not None:
            self.add(Errand.model_validate_json(text).model_copy(update={"tries": 0, "error": ""}))

    def is_left(self, kind: Kind, job: str) -> bool:
        """Whether there is one that is not done; of a webhook whether one ever was."""
        return self._client.get(keys.errand(Errand(kind=kind, job=job).name)) is not None

    def drop(self, kind: Kind, job: str) -> bool:
        """Have one not done after all; tells whether it was there. Whoever works on it changes nothing of the list any more."""
        name = Errand(kind=kind, job=job).name
        with self._client.pipeline() as pipe:
            pipe.delete(keys.errand(name))
            pipe.zrem(keys.errands(kind), name)
            return bool(pipe.execute()[0])

    def put_back(self, errand: Errand, seconds: float = 0.0) -> None:
        """Have one that was taken done after so many seconds."""
        due = ("ZADD", keys.errands(errand.kind), str(seconds), errand.name)
        self._change(errand, self._kept(errand), due, ("EXPIRE", keys.errands(errand.kind), str(self._expires)))

    def give_up(self, errand: Errand) -> None:
        """Put it aside, to be listed."""
        failed = keys.errands_failed(errand.kind)
        off, aside = ("ZREM", keys.errands(errand.kind), errand.name), ("ZADD", failed, "0", errand.name)
        self._change(errand, self._kept(errand), off, aside, ("EXPIRE", failed, str(self._expires)))

    def _kept(self, errand: Errand) -> tuple[str, ...]:
        return "SET", keys.errand(errand.name), errand.model_dump_json(), "EX", str(self._expires)

    def _change(self, errand: Errand, *commands: tuple[str, ...]) -> None:
        lists = keys.errands(errand.kind), keys.errands_failed(errand.kind)
        self._unless_replaced(keys=[keys.errand(errand.name), *lists], args=[errand.nonce, json.dumps(commands)])

    def failed(self, kind: Kind) -> list[Errand]:
        """Those that were given up, the newest first."""
        names = cast("list[str]", self._client.zrevrange(keys.errands_failed(kind), 0, -1))
        texts = cast("list[str | None]", self._client.mget(map(keys.errand, names))) if names else []
        return [Errand.model_validate_json(text) for text in texts if text is not None]


Alive = Callable[[], None]
"""Said now and then by whoever works on an errand; raises Stopped when the server is to end."""
Handler = Callable[[Errand, Alive], None]
"""Does an errand; raises NotYet when it is too early."""


class Runner:
    """Does errands in threads of this server: so many of each kind at a time."""

    def __init__(self, errands: Errands, handlers: Mapping[Kind, Handler], threads: Mapping[Kind, int]) -> None:
        self._errands, self._handlers = errands, handlers
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(kind,), name=f"errands-{kind}")
            for kind, number in threads.items()
            for _ in range(number)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; what is not done is done by whoever comes next."""
        self._stopped.set()
        with self._errands.news:
            self._errands.news.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, kind: Kind) -> None:
        while not self._stopped.is_set():
            try:
                errand = self._errands.take(kind)
                if errand is not None:
                    self._do(errand)
                    continue
            except UNANSWERED as error:
                log.warning("the queue does not answer, errands wait: %s", error)
            with self._errands.news:
                if not self._stopped.is_set():
                    self._errands.news.wait(_IDLE)

    def _do(self, errand: Errand) -> None:
        said = time.monotonic()

        def alive() -> None:
            nonlocal said
            if self._stopped.is_set():
                raise Stopped
            if time.monotonic() - said > _LEASE / 3:
                self._errands.renew(errand)
                said = time.monotonic()

        try:
            self._handlers[errand.kind](errand, alive)
        except NotYet as wait:
            self._errands.put_back(errand, wait.seconds)
        except Stopped:
            self._errands.put_back(errand)
        except UNANSWERED:
            raise
        except (PacksightError, UserError) as error:
            self._again(errand, str(error))
        except Exception as error:  # a defect: the other errands are not to wait for its correction
            log.exception("an errand failed", extra={"errand": errand.name})
            self._again(errand, type(error).__name__)
        else:
            self._errands.done(errand)

    def _again(self, errand: Errand, error: str) -> None:
        tried = errand.model_copy(update={"tries": errand.tries + 1, "error": error})
        if errand.kind is Kind.WEBHOOK and tried.tries >= _TRIES:
            log.error("%s is given up after %d tries: %s", errand.name, tried.tries, error, extra={"action": "errand_given_up"})
            self._errands.give_up(tried)
            note(WEBHOOKS_GIVEN_UP.of())
            return
        pause = min(_LAST, _FIRST * 2 ** min(errand.tries, _TRIES))
        log.warning("%s is tried again in %.0f s: %s", errand.name, pause, error)
        self._errands.put_back(tried, pause)
