"""What the workers say of themselves, in Redis: the contract between them, the indexer and whoever looks at the stack.

    packsight:child:<host>:<pid>     a recognition child that is ready, gone CHILD_TTL seconds after its last sign of life
    packsight:replica:<node>         the copy of the catalogs on a worker's host, gone REPLICA_TTL seconds after it
    packsight:served:<catalog>       that some child answers from a catalog, gone CHILD_TTL seconds after the last that did
    packsight:process:<node>         the parent process of a worker or of the indexer, gone PROCESS_TTL seconds after it
    packsight:catalogs               channel of hints that a catalog's pointer moved, or that a worker needs a version

Entries of other releases are read too: what they do not say is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar, cast

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.shared.contract.errors import Dependency

CHILD_TTL = 20
REPLICA_TTL = 60
PROCESS_TTL = 20
CHILD = "packsight:child:"
REPLICA = "packsight:replica:"
SERVED = "packsight:served:"
PROCESS = "packsight:process:"
HINTS = "packsight:catalogs"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


E = TypeVar("E", bound=_Entry)


class ChildEntry(_Entry):
    """A recognition child; catalogs by name."""

    node: str = ""
    """Celery's name of its worker."""
    host: str
    pid: int
    ready_at: datetime | None = None
    embedder: str
    """Fingerprint, as the three that follow: what it answers with."""
    spotter: str
    details: str = ""
    """Empty for a child of an older release."""
    matching: str = ""
    """Empty for a child of an older release."""
    precision: str = ""
    scripts: tuple[str, ...] = ()
    """Scripts that it reads, as Unicode calls them; empty for a child of an older release."""
    threads: int = 0
    cold_start: float = 0.0
    """Seconds that building its networks took."""
    catalogs: dict[str, str] = Field(default_factory=dict)
    """Versions that it answers from."""
    canaries: dict[str, str] | None = None
    """Canaries that it answers a share of the messages from; an older release, which knows none, says None."""
    latest: dict[str, str] = Field(default_factory=dict)
    """Versions that it looked at last; one that it does not answer from it has refused."""
    refused: dict[str, str] = Field(default_factory=dict)
    """Why it does not answer from the latest version, or from any."""
    images: int = 0
    """Photos that it has looked at."""
    rss_mb: float = 0.0
    """Resident memory."""

    @property
    def place(self) -> str:
        """Where it runs, for people."""
        return f"{self.node or self.host}, process {self.pid}"


class ReplicaEntry(_Entry):
    """The copy of the catalogs on one worker's host."""

    node: str
    keys: tuple[str, ...] | None = None
    """Names of the keys by which it believes catalogs; of none it checks nothing, and an older release says None."""
    errors: dict[str, str] = Field(default_factory=dict)
    """Why a catalog cannot be brought here, by its name; `*`: none can."""
    at: datetime


class ProcessEntry(_Entry):
    """The parent process of a worker or of the indexer."""

    node: str
    ready: bool = False
    """Whether all that belongs to it was there once."""
    children: int = 0
    """How many of its children should be ready; none of the indexer's register."""
    complaints: list[str] = Field(default_factory=list)
    """What is wrong with it that a restart may mend."""
    outages: dict[str, str] = Field(default_factory=dict)
    """What it cannot do without and is away, and how that was seen: see `idleness` for what it does not do meanwhile."""
    overdue: list[str] = Field(default_factory=list)
    """Tasks in work for longer than their limit, by name and id."""
    replica_age: float = 0.0
    """Seconds since a worker's copy of the catalogs was last looked after."""
    at: datetime


def idleness(name: str) -> str:
    """What a worker says of itself while the dependency of this name is away."""
    return "recognises no photos" if name == Dependency.CATALOG else "takes no work"


def announce_child(client: redis.Redis, entry: ChildEntry) -> None:
    """Give a sign of life of a child."""
    with client.pipeline(transaction=False) as together:
        together.set(_child_key(entry.host, entry.pid), entry.model_dump_json(), ex=CHILD_TTL)
        for catalog in entry.catalogs:
            together.set(SERVED + catalog, 1, ex=CHILD_TTL)
        together.execute()


def withdraw_child(client: redis.Redis, entry: ChildEntry) -> None:
    """Remove a child that ends in order."""
    client.delete(_child_key(entry.host, entry.pid))


def announce_replica(client: redis.Redis, entry: ReplicaEntry) -> None:
    """Give a sign of life of a host's copy of the catalogs."""
    client.set(REPLICA + entry.node, entry.model_dump_json(), ex=REPLICA_TTL)


def announce_process(client: redis.Redis, entry: ProcessEntry) -> None:
    """Give a sign of life of a parent process."""
    client.set(PROCESS + entry.node, entry.model_dump_json(), ex=PROCESS_TTL)


def withdraw_process(client: redis.Redis, node: str) -> None:
    """Remove a parent process that ends in order."""
    client.delete(PROCESS + node)


def processes(client: redis.Redis) -> list[ProcessEntry]:
    """The parent processes of all workers and of the indexer."""
    return sorted(_entries(client, PROCESS, ProcessEntry), key=lambda process: process.node)


def living(client: redis.Redis, host: str, pids: Sequence[int]) -> list[int]:
    """Those of a host's children, by process id, that are ready; a question of one round trip, for their parent."""
    values = cast("list[str | None]", client.mget([_child_key(host, pid) for pid in pids])) if pids else []
    return [pid for pid, value in zip(pids, values, strict=True) if value is not None]


def children(client: redis.Redis) -> list[ChildEntry]:
    """All children that are ready; those of a worker that was killed vanish CHILD_TTL seconds later."""
    return sorted(_entries(client, CHILD, ChildEntry), key=lambda child: (child.node, child.pid))


def is_served(client: redis.Redis, catalog: str) -> bool:
    """Whether some child answers from a catalog, or did CHILD_TTL seconds ago."""
    return client.get(SERVED + catalog) is not None


def replicas(client: redis.Redis) -> list[ReplicaEntry]:
    """The copies of the catalogs on all workers' hosts."""
    return sorted(_entries(client, REPLICA, ReplicaEntry), key=lambda replica: replica.node)


def hint(client: redis.Redis, catalog: str) -> None:
    """Wake the replicas; they find out by themselves if nobody hears it."""
    client.publish(HINTS, catalog)


def hints(client: redis.Redis) -> redis.client.PubSub:
    """Subscribe to the hints."""
    channel: redis.client.PubSub = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    channel.subscribe(HINTS)
    return channel


def _child_key(host: str, pid: int) -> str:
    return f"{CHILD}{host}:{pid}"


def _entries(client: redis.Redis, prefix: str, kind: type[E]) -> Iterator[E]:
    keys = list(client.scan_iter(prefix + "*", count=1000))
    values = cast("list[str | None]", client.mget(keys)) if keys else []
    for value in values:
        try:
            if value is not None:  # it may have expired since the scan
                yield kind.model_validate_json(value)
        except ValidationError:
            continue  # of a release that says less than can be used
