"""Build an invented catalog as an indexer does, in a process of its own: what each phase costs, and what the version weighs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import faiss

from bench.invented import Invented
from bench.memory import Meter, own_mb
from packsight.indexer.build.version import build_version
from packsight.indexer.parent import Parent
from packsight.indexer.state.resolution import NO_VERSION
from packsight.shared.catalog.manifest import MANIFEST, Manifest, read_manifest
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.vision.features import Features

CATALOG = "bench"
DRAWN = recipe("drawn", "drawn")
"""No worker's."""


class _Drawn(Mapping[str, Features]):
    """An invented catalog's features, the time that it takes to invent them left out of what is measured."""

    def __init__(self, shop: Invented, meter: Meter) -> None:
        self._shop, self._meter = shop, meter

    def __getitem__(self, sha256: str) -> Features:
        begun = time.thread_time()
        found = self._shop[sha256]
        self._meter.aside += time.thread_time() - begun
        return found

    def __contains__(self, sha256: object) -> bool:
        return sha256 in self._shop

    def __iter__(self) -> Iterator[str]:
        return iter(self._shop)

    def __len__(self) -> int:
        return len(self._shop)


def build(shop: Invented, folder: Path, parent: Path | None, made_for: Recipe = DRAWN) -> dict[str, Any]:
    """Write the version and tell what it cost; parent: folder of the version before. made_for: those who are to serve it."""
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    meter, before = Meter(), own_mb()
    products, photos = shop.products, shop.rows
    features = _Drawn(shop, meter)
    assert photos[0].sha256 in features
    rows = own_mb()
    with meter.part("all"):
        manifest = build_version(
            folder, catalog=CATALOG, products=products, photos=photos, features=features, recipe=made_for,
            parent=None if parent is None else Parent(manifest_of(parent), NO_VERSION, parent), phase=meter.part,
        )  # fmt: skip
    return {
        "products": manifest.products, "photos": manifest.photos, "index": manifest.index, "recall": manifest.recall,
        "self_check": manifest.self_check.model_dump(), "notes": list(manifest.notes),
        "libraries_mb": round(before), "rows_mb": round(rows - before), "phases": meter.parts,
        "files": {name: entry.size for name, entry in sorted(manifest.files.items(), key=lambda file: -file[1].size)},
        "bytes_per_photo": round(sum(entry.size for entry in manifest.files.values()) / manifest.photos),
    }  # fmt: skip


def manifest_of(folder: Path) -> Manifest:
    """The manifest of a version that was built into a folder."""
    data = (folder / MANIFEST).read_bytes()
    return read_manifest(data, Manifest.model_validate_json(data).version)


def missing(former: Path, latter: Path) -> dict[str, int]:
    """A version's files that a host which has the former one lacks, and the bytes in which each comes."""
    held = {entry.sha256 for entry in manifest_of(former).files.values()}
    lacking = {name: entry for name, entry in manifest_of(latter).files.items() if entry.sha256 not in held}
    return {name: (entry.patch or entry.stored).size for name, entry in lacking.items()}


def brought(former: Path, latter: Path) -> dict[str, Any]:
    """Bytes that come to a host which has the former version, and their share of those that the latter has there."""
    coming = sum(missing(former, latter).values())
    return {"bytes": coming, "share": round(coming / sum(one.size for one in manifest_of(latter).files.values()), 4)}
