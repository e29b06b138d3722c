"""The stage with networks: a drawn shop, its catalog, a job of photos, two workers and the indexer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kombu.exceptions import OperationalError
from lxml import etree
from redis import RedisError

from bench.photos import PhotoSet
from bench.testbed import Testbed, testbed
from packsight.deploy.stack import parts as stack_parts
from packsight.deploy.stack import services
from packsight.deploy.testbed import Server
from packsight.indexer.fleet import Fleet
from packsight.indexer.publish import roll_back
from packsight.indexer.report import SyncRequest
from packsight.indexer.sync import run_sync
from packsight.producer.client import Client
from packsight.producer.rows import Row
from packsight.producer.sources import Item
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.contract.outcomes import Outcome
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.settings import Settings
from packsight.shared.storage.jobs import Job
from packsight.shared.storage.objects import ObjectStore
from tests.chaos.parts import Part
from tests.chaos.plan import INDEXER
from tests.chaos.stage import Answer, Judgement

CATALOG = "default"
BATCH = 8
IN_FLIGHT = 32
"""Batches that the producer is ahead of the workers: so few that it has to queue the rest of its job through the faults."""
SYNC_SECONDS = 10
TOLERANCE = 1e-3
"""By which a confidence may differ: batches are put together anew, and networks round sums of other lengths in another way."""
CALM_SECONDS = 240.0
"""What the workers may take to be back after the last event, and to take up a version."""


@dataclass
class Real:
    """A job of photos of the shop; its producer goes on where it was interrupted, as a person's script would."""

    settings: Settings
    photos: PhotoSet
    parts: dict[str, Part]
    servers: dict[str, Server]
    job: Job
    base: dict[str, Path]
    """Photos by the name that the copies of each begin with."""
    folder: Path
    resumed: int = 0
    published: int = 0
    _done: threading.Event = field(default_factory=threading.Event)
    _leave: threading.Event = field(default_factory=threading.Event)

    @property
    def tasks(self) -> list[str]:
        """Ids of the job's batches."""
        return [batch.task_id for batch in self.job.batches]

    def sent(self) -> bool:
        """Whether the producer is done."""
        return self._done.is_set()

    def publish(self) -> None:
        """Leave another product out of the feed, which the indexer looks at every few seconds."""
        self.published += 1
        write_variant(self.photos.feed, self.published)

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """Queue the job beside the block."""
        thread = threading.Thread(target=self._feed, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._leave.set()
            thread.join(self.settings.queue.outage_seconds)

    def _feed(self) -> None:
        while not (self._leave.is_set() or self._done.is_set()):
            try:
                with Client(self.settings) as client:
                    for _ in client.enqueue(self.job, max_in_flight=IN_FLIGHT, resumed=self.resumed > 0):
                        if self._leave.is_set():
                            return
            except (UserError, PacksightError, OperationalError, RedisError):
                self.resumed += 1
                time.sleep(1)
            else:
                self._done.set()

    def judge(self, say: Callable[[str], None]) -> Judgement:
        """Ask about each photo again, quietly, on every version that answered in the job."""
        with Client(self.settings) as client:
            rows = list(client.outcomes(self.job))
        numbers = Counter(row.index for row in rows)
        names = [image.name for batch in self.job.batches for image in batch.images]
        found = Judgement(
            photos=len(names),
            lost=[name for number, name in enumerate(names) if number not in numbers],
            doubled=[names[number] for number, count in numbers.items() if count > 1],
            versions=dict(sorted(Counter(answer_of(row.outcome).version or "none" for row in rows).items())),
        )
        self._wait_for_calm()
        quiet: dict[tuple[str, str], Answer] = {}
        for version in found.versions:
            if version != "none":
                say(f"a quiet run on version {version}")
                quiet |= {(version, name): answer for name, answer in self._quietly(version).items()}
        compare(rows, quiet, found)
        found.differing.extend(f"{one.image} is a dead letter: {one.code}" for one in DeadLetters(self.settings).list())
        return found

    def _wait_for_calm(self) -> None:
        """Return when both workers are up and the indexer, which would publish again, is not."""
        self.parts[INDEXER].ask_to_stop()
        services.stop(self.servers[INDEXER].process, 60)
        for name, server in self.servers.items():
            if name != INDEXER:
                services.wait_ready(server.spec, server.process, server.log, CALM_SECONDS)

    def _quietly(self, version: str) -> dict[str, Answer]:
        with ExitStack() as stack:
            store = stack.enter_context(closing(ObjectStore(self.settings.s3)))
            fleet = stack.enter_context(closing(Fleet(self.settings)))
            catalogs = CatalogStore(store, CATALOG, Trust.of_publisher(self.settings))
            current = catalogs.current()
            if current is None or current.version != version:
                roll_back(catalogs, version, fleet.recipes())
            current = catalogs.current()
            assert current is not None
            taken_up = fleet.wait_for(CATALOG, current, CALM_SECONDS)
            if not taken_up.serving or taken_up.late or taken_up.refusing:
                raise UserError(f"Version {version} is not served by all children; see the workers' logs in {self.folder}.")
            client = stack.enter_context(Client(self.settings))
            copies = replicas(self.base, len(self.base), self.folder / f"quiet-{version}", f"q{version[-8:]}")
            job = client.submit([Item(path.name, path) for path in copies], batch_size=BATCH)
            return {_base(row.name): answer_of(row.outcome) for row in client.run(job)}


def answer_of(outcome: Outcome) -> Answer:
    """What is compared of an outcome."""
    return Answer(
        outcome.status,
        outcome.product.id if outcome.product else "",
        outcome.confidence,
        outcome.failure.code if outcome.failure else "",
        (outcome.provenance.catalog_version or "") if outcome.provenance else "",
    )


def compare(rows: Sequence[Row], quiet: dict[tuple[str, str], Answer], found: Judgement) -> None:
    """Add the photos whose outcome is not that of a quiet run on the version that answered it, any for those that none did."""
    for row in rows:
        answer = answer_of(row.outcome)
        expected = [one for (version, name), one in quiet.items() if name == _base(row.name) and answer.version in {"", version}]
        if not expected:
            found.differing.append(f"{row.name}: {answer}, and no quiet run to compare it with")
        elif answer.differs(expected[0], TOLERANCE):
            found.differing.append(f"{row.name}: {answer}, quietly {expected[0]}")


def _base(name: str) -> str:
    return name.partition("_")[0]


def replicas(base: dict[str, Path], count: int, folder: Path, mark: str) -> list[Path]:
    """Write `count` copies of photos under other names, each another file with the same picture.

    What follows the end of a JPEG is ignored by decoders.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = list(base)
    copies = []
    for number in range(count):
        name = names[number % len(names)]
        path = folder / f"{name}_{mark}-{number:05}.jpg"
        path.write_bytes(base[name].read_bytes() + f"{mark}-{number:05}".encode().rjust(32, b"-"))
        copies.append(path)
    return copies


def write_variant(feed: Path, number: int) -> None:
    """Rewrite a feed without one of its products, by the number another one than the time before."""
    whole = feed.with_name("whole.xml")
    if not whole.exists():
        whole.write_bytes(feed.read_bytes())
    tree = etree.parse(whole)
    offers = tree.findall(".//offer")
    leave_out = offers[number % len(offers)]
    leave_out.getparent().remove(leave_out)
    aside = feed.with_name("feed.part")
    aside.write_bytes(etree.tostring(tree, xml_declaration=True, encoding="UTF-8"))
    aside.replace(feed)


@contextmanager
def real(
    folder: Path, models: Path, photos: PhotoSet, count: int, workers: Sequence[str], say: Callable[[str], None]
) -> Iterator[Real]:
    """Start everything, publish the shop's catalog and upload the photos; the job is fed to the queue from here on."""
    with ExitStack() as stack:
        on = stack.enter_context(testbed(folder, models))
        settings = on.settings.model_copy(
            update={"catalog": on.settings.catalog.model_copy(update={"keep_versions": 100, "feed": str(photos.feed)})}
        )
        servers = {server.spec.name: server for server in (on.running.broker, on.running.objects) if server}
        say(f"starting {len(workers)} workers")
        servers |= _workers(on, settings, len(workers), stack)
        parts = {name: Part.of(server) for name, server in servers.items()}
        say("publishing the catalog")
        run_sync(SyncRequest(str(photos.feed), photos.extra, CATALOG, False), settings)
        base = {photos.path(label).stem: photos.path(label) for label in photos.labels}
        say(f"uploading {count} photos")
        with Client(settings) as client:
            client.recognize(str(photos.usable()[0]))
            copies = replicas(base, count, folder / "photos", "c")
            job = client.submit([Item(path.name, path) for path in copies], batch_size=BATCH)
        stage = Real(settings, photos, parts, servers, job, base, folder)
        stack.callback(_let_go_on, parts)
        with stage.feeding():
            yield stage


def _workers(on: Testbed, settings: Settings, count: int, stack: ExitStack) -> dict[str, Server]:
    environment = on.environment | stack_parts.share_of_machine(count, settings) | {
        "PACKSIGHT_WORKER__SPARE": "0",
        "PACKSIGHT_WORKER__REMEMBER": "0",  # every copy of a photo is looked at
        "PACKSIGHT_CATALOG__FEED": settings.catalog.feed,
        "PACKSIGHT_CATALOG__SYNC_SECONDS": str(SYNC_SECONDS),
        "PACKSIGHT_CATALOG__KEEP_VERSIONS": str(settings.catalog.keep_versions),
    }  # fmt: skip
    specs = [stack_parts.recognizer(number, settings.home, environment) for number in range(1, count + 1)]
    specs.append(stack_parts.indexer(settings.home, environment))
    servers = {}
    for spec in specs:
        servers[spec.name] = server = Server(spec, on.folder, settings.worker.start_timeout + 60)
        stack.callback(server.stop)
    return servers


def _let_go_on(parts: dict[str, Part]) -> None:
    """What stands still hears no request to end."""
    for part in parts.values():
        for process in part.family():
            process.resume()
