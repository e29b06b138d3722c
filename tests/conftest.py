"""Real services for the tests that want them: one Valkey and one SeaweedFS per run, a bucket and two databases per test."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr

from packsight.deploy.stack import services
from packsight.deploy.stack.ports import free_ports
from packsight.shared.settings import S3, Settings
from packsight.shared.storage.objects import ObjectStore

hypothesis_settings.register_profile("packsight", deadline=None)  # how busy a machine is fails no test
hypothesis_settings.load_profile("packsight")

_numbers = itertools.count()


@dataclass(frozen=True)
class Services:
    valkey_port: int
    valkey_password: str
    s3_port: int
    access_key: str
    secret_key: str

    def redis_url(self, database: int) -> str:
        return f"redis://:{self.valkey_password}@127.0.0.1:{self.valkey_port}/{database}"


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Valkey and SeaweedFS on free loopback ports, stopped by their own process ids."""
    home = tmp_path_factory.mktemp("services")
    valkey_port, *weed_ports = free_ports(1 + services.SEAWEED_PORTS)
    password, access, secret = (secrets.token_hex(12) for _ in range(3))
    specs = [
        services.valkey(home / "valkey", valkey_port, password),
        services.seaweed(home / "seaweed", weed_ports, access, secret),
    ]
    logs = [home / f"{spec.name}.log" for spec in specs]
    processes = [services.start(spec, log) for spec, log in zip(specs, logs, strict=True)]
    try:
        for spec, process, log in zip(specs, processes, logs, strict=True):
            services.wait_ready(spec, process, log)
        yield Services(valkey_port, password, weed_ports[0], access, secret)
    finally:
        for process in processes:
            services.stop(process)


@pytest.fixture
def live_settings(embedded: Services, tmp_path: Path) -> Settings:
    """Settings for the embedded services with a bucket of this test's own and emptied databases."""
    for database in (0, 1):
        with redis.Redis.from_url(embedded.redis_url(database)) as client:
            client.flushdb()
    result = Settings(
        _env_file=None,
        broker_url=SecretStr(embedded.redis_url(0)),
        result_url=SecretStr(embedded.redis_url(1)),
        home=tmp_path / "home",
        s3=S3(
            endpoint=f"127.0.0.1:{embedded.s3_port}",
            access_key=embedded.access_key,
            secret_key=SecretStr(embedded.secret_key),
            bucket=f"test-{next(_numbers)}-{secrets.token_hex(3)}",
        ),
    )
    ObjectStore(result.s3).ensure_bucket()
    return result


@pytest.fixture
def store(live_settings: Settings) -> Iterator[ObjectStore]:
    """Object storage of this test."""
    made = ObjectStore(live_settings.s3)
    yield made
    made.close()
