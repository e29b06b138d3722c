"""When a picture is asked for again: at once when its address is new, later the longer it has stayed as it is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from packsight.indexer.state.database import State
from packsight.shared.settings import Catalog

AT_ONCE = 0.0
"""What is due before anything else, whatever the budget."""
JITTER = 0.25
"""Share by which a pause is longer or shorter, so that what came in one sync does not come in one for ever."""
HOST_FAILURES = 10
"""Failures in a row, each of which took its retries, after which a host is left alone for the rest of a sync."""
_MOST_DOUBLINGS = 20
WANTED = (
    "(EXISTS (SELECT 1 FROM shown WHERE picture = p.number) OR EXISTS (SELECT 1 FROM extras e WHERE e.picture = p.number "
    "AND EXISTS (SELECT 1 FROM products WHERE code = e.code AND live)))"
)
"""Whether something that is offered shows a picture p."""
_LIVING = "CREATE TEMP TABLE IF NOT EXISTS living(version INTEGER)"


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture that is to be looked at, and what is known of it."""

    number: int
    source: str
    extra: bool
    host: str
    validator: str
    sha256: str
    failure: str
    of_bytes: bool
    changed: float
    tries: int
    described: bool
    """Whether a version that lives has it as it is known, so that its bytes need not be there."""


@dataclass(frozen=True, slots=True)
class Agenda:
    """How many pictures a sync asks for, how many are not due, and how many are put off: by the budget, or since a host fails."""

    asked: int
    not_due: int
    put_off: int


def draw_up(state: State, rules: Catalog, now: float, *, everything: bool) -> Agenda:
    """Choose the pictures that are asked for, into the table `agenda`: those at once, then those due longest, within the budget.

    Files have no host and cost no request, so they are looked at in every sync. everything: whatever is due or failing.
    What was put off for longer than is ever done is due: the clock was set back meanwhile, or the limit was lowered.
    """
    state.run("CREATE TEMP TABLE IF NOT EXISTS agenda(rank INTEGER PRIMARY KEY, picture INTEGER NOT NULL)")
    state.run("DELETE FROM agenda")
    state.run(_LIVING)
    every = f"INSERT INTO agenda(picture) SELECT number FROM pictures p WHERE {WANTED}"
    if everything:
        state.run("DELETE FROM hosts")
        state.run(f"{every} ORDER BY number")
        return Agenda(int(state.value("SELECT count(*) FROM agenda")), 0, 0)
    put_off, latest = 0, now + rules.picture_last_seconds * (1 + JITTER)
    state.run("DELETE FROM hosts WHERE until > ?", latest)
    for host in _hosts(state):
        if not host:
            state.run(f"{every} AND host = '' ORDER BY number")
            continue
        state.run("UPDATE pictures SET due = ? WHERE host = ? AND due > ?", now, host, latest)
        due = int(state.value(f"SELECT count(*) FROM pictures p WHERE {WANTED} AND host = ? AND due <= ?", host, now))
        if state.value("SELECT 1 FROM hosts WHERE host = ? AND until > ?", host, now) is None:
            due -= state.run(f"{every} AND host = ? AND due = ? ORDER BY number", host, AT_ONCE)
            limited = f"{every} AND host = ? AND due > ? AND due <= ? ORDER BY due, number LIMIT ?"
            due -= state.run(limited, host, AT_ONCE, now, rules.picture_budget)
        put_off += due
    asked = int(state.value("SELECT count(*) FROM agenda"))
    return Agenda(asked, int(state.value("SELECT count(*) FROM pictures")) - asked - put_off, put_off)


def _hosts(state: State) -> Iterator[str]:
    """Each host once; a step from one to the next takes the index, not a look at all pictures."""
    host = state.value("SELECT min(host) FROM pictures")
    while host is not None:
        yield host
        host = state.value("SELECT min(host) FROM pictures WHERE host > ?", host)


