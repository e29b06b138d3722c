"""What to do about something that is down: on a machine with a local stack, and where others run the services."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from packsight.deploy import doctor
from packsight.deploy.backup import commands as backups
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.stack.state import Part, StackFolder, StackState
from packsight.deploy.status import observe
from packsight.indexer import commands
from packsight.producer.broker import answering
from packsight.shared import advice
from packsight.shared.contract.errors import ErrorCode, StoreUnable, UserError
from packsight.shared.settings import S3, Settings


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis.retry.sleep", lambda _: None)
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    made = StackFolder(tmp_path / "home")
    made.create()
    return made


def away(folder: StackFolder) -> Settings:
    """Settings under which nothing answers."""
    port, s3 = free_ports(2)
    url = SecretStr(f"redis://127.0.0.1:{port}/0")
    return Settings(_env_file=None, broker_url=url, result_url=url, home=folder.root, s3=S3(endpoint=f"127.0.0.1:{s3}"))


@pytest.mark.parametrize("variable", ["PACKSIGHT_BROKER_URL", "PACKSIGHT_BROKER_URL_FILE"])
def test_in_a_container_nobody_is_told_to_start_a_local_stack(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    settings = away(folder)
    monkeypatch.setenv(variable, "redis://broker:6379/0")
    seen = observe(folder, settings)
    assert seen.elsewhere
    told = [*seen.errors, *(f"{one.text} {one.remedy}" for one in doctor.services(settings, folder))]
    assert not [text for text in told if "packsight up" in text]
    assert any("docker compose restart broker" in text and "PACKSIGHT_BROKER_URL" in text for text in seen.errors)
    assert any("docker compose restart s3" in text for text in told)
    assert any("docker compose restart s3" in text and "PACKSIGHT_S3__ENDPOINT" in text for text in seen.errors)


def test_with_a_stack_of_ones_own_it_is_the_stack_that_is_to_be_started(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = away(folder)
    broker, storage = observe(folder, settings).errors
    assert all("There is no stack in " in error and "packsight up" in error for error in (broker, storage))
    assert storage.startswith("Object storage does not answer (")
    monkeypatch.setenv("PACKSIGHT_BROKER_URL", "redis://broker:6379/0")
    folder.save(StackState())
    assert not advice.elsewhere(folder.root)
    assert any(f"`packsight up --home {folder.root}`" in error for error in observe(folder, settings).errors)
    monkeypatch.chdir(folder.root.parent)
    assert any("`packsight up`" in error for error in observe(folder, settings).errors)


def test_the_indexers_commands_say_the_same_in_a_container(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = away(folder)
    monkeypatch.setattr(commands, "settings", lambda: config)
    for variable, told in (("PACKSIGHT_BROKER_URL", "docker compose restart broker, or its pod"), ("ELSEWHERE", "packsight up")):
        monkeypatch.setenv(variable, "redis://broker:6379/0")
        with pytest.raises(UserError, match=told):
            commands.storage(as_json=False)
        monkeypatch.delenv(variable)


def test_of_a_store_that_answers_nobody_is_told_to_start_one(folder: StackFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = away(folder)
    monkeypatch.setattr(commands, "settings", lambda: settings)
    for asking in (commands._reachable(), backups._reachable(folder.root, folder), answering(settings)):
        with pytest.raises(StoreUnable) as caught, asking:
            raise StoreUnable(ErrorCode.HOST_UNREACHABLE, "cannot carry it out", remedy="Its disk may be full.")
        assert caught.value.remedy == "Its disk may be full."


def test_of_a_worker_that_runs_and_is_not_ready_its_log_is_named(folder: StackFolder) -> None:
    assert "packsight up" in doctor._of_workers(folder)
    log = folder.logs / "worker.log"
    part = Part(name="worker", pid=os.getpid(), started=psutil.Process().create_time(), log=log)
    folder.save(StackState(parts=(part,)))
    assert str(log) in doctor._of_workers(folder) and "packsight up" not in doctor._of_workers(folder)


def test_a_folder_of_another_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refused)
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.delenv("PACKSIGHT_BROKER_URL", raising=False)
    assert "another user's: run this as that user" in advice.start(tmp_path, "broker", "PACKSIGHT_BROKER_URL")
    monkeypatch.setenv("PACKSIGHT_BROKER_URL", "redis://elsewhere")
    assert advice.start(tmp_path, "broker", "PACKSIGHT_BROKER_URL").startswith("Restart the service `broker`")
