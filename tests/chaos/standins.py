"""A stage without networks: the queue, its tasks and its books are the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from packsight.deploy.testbed import Servers, serving
from packsight.shared.contract.messages import RECOGNIZE
from packsight.shared.contract.outcomes import RecognizeResult, Status
from packsight.shared.queue.app import make_app
from packsight.shared.queue.dead_letters import DeadLetters
from packsight.shared.queue.ledger import Ledger
from packsight.shared.queue.results import TaskEnd
from packsight.shared.settings import Queue, Settings, Worker
from packsight.shared.storage.objects import ObjectStore
from tests.acceptance.stack import StandIn
from tests.chaos.parts import Part
from tests.chaos.stage import Answer, Judgement

IMAGES = 4
"""Per message; one of them is in object storage."""
EXPECTED = Answer(Status.NO_MATCH)


@dataclass
class StandIns:
    """Workers that act; see tests/acceptance/standin.py."""

    settings: Settings
    parts: dict[str, Part]
    tasks: list[str] = field(default_factory=list)

    def send(self, count: int, seconds: float) -> None:
        """Queue so many messages, each of which takes a child so long."""
        app = make_app("producer", self.settings)
        each = f"sleep:{seconds / IMAGES}"
        for number in range(count):
            images = [f"stored:{number}", *(f"{each}{'0' * place}" for place in range(1, IMAGES))]
            self.tasks.append(app.send_task(RECOGNIZE, args=[{"images": images}]).id)
        app.close()

    def publish(self) -> None:
        """There is no catalog."""

    def sent(self) -> bool:
        """All of it was, before the first event."""
        return True

    def judge(self, say: Callable[[str], None]) -> Judgement:
        """Every photo of every message has the one outcome that a stand-in gives, and nobody was blamed."""
        with closing(Ledger(self.settings)) as ledger:
            ends = ledger.results.read(self.tasks)
        found = Judgement(photos=IMAGES * len(self.tasks))
        for task in self.tasks:
            judge_batch(task, ends.get(task), IMAGES, found)
        letters = DeadLetters(self.settings)
        found.differing.extend(f"{letter.task_id} is a dead letter: {letter.code}" for letter in letters.list())
        return found


def judge_batch(task: str, end: TaskEnd | None, images: int, found: Judgement) -> None:
    """Add to what was found how a batch of a stand-in ended."""
    if end is None:
        found.lost.append(task)
        return
    if end.result is None:
        found.differing.append(f"{task}: {end.error}")
        return
    outcomes = RecognizeResult.model_validate(end.result).outcomes
    names = [outcome.image for outcome in outcomes]
    found.doubled.extend(f"{task} {name}" for name in set(names) if names.count(name) > 1)
    found.lost.extend([task] * (images - len(set(names))))
    found.differing.extend(f"{task} {one.image}: {one.reason}" for one in outcomes if one.status is not EXPECTED.status)


@contextmanager
def standins(folder: Path, workers: Sequence[str], *, visibility_timeout: int = 4) -> Iterator[StandIns]:
    """Run a broker, an object store and workers of two children each."""
    with ExitStack() as stack:
        servers: Servers = stack.enter_context(serving(folder))
        queue = Queue(visibility_timeout=visibility_timeout, socket_timeout=2)
        settings = servers.settings(folder, "chaos", queue=queue, worker=Worker(time_limit=90, begin_timeout=20))
        with closing(ObjectStore(settings.s3)) as store:
            store.ensure_bucket()
        assert servers.objects is not None
        parts = {server.spec.name: Part.of(server) for server in (servers.broker, servers.objects)}
        for name in workers:
            home = folder / name
            home.mkdir()
            worker = StandIn(settings, home, name=name)
            parts[name] = Part(name, worker, worker.start)
            stack.callback(worker.stop)
        try:
            yield StandIns(settings, parts)
        finally:
            for part in parts.values():  # what stands still hears no request to end
                for process in part.family():
                    process.resume()
