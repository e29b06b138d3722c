"""What can be seen of a running system: processes, queues, workers, catalogs."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import psutil
import redis
from pydantic import BaseModel, ConfigDict, Field

from packsight.deploy.fleet import ailing, complaints, differing, starting
from packsight.deploy.stack.state import Part, StackFolder, StackState
from packsight.indexer.undecided import HeldError
from packsight.shared import advice, health
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, catalog_names
from packsight.shared.contract.errors import CatalogError, PacksightError, StorageAway, UserError
from packsight.shared.contract.messages import INDEXER_QUEUE, WORKER_QUEUES
from packsight.shared.queue import overview, refusals, syncs, tried
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.connection import open_redis, result_database
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.overview import Overview
from packsight.shared.queue.registry import ChildEntry, ProcessEntry, children, processes, replicas
from packsight.shared.queue.syncs import Ending
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore


class _Seen(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class PartSeen(_Seen):
    """A process of the local stack."""

    name: str
    pid: int
    up: bool
    uptime: float = 0.0
    """Seconds."""
    memory_mb: float = 0.0
    """Resident, with all that belongs to it."""
    url: str = ""
    log: str = ""
    sick: str = ""
    """Why it counts as unhealthy."""


class CatalogSeen(_Seen):
    """A version that workers are served; a catalog has one for each recipe, and may have a canary beside it."""

    name: str
    version: str
    format: int
    products: int
    photos: int
    embedder: str
    spotter: str
    details: str
    matching: str
    created_at: datetime
    notes: tuple[str, ...] = ()
    """What whoever runs the shop should know of it."""
    share: float = 1.0
    """Of the messages; less for a canary."""
    endings: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Of a canary: how photos ended that it answered, and those that the version beside it did."""
    held: str = ""
    """Why no sync of the catalog publishes, and what lets one: somebody went back. Empty where nobody did."""


class SyncSeen(_Seen):
    """The syncs of a catalog; see `shared.queue.syncs`."""

    ending: Ending
    ended_at: datetime
    why: str = ""
    succeeded_at: datetime | None = None
    feed_changed_at: datetime | None = None
    """When the shop's offers were last found changed."""


class Observation(_Seen):
    """All that `status` shows; what could not be asked is in `errors`."""

    home: str
    elsewhere: bool = False
    """Whether the services are run by others, as in a container."""
    parts: list[PartSeen] = Field(default_factory=list)
    queues: dict[str, int] = Field(default_factory=dict)
    """Messages that wait, by queue."""
    unacked: int = 0
    """Messages that workers hold."""
    parked: int = 0
    """Messages that wait for the time that their sender named."""
    children: list[ChildEntry] = Field(default_factory=list)
    processes: list[ProcessEntry] = Field(default_factory=list)
    """Parents of the workers' children, and the indexer: whether they are well, what they wait for."""
    catalogs: list[CatalogSeen] = Field(default_factory=list)
    dead_letters: int = 0
    overview: Overview | None = None
    """What the indexer sees; None while none does."""
    syncs: dict[str, SyncSeen] = Field(default_factory=dict)
    """How the last sync of each catalog ended."""
    notes: list[str] = Field(default_factory=list)
    """What is no error but worth knowing: workers that differ, or are starting."""
    errors: list[str] = Field(default_factory=list)


def observe(folder: StackFolder, settings: Settings) -> Observation:
    """Look at everything; nothing that is down raises."""
    seen: dict[str, Any] = {"home": str(folder.root), "elsewhere": advice.elsewhere(folder.root), "errors": []}
    try:
        state = folder.load()
        seen["parts"] = [_part(folder, state, part) for part in (*state.parts, *([state.supervisor] if state.supervisor else []))]
        seen["errors"] += down(state) + [part.sick for part in seen["parts"] if part.sick]
    except UserError as error:
        seen["errors"].append(str(error))
    try:
        seen["errors"] += full(settings)
        seen |= _queues(settings)
        fleet, parents = seen["children"], seen["processes"]
        seen["notes"] = differing(fleet) + starting(fleet, parents)
        found = ailing(fleet, parents) + complaints(fleet, seen.pop("replicas"), parents)
        seen["errors"] += [line for line in found if line not in seen["errors"]]
    except redis.RedisError as error:
        what = refusals.remedy(error, advice.start(folder.root, "broker", "PACKSIGHT_BROKER_URL"))
        seen["errors"].append(f"The broker does not answer ({type(error).__name__}). {what}")
    try:
        seen["catalogs"], refused = catalogs(settings)
        seen["catalogs"] = _endings(settings, seen["catalogs"])
        seen["syncs"] = last_syncs(settings, {catalog.name for catalog in seen["catalogs"]} | {settings.catalog.name})
        seen["errors"] += refused
    except StorageAway as error:
        seen["errors"].append(f"{error.message}. {advice.start(folder.root, 's3', 'PACKSIGHT_S3__ENDPOINT')}")
    except PacksightError as error:
        seen["errors"].append(f"Object storage: {error}")
    return Observation(**seen)


