"""A child that takes up versions again and again while batches are matched: nothing is overwritten, nothing fails."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.placement import ByPhoto
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.worker.catalogs.pointer import LocalPointer, versions_folder, write_local_pointer
from packsight.worker.catalogs.snapshots import Catalogs
from tests.unit.matching_catalog import RECIPE, photo, shop

SWAPS = 300
MOST_MB = 60.0
"""By which a child may grow over all swaps: one version of this catalog takes less than one."""


def test_hundreds_of_swaps_beside_matching_fail_nothing_and_keep_no_version(tmp_path: Path) -> None:
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
            snapshot = catalogs.get("test")
            try:
                product = match(query, snapshot, top_k=3).candidates[0].product.id
            except Exception as error:  # whatever it is, the assertion below shows it
                failed.append(repr(error))
                return
            failed.extend([] if product == "p0" else [product])
            answered[0] += 1

    write_local_pointer(home, "test", RECIPE, LocalPointer(version=names[0]))
    catalogs.refresh()
    thread = threading.Thread(target=ask)
    thread.start()
    before = psutil.Process().memory_info().rss
    try:
        for number in range(1, SWAPS + 1):
            write_local_pointer(home, "test", RECIPE, LocalPointer(version=names[number % 2]))
            catalogs.refresh()
            assert catalogs.versions == {"test": names[number % 2]}
    finally:
        done.set()
        thread.join()
    assert not failed
    assert answered[0] > 0
    assert (psutil.Process().memory_info().rss - before) / 1e6 < MOST_MB


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
