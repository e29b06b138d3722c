"""Real services for the tests that want them: one Valkey and one SeaweedFS per run, a bucket and two databases per test."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings as hypothesis_settings

from packsight.deploy.testbed import Servers, serving, variables
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore

hypothesis_settings.register_profile("packsight", deadline=None)  # how busy a machine is fails no test
hypothesis_settings.load_profile("packsight")

_numbers = itertools.count()

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that mostly wait stand between files that work, the quick ones last: of parallel processes few wait at a time, none
    is left alone with a long file.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waiting = [file for file in files if file.is_relative_to(HERE / "acceptance")]
    working = [file for file in files if file not in waiting]
    for place, file in enumerate(waiting):
        working.insert(3 * place, file)
    items[:] = [item for file in working for item in files[file]]


def pytest_collection_finish() -> None:
    """What is imported and collected stays until the end: the garbage collector need not go through it again and again."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def live_settings(servers: Servers, databases: tuple[redis.Redis, redis.Redis], tmp_path: Path) -> Settings:
    """Settings for the running servers with a bucket of this test's own and emptied databases."""
    for database in databases:
        database.flushdb()
    result = servers.settings(tmp_path / "home", f"test-{next(_numbers)}-{secrets.token_hex(3)}")
    with contextlib.closing(ObjectStore(result.s3)) as store:
        store.ensure_bucket()
    return result


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
