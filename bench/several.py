"""`python -m bench.several`: products found on drawn photos of several packs, by details alone: no network runs.

Packs of the demo's shop stand on a scene and hide parts of each other; on every third photo one of them is a product that the
shop does not list. The catalog has the same shop's pictures. Its versions decide by the shipped prior, since nothing but key
points is known here that a fit could rest on.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bench import entry
from bench.several_photos import Mask, Scene, several_packs
from packsight.deploy.demo.shop.products import Item, items
from packsight.deploy.demo.shop.scenes import catalog_photo
from packsight.indexer.build.prior import PRIOR
from packsight.indexer.build.version import build_version
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Polygon
from packsight.shared.matching.decision import Decision
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.matching.stages import rank_by_details
from packsight.shared.settings import Decode
from packsight.shared.vision.features import Features, make_features
from packsight.worker.pipeline.decode import decode
from packsight.worker.pipeline.extracted import Extracted
from packsight.worker.pipeline.local_features import catalog_features, thumbnail
from packsight.worker.pipeline.several import Asked, find_several

COUNTS = (1, 2, 3, 4, 5, 6)
"""Packs on a photo."""
MOST = 10
"""Products asked for: more than there are."""
THERE = 0.5
"""Intersection over union from which a region is a pack's, as in PASCAL VOC (Everingham et al., IJCV 2010)."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found on one photo: `decisions` at the thresholds as they are, `nearest` without any."""

    scene: Scene
    decisions: Sequence[Decision]
    nearest: Sequence[Decision]
    settled: bool
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Counted:
    """Sums over photos.

    listed: packs of listed products; found: those that were matched; sibling: matches of another product of a line that is
    there; false: of anything else. Whatever the confidence: placed: packs where their line stands first; right: where their
    product does; overlaps: of the regions of products that are there with their packs.
    """

    listed: int
    found: int
    sibling: int
    false: int
    placed: int
    right: int
    overlaps: tuple[float, ...]


def catalog(folder: Path, listed: Sequence[Item], pictures: int) -> Snapshot:
    """A version of these products with so many pictures each, of which key points and colours are known."""
    features: dict[str, Features] = {}
    rows = []
    for item in listed:
        for number in range(pictures):
            data = catalog_photo(item, number, np.random.default_rng([7, int(item.id), number]))
            photo, sha256 = decode(data, Decode()), hashlib.sha256(data).hexdigest()
            size, blind = (photo.width, photo.height), np.zeros(1, np.float32)
            features[sha256] = make_features(sha256, size, blind, [], catalog_features(photo), thumbnail(photo))
            rows.append(PhotoRow(product_id=item.id, sha256=sha256, source=f"{item.id}/{number}"))
    products = [ProductRow(id=item.id, name=item.name, vendor=item.family.brand, model=item.name) for item in listed]
    build_version(
        folder, catalog="several", parent=None, products=products, photos=rows, features=features,
        recipe=recipe("none-000000000000", "none-000000000000"),
    )  # fmt: skip
    return replace(Snapshot.open(folder), model=PRIOR)


def scenes(photos: int, count: int) -> Iterator[Scene]:
    """Photos of `count` different products."""
    listed, others = [one for one in items() if one.listed], [one for one in items() if not one.listed]
    for number in range(photos):
        rng = np.random.default_rng([11, count, number])
        chosen = [listed[int(place)] for place in rng.choice(len(listed), count, replace=False)]
        if number % 3 == 0 and count > 1:
            chosen[0] = others[int(rng.integers(len(others)))]
        yield several_packs(chosen, rng)


