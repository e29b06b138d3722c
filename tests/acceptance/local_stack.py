"""A real local stack in a folder of its own, driven through the command line as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from packsight.deploy.demo.shop.dataset import write_feed
from packsight.deploy.demo.shop.products import STRANGERS, Item, items
from packsight.deploy.demo.shop.scenes import catalog_photo, query_photo
from packsight.deploy.stack.state import StackFolder
from packsight.deploy.status import observe
from packsight.producer.client import Client
from packsight.shared.settings import Settings, load_settings

PRODUCTS = [item for item in items() if item.id in {"401", "501", "601", "1001"}]


@dataclass
class Stack:
    """A stack in a folder of its own, driven through the command line."""

    folder: Path
    command: tuple[str, ...] = (sys.executable, "-P", "-m", "packsight")
    """The command line that is tested."""
    variables: dict[str, str] = field(default_factory=dict)
    """Of the environment that it runs in, beside those of the tests."""

    def run(self, *arguments: str, code: int | None = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; None: whatever its exit code."""
        environment = clean_environment() | self.variables | variables
        command = [*self.command, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert code in {None, done.returncode}, done.stdout + done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run a command beside the test."""
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.folder,
            env=clean_environment() | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def worker(self, name: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker beside that of the stack, in the foreground of a process of its own; its log is `<name>.log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*self.command, "worker", "--name", f"{name}@%h"],
                cwd=self.folder,
                env=clean_environment() | self.variables | variables,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    def ended(self, job: str) -> int:
        """How many photos of a job have an outcome, seen from this process."""
        with Client(self.settings()) as client:
            return sum(1 for _ in client.outcomes(client.load(job)))

    def submitted(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        """Run a `submit` beside the test; also returns the name of its job, which it prints first."""
        process = self.start(*arguments)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    def draw_shop(self) -> None:
        """Write a feed of a few products with photos into `shop`, to be published."""
        shop = self.folder / "shop"
        for item in PRODUCTS:
            for number in range(2):
                photo = shop / "photos" / item.id / f"{number + 1}.jpg"
                photo.parent.mkdir(parents=True, exist_ok=True)
                photo.write_bytes(catalog_photo(item, number, np.random.default_rng([1, number, int(item.id)])))
        write_feed(shop / "feed.xml", PRODUCTS, pictures=2)

    def status(self) -> dict[str, Any]:
        """What `packsight status --json` prints, seen from this process.

        A test that waits would otherwise take a core from what it waits for: each start of the command costs a second of it.
        """
        return observe(StackFolder(self.folder / ".packsight"), self.settings()).model_dump(mode="json")

    def settings(self, role: str = "stack") -> Settings:
        """Those of whoever runs the stack, or acts in a role, whatever the environment of the tests names."""
        with mock.patch.dict(os.environ, clean_environment(), clear=True):
            return load_settings(self.folder / f".packsight/{role}.env")

    def pids(self) -> dict[str, int]:
        return {part["name"]: part["pid"] for part in self.status()["parts"]}

    def variable(self, name: str) -> str:
        lines = (self.folder / ".packsight/stack.env").read_text().splitlines()
        return next(line.split("=", 1)[1].strip("'") for line in lines if line.startswith(f"{name}="))

    @property
    def state(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads((self.folder / ".packsight/stack.json").read_text())
        return result


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PACKSIGHT_")}


@cache
def query(item: Item, seed: int) -> bytes:
    """A photo of a listed product somewhere in a kitchen; drawn once in a process, since many tests ask about the same."""
    strangers = [other for other in items() if other.family in STRANGERS]
    return query_photo(item, "kitchen", strangers, np.random.default_rng([seed, int(item.id)]), occluded=False)
