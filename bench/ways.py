"""`python -m bench.ways`: what a photo and an offer pass on their ways: files, functions and types of this project.

The rule: a small stack runs, a catalog is published, one photo is answered. Then, for a photo, `packsight submit PHOTO --report
FILE`, and for an offer, `packsight catalog sync` of a feed with one product more, followed by one answer from the new version.
Counted is every function of the project that any process of it enters from the start of that command until it has ended (for
the offer, until the answer), and every type of it that is called, less those that an idle stack enters in ten seconds as well.
Functions inside others count as theirs; what an import does (modules, class bodies, defaults) does not count. What only happens
when something fails is never entered.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import packsight
from packsight.deploy.demo.shop.products import STRANGERS, items
from packsight.deploy.demo.shop.scenes import query_photo
from packsight.shared import launch

IDLE_SECONDS = 10.0
"""Longer than the period of anything that a stack does by itself."""
SETTLE_SECONDS = 1.0
"""For processes to hear of a new phase."""
SOLD = ("401", "501", "601", "1001")
"""Products of the drawn shop, of four families."""

Entered = set[tuple[str, str, str]]
"""Kind, place and name of what was entered."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a way passes."""

    files: int
    functions: int
    types: int


class Walk:
    """A stack whose processes note what they enter."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._notes = folder, folder / "entered"
        self._notes.mkdir()
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PACKSIGHT_")},
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "way_hook"), os.environ.get("PYTHONPATH", "")]),
            "PACKSIGHT_WAYS": str(self._notes),
            "PACKSIGHT_WAYS_ROOT": str(Path(packsight.__file__).parent),
        }

    def run(self, *arguments: str) -> None:
        """Run a command of packsight; raises CalledProcessError when it fails."""
        subprocess.run(
            launch.python("packsight", *arguments), cwd=self._folder, env=self._environment, check=True, capture_output=True
        )

    def phase(self, name: str, seconds: float = SETTLE_SECONDS) -> None:
        """Let what is entered from now on count for a phase."""
        (self._notes / "phase").write_text(name)
        time.sleep(seconds)

    def entered(self, phase: str) -> Entered:
        """What all processes entered in a phase."""
        found: Entered = set()
        for file in self._notes.glob("*.entered"):
            found |= pickle.loads(file.read_bytes()).get(phase, set())
        return found


def count(entered: Iterable[tuple[str, str, str]]) -> Count:
    """Count distinct files, functions and types."""
    functions = {
        (place, name.partition(".<locals>")[0].partition("<")[0]) for kind, place, name in entered if kind == "function"
    }
    functions = {(place, name) for place, name in functions if name}
    types = {name for kind, _, name in entered if kind == "type"} | {
        name.partition(".")[0] for _, name in functions if "." in name
    }
    return Count(len({place for place, _ in functions}), len(functions), len(types))


def walk(folder: Path) -> dict[str, Count]:
    """Run a stack in an empty folder and count both ways."""
    chosen = [item for item in items() if item.id in SOLD]
    strangers = [other for other in items() if other.family in STRANGERS]
    rows = ["id\tname\tvendor\tpicture"]
    for item in chosen:
        rng = np.random.default_rng(int(item.id))
        (folder / f"{item.id}.jpg").write_bytes(query_photo(item, "kitchen", strangers, rng, occluded=False))
        rows.append(f"{item.id}\t{item.name}\t{item.family}\t{folder / f'{item.id}.jpg'}")
    (folder / "few.tsv").write_text("\n".join(rows[:-1]))
    (folder / "all.tsv").write_text("\n".join(rows))
    query = folder / "query.jpg"
    query.write_bytes(query_photo(chosen[0], "kitchen", strangers, np.random.default_rng(1), occluded=False))

    stack = Walk(folder)
    stack.phase("starting", 0)
    stack.run("up", "--no-flower")
    try:
        stack.run("catalog", "sync", "--feed", str(folder / "few.tsv"))
        stack.run("recognize", str(folder / f"{SOLD[0]}.jpg"))
        stack.phase("idle", IDLE_SECONDS)
        stack.phase("offer")
        stack.run("catalog", "sync", "--feed", str(folder / "all.tsv"))
        stack.run("recognize", str(folder / f"{SOLD[0]}.jpg"))
        stack.phase("between")
        stack.phase("photo")
        stack.run("submit", str(query), "--report", str(folder / "report.html"))
        stack.phase("ending")
    finally:
        stack.run("down")
    idle = stack.entered("idle")
    return {way: count(stack.entered(way) - idle) for way in ("photo", "offer")}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for way, passed in walk(Path(temporary)).items():
            print(f"{way}: {passed.files} files, {passed.functions} functions, {passed.types} types")
