"""The rules that the compose file and the image keep, read from the files themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import packsight
from packsight.shared.settings import Settings, Worker

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BUILT = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
LONG_RUNNING = [name for name, service in SERVICES.items() if "profiles" not in service]


def seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)s", text)
    assert match
    return int(match[1])


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_runs_as_root_or_writes_outside_its_volumes(name: str) -> None:
    service = SERVICES[name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["init"] is True


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_lasting_service_has_a_health_check_and_a_time_to_stop(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert seconds(SERVICES[name]["stop_grace_period"]) > 10


@pytest.mark.parametrize("name", ["worker", "indexer"])
def test_a_stop_waits_longer_than_a_batch_may_take(name: str) -> None:
    assert seconds(SERVICES[name]["stop_grace_period"]) > Worker().time_limit


def test_only_flower_can_be_reached_and_only_from_this_host() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"flower"}
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["flower"]["ports"])
    assert COMPOSE["networks"]["backend"]["internal"] is True
    assert SERVICES["broker"]["networks"] == SERVICES["s3"]["networks"] == ["backend"]


def test_secrets_come_from_the_env_file_alone() -> None:
    secrets = {"VALKEY_PASSWORD", "AWS_SECRET_ACCESS_KEY", "FLOWER_BASIC_AUTH", "PACKSIGHT_S3__SECRET_KEY"}
    example = (ROOT / "deploy/compose.env.example").read_text()
    for secret in secrets:
        assert re.search(rf"^{secret}=", example, re.MULTILINE)
    for service in SERVICES.values():
        assert service["env_file"] == "deploy/compose.env"
        assert not secrets & set(service.get("environment", {}))


def test_the_key_that_signs_catalogs_is_the_indexers_alone() -> None:
    setting = "PACKSIGHT_CATALOG__SIGNING_KEY_FILE"
    assert [name for name, service in SERVICES.items() if setting in service.get("environment", {})] == ["indexer"]
    assert setting not in (ROOT / "deploy/compose.env.example").read_text()
    (volume,) = SERVICES["indexer"]["volumes"]
    assert SERVICES["indexer"]["environment"][setting].startswith(volume.split(":")[1])
    assert [name for name, service in SERVICES.items() if volume in service.get("volumes", [])] == ["indexer"]


def test_the_example_env_file_holds_only_settings_that_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = (ROOT / "deploy/compose.env.example").read_text().splitlines()
    ours = [line.removeprefix("# ") for line in lines if re.match(r"(# )?PACKSIGHT_\w+=", line)]
    file = tmp_path / "compose.env"
    file.write_text("\n".join(ours))
    settings = Settings(_env_file=file)
    assert settings.s3.endpoint == "s3:8333"
    assert settings.catalog.feed.startswith("https://")


def test_the_broker_keeps_its_queues_over_a_restart_and_drops_nothing_when_full() -> None:
    command = SERVICES["broker"]["command"][-1]
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "requirepass" in command


def test_the_image_is_built_in_stages_and_runs_as_a_user_without_rights() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert len(stages) == 2
    final = stages[-1]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "PYTHONSAFEPATH=1" in final
    assert "pip install" not in final
    assert "--from=build" in final


def test_our_images_carry_the_version() -> None:
    images = {name: service["image"].split(":") for name, service in BUILT.items()}
    assert {name: image for name, (image, _) in images.items()} == {
        "worker": "packsight",
        "indexer": "packsight",
        "flower": "packsight",
        "producer": "packsight-producer",
    }
    assert {tag for _, tag in images.values()} == {packsight.__version__}


def test_services_whose_images_are_called_the_same_are_built_the_same() -> None:
    builds: dict[str, dict[str, Any]] = {}
    for service in BUILT.values():
        assert builds.setdefault(service["image"], service["build"]) == service["build"]
    assert builds[f"packsight-producer:{packsight.__version__}"]["args"] == {"LOCK": "core"}


def test_the_image_is_built_from_a_lock_alone() -> None:
    build = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1]
    assert re.search(r"^ARG LOCK=services$", build, re.MULTILINE)
    for lock in {"services", *(service["build"].get("args", {}).get("LOCK", "services") for service in BUILT.values())}:
        assert (ROOT / f"locks/{lock}.txt").is_file()
    installs = re.findall(r"/pip install (.*)", build)
    assert installs[0] == "--require-hashes --requirement locks/${LOCK}.txt"
    assert "--no-deps" in installs[1]
    # What comes later may only add what EXTRAS asks for.
    assert all("${EXTRAS}" in line for line in installs[2:])


def test_all_that_the_image_copies_is_sent_to_its_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {name for line in copied for name in line.split()} == sent
    assert all((ROOT / name).exists() for name in sent)
    assert {link.name for link in (ROOT / "packsight").iterdir() if link.is_symlink()} < sent