def agenda(state: State, size: int) -> Iterator[list[Asked]]:
    """The chosen pictures in steps of so many; what is written between two steps does not disturb them."""
    sql = (
        "SELECT p.number, p.source, p.extra, p.host, p.validator, p.sha256, p.failure, p.of_bytes, p.changed, p.tries, "
        "p.sha256 != '' AND NOT EXISTS (SELECT 1 FROM living l WHERE NOT EXISTS (SELECT 1 FROM published_photos f WHERE "
        "f.version = l.version AND f.picture = p.number AND f.sha256 = p.sha256 AND f.product IN "
        "(SELECT product FROM shown WHERE picture = p.number UNION ALL SELECT r.number FROM extras e JOIN products r ON "
        "r.code = e.code WHERE e.picture = p.number))) AND EXISTS (SELECT 1 FROM living) "
        "FROM agenda a JOIN pictures p ON p.number = a.picture WHERE a.rank > ? AND a.rank <= ? ORDER BY a.rank"
    )
    for start in range(0, int(state.value("SELECT coalesce(max(rank), 0) FROM agenda")), size):
        yield [
            Asked(number, source, bool(extra), host, validator, sha256, failure, bool(of_bytes), changed, tries, bool(described))
            for number, source, extra, host, validator, sha256, failure, of_bytes, changed, tries, described in state.rows(
                sql, start, start + size
            )
        ]


def living(state: State, versions: list[int | None]) -> None:
    """Name the versions whose photos surely have features of each recipe that is built for; None for a recipe without."""
    state.run(_LIVING)
    state.run("DELETE FROM living")
    state.many("INSERT INTO living VALUES(?)", ((-1 if version is None else version,) for version in versions))


def ask_again(state: State, version: int, now: float) -> None:
    """Let pictures be due, within the budget, that are otherwise than in a version; the caller holds the transaction.

    What was refused for them may have been a server's fault, which nobody sees while they are left alone. Those that were asked
    for come behind those that were not yet: where the budget ends, the next sync goes on.
    """
    state.run(
        "UPDATE pictures SET due = min(due, ?) WHERE sha256 != '' AND number IN (SELECT picture FROM resolved) AND NOT EXISTS "
        "(SELECT 1 FROM published_photos f WHERE f.version = ? AND f.picture = pictures.number AND f.sha256 = pictures.sha256)",
        now, version,
    )  # fmt: skip


def after_success(rules: Catalog, changed: float, now: float) -> float:
    """When to ask for a picture again that has been as it is since `changed`."""
    pause = rules.picture_age_share * (now - changed)
    return now + _about(min(max(pause, rules.picture_first_seconds), rules.picture_last_seconds))


def after_failure(rules: Catalog, tries: int, now: float) -> float:
    """When to try again what has failed so many times in a row."""
    pause = rules.picture_retry_seconds * 2.0 ** min(tries - 1, _MOST_DOUBLINGS)
    return now + _about(min(pause, rules.picture_last_seconds))


def _about(pause: float) -> float:
    return pause * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - guards nothing


class Hosts:
    """Which hosts fail during a sync; one that failed so often in a row is left alone, the longer the more syncs it failed in."""

    def __init__(self) -> None:
        self._in_a_row: dict[str, int] = {}
        self._answered: set[str] = set()

    def note(self, host: str, *, failed: bool) -> None:
        """Hear how a request ended; any answer of the host's own is none of these failures."""
        if failed:
            self._in_a_row[host] = self._in_a_row.get(host, 0) + 1
        else:
            self._in_a_row[host] = 0
            self._answered.add(host)

    def is_down(self, host: str) -> bool:
        """Whether it is no use to ask it for more."""
        return bool(host) and self._in_a_row.get(host, 0) >= HOST_FAILURES

    def keep(self, state: State, rules: Catalog, now: float) -> None:
        """Write down which hosts are to be left alone, and for how long; the caller holds the transaction."""
        for host in self._in_a_row:
            if self.is_down(host):
                before = state.value("SELECT failures FROM hosts WHERE host = ?", host) or 0
                until = after_failure(rules, before + 1, now)
                state.run("INSERT OR REPLACE INTO hosts VALUES(?, ?, ?)", host, before + 1, until)
            elif host in self._answered:
                state.run("DELETE FROM hosts WHERE host = ?", host)
