"""The engine and its clients: which there are, what a compose file has to lose for an old one, building, running, looking."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = "packsight-compose-test"
NEEDED = (
    "a Docker engine from 20.10 that this user may speak with (DOCKER_HOST), and `docker compose` 2.24 or docker-compose 1.29"
)
BASES = ("python:3.11-slim-bookworm", "valkey/valkey:8.1-alpine", "chrislusf/seaweedfs:4.48")
Compose = dict[str, Any]


class NotPossibleError(Exception):
    """This machine cannot run it; says why."""


def adapted(compose: Compose, secrets: Path, tag: str) -> Compose:
    """A copy of a compose file for a project beside others: its own images, secrets from elsewhere, any free port.

    It has neither a name nor files of settings, which are the user's own; docker-compose 1.29 would not know them either.
    """
    made = deepcopy(compose)
    made.pop("name", None)
    for service in made["services"].values():
        service.pop("env_file", None)
        if "build" in service:
            del service["build"]
            service["image"] = f"{service['image'].partition(':')[0]}:{tag}"
        if "ports" in service:
            service["ports"] = [re.sub(r"^(127\.0\.0\.1):\d+:", r"\1::", port) for port in service["ports"]]
    for secret in made["secrets"].values():
        secret["file"] = str(secrets / Path(secret["file"]).relative_to("deploy/secrets"))
    return made


def lasting(compose: Compose) -> tuple[str, ...]:
    """The services that `up` starts, in the order of the file: those that others need come first."""
    return tuple(name for name, service in compose["services"].items() if "profiles" not in service)


def merged(text: str) -> Compose:
    """A compose file with its anchors and merges resolved."""
    found: Compose = yaml.safe_load(text)
    return {name: value for name, value in found.items() if not name.startswith("x-")}


@dataclass(frozen=True, slots=True)
class Client:
    """How compose is called here."""

    docker: str
    compose: tuple[str, ...]
    version: str

    @classmethod
    def find(cls) -> Client:
        """The plugin if there is one of its age, else docker-compose; raises NotPossibleError."""
        docker = os.environ.get("DOCKER", "docker")
        if shutil.which(docker) is None:
            raise NotPossibleError(f"there is no client `{docker}`; needed are {NEEDED}")
        engine = _text([docker, "version", "--format", "{{.Server.Version}}"])
        if engine is None:
            raise NotPossibleError(f"no engine answers `{docker}`; needed are {NEEDED}")
        plugin = _text([docker, "compose", "version", "--short"])
        if plugin is not None and tuple(map(int, re.findall(r"\d+", plugin)[:2])) >= (2, 24):
            return cls(docker, (docker, "compose"), f"engine {engine}, docker compose {plugin}")
        alone = _text(["docker-compose", "version", "--short"])
        if alone is None:
            raise NotPossibleError(f"there is no client of compose; needed are {NEEDED}")
        return cls(docker, ("docker-compose",), f"engine {engine}, docker-compose {alone}")

    def call(self, *arguments: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the engine; raises NotPossibleError with its last words."""
        return _run([self.docker, *arguments], check=check, **variables)

    def has(self, image: str) -> bool:
        """Whether an image is here."""
        return _text([self.docker, "image", "inspect", image]) is not None

    def bases(self) -> None:
        """Have the base images here: those that are, or from a registry, or stand-ins; raises NotPossibleError."""
        missing = [name for name in BASES if not self.has(name)]
        if any(_text([self.docker, "pull", "--quiet", name]) is None for name in missing):
            _run(["bash", str(Path(__file__).with_name("base_images.sh"))], check=True, DOCKER=self.docker)

    def build(self, source: Path, image: str, lock: str) -> None:
        """Build an image from a folder with the sources of a release."""
        command = ["build", "--quiet", "--file", str(source / "deploy/Dockerfile"), "--tag", image, "--build-arg", f"LOCK={lock}"]
        if index := os.environ.get("PIP_INDEX_URL"):
            command += ["--build-arg", f"PIP_INDEX_URL={index}"]
        if authority := os.environ.get("PIP_CERT"):
            command += ["--secret", f"id=ca,src={authority}"]
        self.call(*command, str(source), DOCKER_BUILDKIT="1")


def _text(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _run(command: Sequence[str], *, check: bool, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})
    if check and done.returncode:
        raise NotPossibleError(f"{' '.join(command[:3])} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    return done


@dataclass(frozen=True, slots=True)
class Project:
    """A compose file that runs as a project of its own."""

    client: Client
    file: Path
    lasting: tuple[str, ...]
    """Services that stay."""

    def command(self, *arguments: str) -> list[str]:
        """A command of compose, to be run here or beside."""
        return [*self.client.compose, "--project-name", PROJECT, "--file", str(self.file), *arguments]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of compose; raises NotPossibleError with its last words."""
        return _run(self.command(*arguments), check=check)

    def containers(self, service: str = "") -> list[str]:
        """Ids of containers, those that have ended too."""
        return self.run("ps", "--all", "--quiet", service).stdout.split() if service else self._all()

    def _all(self) -> list[str]:
        label = f"label=com.docker.compose.project={PROJECT}"
        return self.client.call("ps", "--all", "--quiet", "--filter", label).stdout.split()

    def state(self, container: str) -> dict[str, Any]:
        """What the engine says of a container."""
        found: dict[str, Any] = json.loads(self.client.call("inspect", container).stdout)[0]["State"]
        return found

    def periods(self, container: str) -> tuple[int, int]:
        """Periods of a container's quota of processors so far, and in how many it was used up; of control groups 2, else 1."""
        files = "cat /sys/fs/cgroup/cpu.stat 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.stat"
        said = dict(line.split() for line in self.client.call("exec", container, "sh", "-c", files).stdout.splitlines())
        return int(said["nr_periods"]), int(said["nr_throttled"])

    def down(self) -> None:
        """Remove its containers, networks and volumes."""
        self.run("down", "--volumes", "--remove-orphans", "--timeout", "30", check=False)
