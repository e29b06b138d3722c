"""The rules that the compose file and the image keep, read from the files themselves."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_group

import packsight
from packsight.cli import app
from packsight.deploy import secrets_folder
from packsight.shared import launch
from packsight.shared.health import END_AFTER
from packsight.shared.settings import Http, Settings, Worker
from packsight.worker.process.cores import processes
from tests.compose.__main__ import READY, SUBMIT, SYNC, USER, Trial
from tests.compose.engine import BASES, Client, Project, adapted, lasting, merged
from tests.pages import find, lines_of

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


def test_libraries_are_as_frugal_in_a_container_as_in_processes_that_are_started_here() -> None:
    text = DOCKERFILE.replace("\\\n", " ")
    assert launch.FRUGAL.items() <= dict(re.findall(r"(\w+)=(\S+)", text)).items()


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_lasting_service_has_a_health_check_and_a_time_to_stop(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert seconds(SERVICES[name]["stop_grace_period"]) > 10


@pytest.mark.parametrize("name", ["worker", "indexer"])
def test_who_stays_sick_is_ended_by_its_health_check_so_that_it_is_started_again(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][:3] == ["CMD", "packsight", "health"]
    asked = get_group(app).commands["health"].make_context("health", check["test"][3:]).params
    assert (asked["role"], asked["end_after"], asked["name"]) == (name, END_AFTER, "")
    assert seconds(check["interval"]) * check["retries"] <= END_AFTER
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["command"] == [name]


def test_a_stop_waits_longer_than_the_largest_batch_may_take() -> None:
    limits = Worker()
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > limits.seconds_for(limits.max_batch)
    assert f"{limits.seconds_for(limits.max_batch):.0f} s" in (ROOT / "docker-compose.yml").read_text()
    assert f"{limits.max_batch} photos: {limits.seconds_for(limits.max_batch):.0f} s" in (ROOT / "docs/operations.md").read_text()


def test_only_flower_and_the_http_door_can_be_reached_and_only_from_this_host() -> None:
    reached = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(reached) == {"flower", "http"}
    assert all(port.startswith("127.0.0.1:") for ports in reached.values() for port in ports)
    assert reached["http"] == [f"127.0.0.1:{Http().port}:{Http().port}"]
    assert COMPOSE["networks"]["backend"]["internal"] is True
    assert SERVICES["broker"]["networks"] == SERVICES["s3"]["networks"] == ["backend"]


KINDS = ("broker", "s3-access-key", "s3-secret-key")
SECRETS = {role: {"public-keys", *(f"{role}-{kind}" for kind in KINDS)} for role in ("worker", "producer", "http")} | {
    **{role: {"public-keys", "catalog-key", *(f"{role}-{kind}" for kind in KINDS)} for role in ("indexer", "operator")},
    "broker": {"broker-users"},
    "s3": {"s3-security", "s3-certificate", "s3-key", "s3-identities"},
    "flower": {"flower-broker", "flower-page"},
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_shown_its_own_secrets_and_no_others(name: str) -> None:
    service = SERVICES[name]
    assert {secret["source"] for secret in service["secrets"]} == SECRETS[name]
    asked = {value for variable, value in service.get("environment", {}).items() if variable.endswith("_FILE")}
    asked |= {word for word in service["command"] if word.startswith("/run/secrets/")}
    shown = {f"/run/secrets/{secret['target']}" for secret in service["secrets"]}
    assert asked <= shown
    if name not in {"broker", "s3"}:
        assert asked == shown
        assert service["environment"]["PACKSIGHT_REDIS__USER"] == name


def test_no_secret_stands_in_the_file_or_in_the_environment() -> None:
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert not re.search(r"PASSWORD|SECRET|KEY|AUTH", variable.removesuffix("_FILE")) or variable.endswith("_FILE")
            assert "@" not in value


def test_each_secret_is_a_file_that_the_command_writes_readable_in_a_folder_that_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    secrets_folder.write(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for secret in COMPOSE["secrets"].values():
        file = folder / Path(secret["file"]).relative_to("deploy/secrets")
        assert stat.S_IMODE(file.stat().st_mode) == 0o444, file
        assert file.read_text().strip(), file


def test_the_change_of_a_setting_is_that_of_one_service() -> None:
    files = {name: [entry["path"] for entry in service.get("env_file", [])] for name, service in SERVICES.items()}
    assert files == {name: [] if name in {"broker", "s3"} else [f"deploy/compose/{name}.env"] for name in SERVICES}
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"deploy/secrets/", "deploy/compose/*.env"} <= set(ignored)


def test_neither_secrets_nor_settings_are_sent_to_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    for folder in ("deploy/secrets", "deploy/compose"):
        assert lines.index(folder) > lines.index("!deploy")


@pytest.mark.parametrize("example", sorted((ROOT / "deploy/compose").glob("*.example")), ids=lambda path: path.name)
def test_an_example_holds_only_settings_that_exist(example: Path, tmp_path: Path) -> None:
    lines = [line.removeprefix("# ") for line in example.read_text().splitlines()]
    file = tmp_path / "example.env"
    file.write_text("\n".join(line for line in lines if re.match(r"PACKSIGHT_\w+=", line)))
    assert Settings(_env_file=file) != Settings(_env_file=None)


def test_the_key_that_signs_catalogs_is_with_those_who_publish_alone() -> None:
    setting = "PACKSIGHT_CATALOG__SIGNING_KEY_FILE"
    publishers = ["indexer", "operator"]
    assert [name for name, service in SERVICES.items() if setting in service.get("environment", {})] == publishers
    shown = {name for name, service in SERVICES.items() for one in service.get("secrets", []) if one["source"] == "catalog-key"}
    assert sorted(shown) == publishers


def test_the_broker_keeps_its_queues_over_a_restart_and_drops_nothing_when_full() -> None:
    command = " ".join(SERVICES["broker"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--aclfile /run/secrets/users.acl" in command


def test_the_broker_is_full_before_it_is_killed_also_while_it_rewrites_its_file() -> None:
    command = SERVICES["broker"]["command"]
    most = int(command[command.index("--maxmemory") + 1].removesuffix("mb")) * 2**20
    assert SERVICES["broker"]["mem_limit"] == "2g"
    assert 1.5 * most < 2 * 2**30


def test_prometheus_scrapes_every_service_with_figures_and_each_container_of_those_that_are_scaled() -> None:
    jobs = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    figures = {name for name, one in SERVICES.items() if "PACKSIGHT_METRICS__PORT" in one.get("environment", {})}
    assert {job["job_name"] for job in jobs} == {f"packsight-{name}" for name in figures}
    for job in jobs:
        name = job["job_name"].removeprefix("packsight-")
        port = SERVICES[name]["environment"]["PACKSIGHT_METRICS__PORT"]
        if name == "worker":
            (found,) = job["dns_sd_configs"]
            assert (found["names"], found["type"], str(found["port"])) == ([name], "A", port)
        else:
            assert job["static_configs"] == [{"targets": [f"{name}:{port}"]}]


def test_a_worker_has_room_for_the_child_that_idles_until_somebody_asks_for_a_single_photo() -> None:
    room = int(SERVICES["worker"]["mem_limit"].removesuffix("m")) * 2**20
    assert processes(Worker(), SERVICES["worker"]["cpus"], room) == SERVICES["worker"]["cpus"] + 1


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
        "http": "packsight",
        "producer": "packsight-producer",
        "operator": "packsight",
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


def test_no_host_of_an_index_is_named_and_no_authority_stays_in_a_layer() -> None:
    build = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1]
    assert "# syntax" not in DOCKERFILE, "it would be fetched from a registry"
    assert re.search(r"^ARG PIP_INDEX_URL$", build, re.MULTILINE), "pip's own default when nothing is given"
    installing = [step for step in re.split(r"^(?=RUN )", build, flags=re.MULTILINE) if "/pip install" in step]
    assert len(installing) == 2
    assert all(step.startswith("RUN --mount=type=secret,id=ca ") for step in installing)
    assert not re.search(r"https?://(?!…)", DOCKERFILE)
    assert re.search(r"/pip uninstall --yes setuptools pip", build)


def test_all_that_the_image_copies_is_sent_to_its_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {name.partition("/")[0] for line in copied for name in line.split()} == sent
    assert all((ROOT / name).exists() for name in sent)
    assert {link.name for link in (ROOT / "packsight").iterdir() if link.is_symlink()} < sent


def test_what_is_run_to_try_the_file_is_the_file_but_for_names_and_places(tmp_path: Path) -> None:
    compose = merged((ROOT / "docker-compose.yml").read_text())
    tried = adapted(compose, tmp_path, "tried")
    assert compose.keys() - tried.keys() == {"name"}
    for name, service in compose["services"].items():
        changed = {key for key in service if service[key] != tried["services"][name].get(key)}
        assert changed <= {"env_file", "build", "image", "ports"}, name
        if "build" in service:
            assert tried["services"][name]["image"] == f"{service['image'].partition(':')[0]}:tried"
    assert tried["services"]["flower"]["ports"] == ["127.0.0.1::5555"]
    secrets_folder.write(tmp_path)
    assert all(Path(secret["file"]).is_file() for secret in tried["secrets"].values())


def typed(line: str, user: int, folder: Path) -> list[str]:
    """A command of the docs as the shell of a user in a folder takes it, in the long form of its options."""
    for variable, value in {"$(id -u)": user, "$(id -g)": user, "$PWD/deploy": folder, "$PWD": folder}.items():
        line = line.replace(variable, str(value))
    return ["--volume" if word == "-v" else word for word in shlex.split(line)]


def asked(command: Sequence[str]) -> argparse.Namespace:
    """User, variables, places and words of a command that runs one of a service."""
    parser = argparse.ArgumentParser()
    for flag in ("--rm", "-T", "--no-deps"):
        parser.add_argument(flag, action="store_true")
    for option in ("--user", "-e", "--volume"):
        parser.add_argument(option, action="append", default=[])
    parser.add_argument("words", nargs=argparse.REMAINDER)
    return parser.parse_args(command[command.index("run") + 1 :])


def test_the_docs_begin_with_what_is_tried_in_an_order_that_works_on_fresh_volumes(tmp_path: Path) -> None:
    build, secrets, up, ready, sync, out, submit, status = lines_of(find("docs/operations.md", "With Docker Compose").text)
    client = Client("docker", ("docker", "compose"), "")
    trial, project = Trial(client, tmp_path, built=True), Project(client, tmp_path / "compose.yml", ())
    assert build == f"docker compose --profile={SERVICES['producer']['profiles'][0]} build"
    assert typed(secrets, os.getuid(), tmp_path) == ["docker", *trial.secrets(f"packsight:{packsight.__version__}")]
    assert up == "docker compose up -d"
    assert ready == f"until docker compose exec worker {' '.join(READY)}; do sleep 5; done"
    assert out == "mkdir -p out", "what Docker makes is root's"
    comments = re.findall(r"^  # (docker compose run .*?)(?: \| .*)?$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    results = ("--out", "/out/results.csv")
    for line, service, words in zip(
        (sync, submit, status, *comments),
        ("operator", "producer", "operator", "producer", "operator", "operator"),
        (SYNC, (*SUBMIT, *results), ("status",), SUBMIT, SYNC, ("status",)), strict=True,
    ):  # fmt: skip
        told, tried = asked(typed(line, os.getuid() or USER, tmp_path)), asked(trial.mounted(project, service, *words))
        assert (told.words, told.user, told.e) == ([service, *words], tried.user, tried.e)
        named = {place for place in tried.volume if any(word.startswith(place.split(":")[1]) for word in words)}
        assert set(told.volume) == named, line


def test_object_storage_of_ones_own_wants_the_service_and_one_line_removed() -> None:
    text, line = (ROOT / "docker-compose.yml").read_text(), "      s3: {condition: service_healthy}\n"
    assert text.count(line) == 1
    services = yaml.safe_load(text.replace(line, ""))["services"]
    del services["s3"]
    assert all(set(service.get("depends_on", {})) <= services.keys() for service in services.values())
    assert "remove from the file the service `s3` and its line below `depends_on`" in (ROOT / "docs/operations.md").read_text()


def test_there_is_a_stand_in_for_every_image_that_is_not_ours() -> None:
    base = re.search(r"^ARG PYTHON_IMAGE=(.+)$", DOCKERFILE, re.MULTILINE)
    assert base is not None
    foreign = {service["image"] for service in SERVICES.values() if "build" not in service}
    assert set(BASES) == {base[1], *foreign}
    script = (ROOT / "tests/compose/base_images.sh").read_text()
    assert all(f"--tag {name} " in script for name in BASES)


def test_what_is_tried_waits_for_every_service_that_stays() -> None:
    assert lasting(merged((ROOT / "docker-compose.yml").read_text())) == ("broker", "s3", "worker", "indexer", "flower", "http")


def test_what_builds_the_stand_ins_says_what_it_lacks(tmp_path: Path) -> None:
    for program in ("bash", "cat", "sed"):
        found = shutil.which(program)
        assert found is not None
        (tmp_path / program).symlink_to(found)
    script = ROOT / "tests/compose/base_images.sh"
    done = subprocess.run(
        [tmp_path / "bash", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60
    )
    # Where there is no list of Debian's packages either, that is said first.
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"mmdebstrap is not installed: .+\n|set MIRROR to .+\n", done.stderr)
