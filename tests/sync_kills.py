"""Indexers that die at any step of a sync, and two of them at once: `python -m tests.sync_kills [--points 40]`.

An indexer in a process of its own is killed (SIGKILL) before one of its steps: a request to object storage, a change of a file in
its home, a commit of its memory. The next sync of that home is to publish the very version that a shop has whose indexer was
never killed, and to leave nothing behind. Both shops have the same pictures and feed, and storage and homes of their own.
"""

from __future__ import annotations

import argparse
import copy
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from packsight.deploy.testbed import Servers, serving
from packsight.indexer.build.parameters import FIT, FitParameters
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import LockHeldError, sync_lock
from packsight.indexer.phases import run as run_module
from packsight.indexer.phases.run import Run
from packsight.indexer.report import SyncReport, SyncRequest
from packsight.indexer.state.database import State
from packsight.indexer.sync import sync
from packsight.shared.catalog.manifest import Manifest
from packsight.shared.catalog.versions import named_parts
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from tests.integration.test_sync import RECIPE, LocalExtractor, Shop, photo, register

LEASE = 5.0
"""Seconds after which the lock of a dead indexer is free here, instead of a minute."""
_FILES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.chmod", "os.utime"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_REQUESTS = ("read", "write", "upload", "download", "replace", "remove")


@dataclass(frozen=True)
class Point:
    """Before which step, of a kind or of any, something happens to the indexer, counted from 0, and what.

    None: the steps are only counted.
    """

    step: int = -1
    signal: int = signal.SIGKILL
    kind: str = ""


FROZEN = (Point(kind="storage: download", step=3), Point(kind="storage: upload", step=0), Point(kind="storage: upload", step=2))
"""When an indexer stands still: while it fetches the version before, and before and within its upload."""