def look(scene: Scene, snapshot: Snapshot) -> Look:
    """Find the products of a photo as a worker does before its networks."""
    photo = Extracted("drawn", decoded=decode(scene.data, Decode()))
    began = time.process_time()
    query = photo.ask(snapshot, None)
    ranking = rank_by_details(query, snapshot)
    several = find_several(Asked.of(query, ranking, snapshot), snapshot, photo.look, MOST)
    took = 1000 * (time.process_time() - began)
    easy = replace(snapshot, model=snapshot.model.model_copy(update={"matched": 0.0}))
    nearest = find_several(Asked.of(query, ranking, snapshot), easy, photo.look, MOST)
    decisions = [one for one in several.decisions(snapshot, top_k=1, most=MOST) if one.product is not None]
    return Look(scene, decisions, nearest.decisions(easy, top_k=1, most=MOST), several.settled, took)


def count(looks: Sequence[Look]) -> Counted:
    """Compare what was found with what is there."""
    listed = found = sibling = false = placed = right = 0
    overlaps = []
    for one in looks:
        there = {pack.item.id: pack for pack in one.scene.packs}
        lines = {pack.item.family.code for pack in one.scene.packs}
        listed += sum(pack.item.listed for pack in one.scene.packs)
        for candidate in (decision.candidates[0] for decision in one.decisions):
            if candidate.product.id in there:
                found += 1
            elif int(candidate.product.id) // 100 in lines:
                sibling += 1
            else:
                false += 1
        first = [decision.candidates[0] for decision in one.nearest if decision.candidates]
        known = [candidate for candidate in first if candidate.product.id in there]
        overlaps += [overlap(candidate.region, there[candidate.product.id].mask) for candidate in known]
        for pack in one.scene.packs:
            here = [candidate.product.id for candidate in first if overlap(candidate.region, pack.mask) >= THERE]
            placed += pack.item.listed and any(int(name) // 100 == pack.item.family.code for name in here)
            right += pack.item.listed and pack.item.id in here
    return Counted(listed, found, sibling, false, placed, right, tuple(overlaps))


def overlap(region: Polygon | None, mask: Mask) -> float:
    """Intersection over union of a region with a pack's whole outline."""
    drawn = np.zeros(mask.shape, np.uint8)
    if region:
        cv2.fillPoly(drawn, [np.round(np.array(region)).astype(np.int32)], 1)
    covered = drawn > 0
    return float(np.count_nonzero(covered & mask) / np.count_nonzero(covered | mask))


def row(name: str, looks: Sequence[Look]) -> list[str]:
    """One line of the table."""
    counted = count(looks)
    overlaps = np.array(counted.overlaps)
    return [
        name,
        str(counted.listed),
        f"{counted.found / counted.listed:.2f}",
        str(counted.sibling),
        str(counted.false),
        f"{counted.placed / counted.listed:.2f}",
        f"{counted.right / counted.listed:.2f}",
        f"{overlaps.mean():.2f}" if len(overlaps) else "–",
        f"{np.mean(overlaps >= 0.7):.2f}" if len(overlaps) else "–",
        f"{np.mean([one.settled for one in looks]):.2f}",
        f"{np.mean([one.milliseconds for one in looks]):.0f}",
    ]


def main(
    photos: Annotated[int, typer.Option(min=1, help="Photos for each number of packs.")] = 10,
    pictures: Annotated[int, typer.Option(min=1, max=3, help="Catalog pictures of a product.")] = 1,
) -> None:
    """Draw, find and print the table."""
    cv2.setNumThreads(1)
    console = Console()
    table = Table(
        "Packs", "Listed", "Found", "Siblings", "False", "Placed", "Right", "IoU", "≥ 0.7", "Settled", "ms", box=None
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        snapshot = catalog(Path(folder) / "version", [one for one in items() if one.listed], pictures)
        looks = {number: [look(scene, snapshot) for scene in scenes(photos, number)] for number in COUNTS}
    for number, seen in looks.items():
        table.add_row(*row(str(number), seen))
    table.add_row(*row("2 to 6", [one for number, seen in looks.items() if number > 1 for one in seen]))
    console.print(table)


if __name__ == "__main__":
    entry.run(main)
