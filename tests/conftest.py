"""Real services for the tests that want them: one Valkey and one SeaweedFS per run, a bucket and two databases per test."""

from __future__ import annotations

import contextlib
import gc
import logging
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from hypothesis import settings as hypothesis_settings

from packsight.deploy.testbed import Servers, serving, variables
from packsight.shared.contract.errors import StorageAway
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore

hypothesis_settings.register_profile("packsight", deadline=None)  # how busy a machine is fails no test
hypothesis_settings.load_profile("packsight")

gc.disable()  # until all is collected: next to nothing of what is imported is garbage

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that mostly wait stand far apart between files that work, the quick ones last: of parallel processes one or two wait
    at a time, none is left alone with a long file.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = [file for file in files if file.is_relative_to(HERE / "acceptance")]
    working = [file for file in files if file not in waiting]
    for place, file in enumerate(waiting):
        working.insert(8 * place, file)  # what eight others take is about as long as one of these waits
    items[:] = [item for file in working for item in files[file]]


def pytest_collection_finish() -> None:
    """What is imported and collected stays until the end: the garbage collector need not go through it again and again.

    It looks more rarely than by default: most tests are over before there is anything to find.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(autouse=True)
def _warnings_are_heard() -> None:
    """A Celery worker in this process sets up logging for all of it, and lets errors alone through."""
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with serving(tmp_path_factory.mktemp("servers")) as running:
        yield running
        assert running.objects is not None
        running.objects.kill()  # nothing in it is kept, and it takes up to ten seconds to end in order


@pytest.fixture(scope="session")
def databases(servers: Servers) -> Iterator[tuple[redis.Redis, redis.Redis]]:
    """The broker's two: a new connection for each test would take longer than the emptying."""
    with redis.Redis.from_url(servers.redis_url(0)) as messages, redis.Redis.from_url(servers.redis_url(1)) as results:
        yield messages, results


def new_buckets(servers: Servers) -> Iterator[str]:
    """Made eight at a time, since the store waits for 0.2 s before it writes the first object into one.

    What it does not write in time, as on a machine that is busy, is asked of it again.
    """

    def made(name: str, tries: int = 4) -> str:
        try:
            with contextlib.closing(ObjectStore(servers.settings(Path(), name).s3)) as store:
                store.ensure_bucket()
                store.write("first", b"1")
                store.remove("first")
        except StorageAway:
            if tries == 1:
                raise
            return made(name, tries - 1)
        return name

    while True:
        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(made, [f"test-{secrets.token_hex(6)}" for _ in range(8)]))
        yield from names


@pytest.fixture(scope="session")
def buckets(servers: Servers) -> Iterator[str]:
    """Names of buckets that exist and are empty."""
    return new_buckets(servers)


@pytest.fixture
def live_settings(
    servers: Servers, databases: tuple[redis.Redis, redis.Redis], buckets: Iterator[str], tmp_path: Path
) -> Settings:
    """Settings for the running servers with a bucket of this test's own and emptied databases."""
    for database in databases:
        database.flushdb()
    return servers.settings(tmp_path / "home", next(buckets))


@pytest.fixture
def live_environment(live_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead commands that a test runs to its servers."""
    for name, value in variables(live_settings).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def store(live_settings: Settings) -> Iterator[ObjectStore]:
    """Object storage of this test."""
    made = ObjectStore(live_settings.s3)
    yield made
    made.close()