@dataclass
class Steps:
    """Counts the steps of a sync in this process, of whatever thread, and ends it before one of them."""

    point: Point
    home: str
    seen: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, kind: str) -> None:
        point = self.point
        with self.lock:
            if kind.startswith(point.kind) and sum(one.startswith(point.kind) for one in self.seen) == point.step:
                os.kill(os.getpid(), point.signal)
            self.seen.append(kind)

    def watch(self) -> None:
        """For the rest of this process's life."""
        for name in _REQUESTS:
            setattr(ObjectStore, name, self._before(getattr(ObjectStore, name), f"storage: {name}"))
        transaction = State.transaction

        @contextmanager
        def committing(state: State) -> Iterator[None]:
            with transaction(state):
                yield
                self.step("memory: commit")

        setattr(State, "transaction", committing)  # noqa: B010 - a type checker would not have it
        sys.addaudithook(self._file)

    def _before(self, request: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def asked(*arguments: Any, **words: Any) -> Any:
            self.step(kind)
            return request(*arguments, **words)

        return asked

    def _file(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILES and str(arguments[0]).startswith(self.home):
            if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
                return
            self.step(f"file: {event}")


@dataclass(frozen=True)
class Job:
    """A sync for a process of its own."""

    feed: str
    photos: str
    settings: Settings
    point: Point


def little_learned() -> FitParameters:
    """What versions learn of their photos is not what is looked at here, and takes most of a sync's time."""
    return replace(FIT, examples=replace(FIT.examples, max_photos=2))


def learn_little() -> None:
    """In this process."""
    setattr(run_module, "FIT", little_learned())  # noqa: B010 - a type checker would not have it


def indexer(job: Job, told: Connection) -> None:
    """Sync in this process, and tell how it ended and by what steps."""
    learn_little()
    steps = Steps(job.point, str(job.settings.home))
    steps.watch()
    try:
        ended = f"published {run(job.feed, job.photos, job.settings).version}"
    except (UserError, PacksightError) as error:
        ended = f"{type(error).__name__}: {error}"
    told.send((ended, steps.seen))


def run(feed: str, photos: str, settings: Settings) -> SyncReport:
    """Sync under the catalog's lock, with workers that are stood in for."""
    with closing(ObjectStore(settings.s3)) as store, closing(Fleet(settings)) as fleet:
        register(fleet, RECIPE)
        with sync_lock(fleet.redis, "default", "a sync", ttl=LEASE) as held:
            return sync(Run(SyncRequest(feed, photos), settings, store, fleet, LocalExtractor(store, settings), held))


class Started:
    """An indexer in a process of its own."""

    def __init__(self, job: Job) -> None:
        processes = get_context("forkserver")
        processes.set_forkserver_preload([__name__])
        self.heard, told = processes.Pipe(duplex=False)
        self.process: BaseProcess = processes.Process(target=indexer, args=(job, told))
        self.process.start()
        told.close()

    def ended(self, seconds: float = 300) -> tuple[str, list[str]]:
        """How it ended and by what steps; nothing of one that was killed."""
        try:
            return self.heard.recv() if self.heard.poll(seconds) else ("", [])
        except EOFError:
            return "", []
        finally:
            self.process.join(seconds)


@dataclass
class Pair:
    """Two shops with the same pictures and feed, the second one's indexer undisturbed."""

    disturbed: Shop
    quiet: Shop
    tried: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, folder: Path, disturbed: Settings, quiet: Settings) -> Pair:
        """Publish both. The buckets are there."""
        keep = {"keep_versions": 1}
        settings = [one.model_copy(update={"catalog": one.catalog.model_copy(update=keep)}) for one in (disturbed, quiet)]
        first = Shop(folder, settings[0], ObjectStore(settings[0].s3))
        for identity in "678":
            first.remove(identity)
        second = copy.copy(first)
        second.settings, second.store = settings[1], ObjectStore(settings[1].s3)
        pair = cls(first, second)
        for shop in (first, second):
            pair.sync(shop)
        pair.check()
        return pair

    def change(self, seed: int) -> None:
        """Let the shop show other pictures, and name products otherwise."""
        for identity in "12":
            self.disturbed.main(identity).write_bytes(photo(10_000 + 10 * seed + int(identity)))
        self.disturbed.names["3"] = f"Cream of season {seed}"

    def job(self, point: Point = Point()) -> Job:
        """A sync of the shop that is disturbed."""
        return Job(self.disturbed.write(), str(self.disturbed.folder / "extra"), self.disturbed.settings, point)

    def sync(self, shop: Shop) -> SyncReport:
        """Sync one of them in this process."""
        return run(shop.write(), str(shop.folder / "extra"), shop.settings)

    def check(self) -> None:
        """See that both shops have the same, whole, and nothing that no version needs."""
        assert content(self.disturbed) == content(self.quiet)
        for shop in (self.disturbed, self.quiet):
            with tempfile.TemporaryDirectory() as reader:
                shop.catalogs.download(served(shop).version, Path(reader))  # every file is checked against its hash
            versions, unreadable = shop.catalogs.named()
            assert not unreadable
            assert len(versions) == 1
            assert shop.catalogs.parts.listed().keys() == named_parts(versions)

    def killed(self, point: Point) -> bool:
        """Kill the indexer in the midst of a sync of what changed, and sync again; False when it had fewer steps this time."""
        before = served(self.disturbed)
        self.sync(self.quiet)
        started = Started(self.job(point))
        ended, steps = started.ended()
        if ended:
            assert ended.startswith("published") and len(steps) <= point.step, ended
            self.check()
            return False
        assert started.process.exitcode == -point.signal
        with tempfile.TemporaryDirectory() as reader:  # whatever is served is whole
            self.disturbed.catalogs.download(served(self.disturbed).version, Path(reader))
        assert served(self.disturbed).files in (before.files, served(self.quiet).files)
        died, report = time.monotonic(), None
        while report is None:
            try:
                report = self.sync(self.disturbed)
            except LockHeldError as error:
                assert f":{started.process.pid}:" in str(error) or "another process" in str(error), "it may end just then"
                assert time.monotonic() - died < LEASE + 30, "the lock of a dead indexer is free after its lease"
                time.sleep(0.2)
        assert not report.failures
        self.check()
        home = self.disturbed.settings.home / "indexer"
        assert not (home / "default").exists(), "what was built is cleared away"
        return True


def served(shop: Shop) -> Manifest:
    current = shop.catalogs.current()
    assert current is not None
    return shop.catalogs.manifest(current.version)


def content(shop: Shop) -> Mapping[str, object]:
    """What a shop serves, but for names and times."""
    names = dict.fromkeys(("version", "parent", "former", "created_at"), True)
    return served(shop).model_dump(exclude={**names, "epoch": {"began"}})


def chosen(steps: list[str], points: int, seed: int) -> list[int]:
    """So many steps of a sync: the first of each kind as far as there is room for others too, which are drawn evenly."""
    kinds = [steps.index(kind) for kind in dict.fromkeys(steps)]
    found = set(kinds if 2 * len(kinds) <= points else ())
    chance, left = random.Random(seed), points - len(found)
    strips = [range(number * len(steps) // left, (number + 1) * len(steps) // left) for number in range(left)]
    found |= {chance.choice([step for step in strip if step not in found] or strip) for strip in strips}
    return sorted(found)


def kill(pair: Pair, points: int, seed: int, tell: Callable[[str], None] = lambda _: None) -> list[str]:
    """Kill the indexer at so many points, each in a sync of its own; return the kinds of steps that it had."""
    for number in (0, 1):  # the second is like those that follow: what is done once an hour is done
        pair.change(number)
        ended, steps = Started(pair.job()).ended()
        assert ended.startswith("published"), ended
        pair.sync(pair.quiet)
        pair.check()
    changes = count(2)
    for number, step in enumerate(chosen(steps, points, seed), 1):
        for reached in (step, step - 10):
            pair.change(next(changes))
            if pair.killed(Point(reached)):
                break
        else:
            raise AssertionError(f"step {step} was not reached")
        pair.tried[steps[reached]] += 1
        tell(f"{number}: killed before step {reached} of {len(steps)}, {steps[reached]}")
    return steps


def two_at_once(pair: Pair, seed: int) -> None:
    """Start two indexers with one home at the same moment: one syncs, or one after the other, or the second says who does."""
    pair.change(seed)
    pair.sync(pair.quiet)
    started = [Started(pair.job()) for _ in range(2)]
    ends = [one.ended()[0] for one in started]
    assert any(end.startswith("published") for end in ends), ends
    for end in ends:
        others = ["another process", *(f":{one.process.pid}:" for one in started)]  # it may end just then
        held = end.startswith("LockHeldError") and any(other in end for other in others)
        assert end.startswith("published") or held, end
    pair.check()


def frozen(pair: Pair, point: Point, seed: int) -> tuple[str, str]:
    """Freeze an indexer until its lock is free and let another one with its home sync, and one with a home of its own, then
    let it go on; return what the first two said."""
    pair.change(seed)
    pair.sync(pair.quiet)
    started = Started(pair.job(replace(point, signal=signal.SIGSTOP)))
    elsewhere = copy.copy(pair.disturbed)
    elsewhere.settings = elsewhere.settings.model_copy(update={"home": elsewhere.settings.home.with_name(f"elsewhere-{seed}")})
    deadline = time.monotonic() + 120
    while not _is_stopped(started.process.pid):
        assert time.monotonic() < deadline and started.process.is_alive(), started.ended()
        time.sleep(0.05)
    while True:
        try:
            raise AssertionError(f"two are at work with one home: {pair.sync(pair.disturbed).version}")
        except LockHeldError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        except UserError as error:
            beside = str(error)
            break
    pair.sync(elsewhere)
    os.kill(started.process.pid or 0, signal.SIGCONT)
    ended, _ = started.ended()
    pair.check()
    assert not pair.sync(pair.disturbed).published
    return beside, ended


def _is_stopped(pid: int | None) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def paired(servers: Servers, folder: Path) -> Iterator[Pair]:
    """Two shops with storage and homes of their own."""
    names = [f"kills-{folder.name[-8:].replace('_', '-').strip('-').lower()}-{which}" for which in ("a", "b")]
    settings = [servers.settings(folder / name, name) for name in names]
    for one in settings:
        with closing(ObjectStore(one.s3)) as store:
            store.ensure_bucket()
    yield Pair.of(folder / "shop", *settings)


def main() -> None:
    """Run all of it and print what was done."""
    arguments = argparse.ArgumentParser(prog="python -m tests.sync_kills", description=__doc__)
    arguments.add_argument("--points", type=int, default=40)
    arguments.add_argument("--seed", type=int, default=1)
    asked = arguments.parse_args()
    learn_little()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kills")))
        pair = stack.enter_context(paired(stack.enter_context(serving(folder)), folder))
        steps = kill(pair, asked.points, asked.seed, lambda line: print(line, flush=True))
        for number in range(3):
            two_at_once(pair, 1000 + number)
        told = [frozen(pair, point, 2000 + number) for number, point in enumerate(FROZEN)]
    print(f"{sum(pair.tried.values())} kills, {len(steps)} steps: {', '.join(f'{n} × {kind}' for kind, n in pair.tried.items())}")
    for beside, ended in told:
        print(f"beside a frozen one: {beside}\nwhen it goes on: {ended}")


if __name__ == "__main__":
    main()
