"""A real local stack in a folder of its own, driven through the command line as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from packsight.deploy.demo.shop.products import STRANGERS, Item, items
from packsight.deploy.demo.shop.scenes import query_photo

PRODUCTS = [item for item in items() if item.id in {"401", "501", "601", "1001"}]


@dataclass
class Stack:
    """A stack in a folder of its own, driven through the command line."""

    folder: Path

    def run(self, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "packsight", *arguments]
        environment = clean_environment() | variables
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run a command beside the test."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "packsight", *arguments],
            cwd=self.folder,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def submitted(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        """Run a `submit` beside the test; also returns the name of its job, which it prints first."""
        process = self.start(*arguments)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    def status(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return result

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


def query(item: Item, seed: int) -> bytes:
    """A photo of a listed product somewhere in a kitchen."""
    strangers = [other for other in items() if other.family in STRANGERS]
    return query_photo(item, "kitchen", strangers, np.random.default_rng([seed, int(item.id)]), occluded=False)