def down(state: StackState) -> list[str]:
    """What of a stack that was started does not run, and what becomes of it."""
    lines = []
    for part in state.parts:
        if part.process() is None:
            again = " and is being started again" if state.supervised else ""
            why = f": {state.given_up[part.name]}" if part.name in state.given_up else again
            lines.append(f"{part.name} is down{why}; its log is {part.log}")
    known = {part.name for part in state.parts}
    lines += [f"{name} is down: {why}" for name, why in state.given_up.items() if name not in known]
    return [*lines, alone] if (alone := unsupervised(state)) else lines


def unsupervised(state: StackState) -> str:
    """Why nothing is started again that ends, and the remedy; empty where it is, or nothing was started."""
    if not state.parts or state.supervised:
        return ""
    older = state.credentials.one_password
    remedy = "`packsight down` and then `up` take it over" if older else "`packsight up` brings it back"
    why = "an older release started this stack, without a supervisor" if older else "supervisor is down"
    return f"{why}, so that nothing is started again that ends; {remedy}"


def sick(folder: StackFolder, part: Part) -> str:
    """What a part that runs says, or fails to say, of its health: why it counts as unhealthy, else nothing."""
    if not part.node or part.process() is None:
        return ""
    seen = health.ask(folder.root, part.node)
    return "" if seen.well or seen.pid != part.pid else seen.text


def _part(folder: StackFolder, state: StackState, part: Part) -> PartSeen:
    process = part.process()
    memory = 0.0
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            # What the supervisor started is listed by itself.
            for one in [process, *(process.children(recursive=True) if part != state.supervisor else [])]:
                memory += one.memory_info().rss / 1e6
    return PartSeen(
        name=part.name,
        pid=part.pid,
        up=process is not None,
        uptime=round(part.age(), 1),
        memory_mb=round(memory, 1),
        url=part.url,
        log=str(part.log),
        sick=sick(folder, part),
    )


def _queues(settings: Settings) -> dict[str, Any]:
    with contextlib.closing(open_broker(settings)) as broker:
        backlog = broker.backlog((*WORKER_QUEUES, INDEXER_QUEUE))
    with result_database(settings) as client:
        return {
            "queues": backlog.waiting,
            "unacked": backlog.unacked,
            "parked": backlog.parked,
            "children": children(client),
            "replicas": replicas(client),
            "processes": processes(client),
            "dead_letters": DeadLetters(settings).count(),
            "overview": overview.read(client),
        }


def full(settings: Settings) -> list[str]:
    """Servers of queue and results that answer and keep nothing new, in sentences; raises redis.RedisError."""
    found: dict[tuple[object, object], str] = {}
    for role, url in (("broker", settings.broker), ("server of results", settings.results)):
        with open_redis(url, timeout=settings.queue.socket_timeout) as client:
            address = client.connection_pool.connection_kwargs
            why = refusals.fullness(client.info())
        if why:
            text = f"The {role} takes nothing new: {why}. Workers wait, and what waits stays. {refusals.ROOM}"
            found.setdefault((address.get("host"), address.get("port")), text)
    return list(found.values())


def catalogs(settings: Settings) -> tuple[list[CatalogSeen], list[str]]:
    """What is published of each catalog, and in sentences what of it is refused.

    Raises PacksightError when object storage cannot be asked.
    """
    trust = Trust.of_reader(settings)
    with contextlib.closing(ObjectStore(settings.s3)) as store:
        found, refused = [], []
        for name in catalog_names(store):
            versions = CatalogStore(store, name, trust)
            try:
                current = versions.current()
                shares = {one.version: one.share for one in current.canaries.values()} if current is not None else {}
                manifests = [versions.manifest(version) for version in sorted(versions.served())]
                held = str(HeldError(name, current)) if current is not None and current.holds else ""
                found += [
                    CatalogSeen(name=name, share=shares.get(one.version, 1.0), held=held, **one.model_dump())
                    for one in manifests
                ]
            except CatalogError as error:
                refused.append(f"{error.message}. {error.remedy}")
        return found, refused


def last_syncs(settings: Settings, names: Collection[str]) -> dict[str, SyncSeen]:
    """How the last syncs of catalogs ended, as far as that can be asked."""
    with result_database(settings) as client, contextlib.suppress(redis.RedisError):
        found = {name: syncs.read(client, name) for name in sorted(names)}
        return {name: _sync_seen(one) for name, one in found.items() if one is not None}
    return {}


def _sync_seen(one: syncs.Syncs) -> SyncSeen:
    times = {
        name: datetime.fromtimestamp(seconds, UTC)
        for name in ("ended_at", "succeeded_at", "feed_changed_at")
        if (seconds := getattr(one, name))
    }
    return SyncSeen(ending=one.ending, why=one.why, **times)


def _endings(settings: Settings, found: list[CatalogSeen]) -> list[CatalogSeen]:
    """The same with how photos ended while canaries are tried, as far as that can be asked."""
    with result_database(settings) as client, contextlib.suppress(redis.RedisError):
        endings = {one.version: tried.read(client, one.name, one.version) for one in found if one.share < 1}
        return [one.model_copy(update={"endings": endings.get(one.version, {})}) for one in found]
    return found
