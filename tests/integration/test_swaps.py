"""A child that takes up versions again and again while batches are matched: nothing is overwritten, nothing fails."""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.canary import Canary
from packsight.shared.catalog.placement import ByPhoto
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import LocalPointer, versions_folder, write_local_pointer
from packsight.worker.catalogs.snapshots import Catalogs
from tests.unit.matching_catalog import RECIPE, photo, shop

SWAPS = 1000
SETTLED = 200
"""Swaps after which what a child holds does not grow any further."""
MOST_MB = 20.0
"""By which it may all the same; that a version stays open is seen by what is mapped."""


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    mb: float
    files: int
    mapped: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        process = psutil.Process()
        maps = [one for one in Path("/proc/self/maps").read_text().splitlines() if "/versions/" in one]
        return cls(process.memory_info().rss / 1e6, process.num_fds(), len(maps))


def test_a_thousand_swaps_beside_matching_fail_nothing_and_keep_neither_memory_nor_handles(tmp_path: Path) -> None:
    home, names = tmp_path / "home", list[str]()
    folder = versions_folder(home, "test")
    folder.mkdir(parents=True)
    for aside in ("a", "b"):
        names.append(shop(tmp_path / aside)[0].manifest.version)
        (tmp_path / aside).rename(folder / names[-1])
    catalogs = Catalogs(home, ObjectStore(Settings(_env_file=None).s3), RECIPE)
    query, done, failed, answered = photo("asked", ["ARVELO", "Night Cream"], 0), threading.Event(), list[str](), [0]

    def ask() -> None:
        while not done.wait(0.05):  # seldom, since the swaps are to go on beside it
            with asking:
                try:
                    product = match(query, catalogs.get("test", str(answered[0])), top_k=3).candidates[0].product.id
                except Exception as error:  # whatever it is, the assertion below shows it
                    failed.append(repr(error))
                    return
            failed.extend([] if product == "p0" else [product])
            answered[0] += 1

    held, asking = list[Held](), threading.Lock()
    write_local_pointer(home, "test", RECIPE, LocalPointer(version=names[0]))
    catalogs.refresh()
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for number in range(1, SWAPS + 1):
            now, other = names[number % 2], names[1 - number % 2]
            canary = Canary(version=other, share=0.5) if number % 4 < 2 else None  # tried, promoted, tried, given up
            write_local_pointer(home, "test", RECIPE, LocalPointer(version=now, canary=canary))
            catalogs.refresh()
            assert catalogs.versions == {"test": now}
            assert catalogs.canaries == ({"test": other} if canary else {})
            if number in {SETTLED, SWAPS}:
                with asking:  # else a version that was just left is open in the thread, or not
                    held.append(Held.now())
    finally:
        done.set()
        thread.join()
    assert not failed
    assert answered[0] > 0
    settled, last = held
    assert last.mb - settled.mb < MOST_MB
    assert last.files <= settled.files + 2
    assert last.mapped <= settled.mapped * 1.5


def test_what_a_child_serves_cannot_be_written_through_what_it_has_opened(tmp_path: Path) -> None:
    shop(tmp_path / "v")
    snapshot = Snapshot.open(tmp_path / "v")
    assert isinstance(snapshot.vectors, ByPhoto)
    with pytest.raises(ValueError, match="read-only"):
        snapshot.vectors.rows.arrays[0][0] = 0
    # A version that is replaced on disk is another file: what is mapped stays.
    first = snapshot.vectors[0].tolist()
    aside = tmp_path / "v" / "aside"
    aside.write_bytes(b"something else")
    aside.replace(tmp_path / "v" / "s0000.vectors.npy")
    assert snapshot.vectors[0].tolist() == first
