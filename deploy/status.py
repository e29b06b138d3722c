"""What can be seen of a running system: processes, queues, workers, catalogs."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from typing import Any

import psutil
import redis
from pydantic import BaseModel, ConfigDict, Field

from packsight.deploy.fleet import complaints, differing
from packsight.deploy.stack.state import Part, StackFolder
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, catalog_names
from packsight.shared.contract.errors import CatalogError, PacksightError, UserError
from packsight.shared.contract.messages import INDEXER_QUEUE, WORKER_QUEUES
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.registry import ChildEntry, children, replicas
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
    """Resident, with all descendants."""
    url: str = ""
    log: str = ""


class CatalogSeen(_Seen):
    """A version that workers are served; a catalog has one for each recipe."""

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


class Observation(_Seen):
    """All that `status` shows; what could not be asked is in `errors`."""

    home: str
    parts: list[PartSeen] = Field(default_factory=list)
    queues: dict[str, int] = Field(default_factory=dict)
    """Messages that wait, by queue."""
    unacked: int = 0
    """Messages that workers hold."""
    parked: int = 0
    """Messages that wait for the time that their sender named."""
    children: list[ChildEntry] = Field(default_factory=list)
    catalogs: list[CatalogSeen] = Field(default_factory=list)
    dead_letters: int = 0
    notes: list[str] = Field(default_factory=list)
    """What is no error but worth knowing: workers that differ."""
    errors: list[str] = Field(default_factory=list)


def observe(folder: StackFolder, settings: Settings) -> Observation:
    """Look at everything; nothing that is down raises."""
    seen: dict[str, Any] = {"home": str(folder.root), "errors": []}
    try:
        seen["parts"] = [_part(part) for part in folder.load().parts]
    except UserError as error:
        seen["errors"].append(str(error))
    seen["errors"] += [f"{part.name} is down; its log is {part.log}" for part in seen.get("parts", []) if not part.up]
    try:
        seen |= _queues(settings)
        seen["notes"] = differing(seen["children"])
        seen["errors"] += complaints(seen["children"], seen.pop("replicas"))
    except redis.RedisError as error:
        seen["errors"].append(f"The broker does not answer ({type(error).__name__}). Start it with `packsight up`.")
    try:
        seen["catalogs"], refused = catalogs(settings)
        seen["errors"] += refused
    except PacksightError as error:
        seen["errors"].append(f"Object storage: {error}")
    return Observation(**seen)


def _part(part: Part) -> PartSeen:
    process = part.process()
    memory = 0.0
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in [process, *process.children(recursive=True)]:
                memory += one.memory_info().rss / 1e6
    uptime = max(0.0, time.time() - part.started) if process is not None else 0.0
    return PartSeen(
        name=part.name,
        pid=part.pid,
        up=process is not None,
        uptime=round(uptime, 1),
        memory_mb=round(memory, 1),
        url=part.url,
        log=str(part.log),
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
            "dead_letters": DeadLetters(settings).count(),
        }


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
                manifests = [versions.manifest(version) for version in sorted(versions.served())]
                found += [CatalogSeen(name=name, **manifest.model_dump()) for manifest in manifests]
            except CatalogError as error:
                refused.append(f"{error.message}. {error.remedy}")
        return found, refused
