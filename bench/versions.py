"""`python -m bench.versions`: what a version weighs, and what of it a change sends and brings.

Photos are drawn, their key points and thumbnails real; what networks would see of them is made up, of the right size. Versions go
through a real object storage, to the folder of a host and back.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bench import entry, machine
from bench.scale_page import kind
from packsight.deploy.demo.shop.products import items
from packsight.deploy.demo.shop.scenes import catalog_photo
from packsight.deploy.testbed import serving
from packsight.indexer.build.kept import point_bytes, room
from packsight.indexer.build.shown import show_anew
from packsight.indexer.build.version import build_version
from packsight.indexer.parent import Parent
from packsight.indexer.state.resolution import NO_VERSION
from packsight.shared.catalog.manifest import Manifest, PhotoRow, ProductRow
from packsight.shared.catalog.signatures import Keyring
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.settings import S3, Settings
from packsight.shared.storage.objects import Blob, ObjectStore
from packsight.shared.vision.features import Features, make_features
from packsight.worker.pipeline.decode import decode
from packsight.worker.pipeline.local_features import catalog_features, thumbnail

console = Console()
DIMENSION = 1024
"""Of the default embedder."""
SIZES = (10_000, 75_000, 100_000, 300_000, 1_000_000)


class Metered(ObjectStore):
    """Object storage that notes the bytes of each object that goes there and comes from there, in whatever thread."""

    def __init__(self, s3: S3) -> None:
        super().__init__(s3)
        self.sent: list[int] = []
        self.brought: list[int] = []

    def upload(self, key: str, path: str) -> None:
        super().upload(key, path)
        self.sent.append(Path(path).stat().st_size)

    def write(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> None:
        super().write(key, data, content_type=content_type)
        self.sent.append(len(data))

    def read(self, key: str, *, bucket: str | None = None, limit: int | None = None) -> Blob:
        blob = super().read(key, bucket=bucket, limit=limit)
        self.brought.append(len(blob.data))
        return blob

    def download(self, key: str, path: Path, *, limit: int | None = None, tagged: bool = True) -> str:
        etag = super().download(key, path, limit=limit, tagged=tagged)
        self.brought.append(path.stat().st_size)
        return etag


@dataclass(frozen=True)
class Catalog:
    """A shop's products with photos that are drawn when they are asked for."""

    features: dict[str, Features]

    def rows(self, numbers: Sequence[int]) -> tuple[list[ProductRow], list[PhotoRow]]:
        """Products of these numbers, two photos each."""
        photos = [(number, photo) for number in numbers for photo in range(2)]
        return (
            [self._product(number) for number in numbers],
            [PhotoRow(product_id=f"{n:06d}", sha256=self._photo(n, k), source=f"https://shop/{n}/{k}.jpg") for n, k in photos],
        )

    def _product(self, number: int) -> ProductRow:
        item, chance = items()[number % len(items())], np.random.default_rng([1, number])
        said = " ".join(chance.choice(["cream", "rich", "gentle", "care", "daily", "skin", "water", "light"], 90).tolist())
        return ProductRow(
            id=f"{number:06d}", name=f"{item.name} {number}", vendor=item.family.line, price=f"{chance.integers(99, 9999)}.00",
            currency="RUB", url=f"https://shop.test/product/{number}", category="Care / Face / Cream", description=said,
            picture=f"https://shop.test/{number}/0.jpg", vendor_code=f"code-{number}",
        )  # fmt: skip

    def _photo(self, number: int, photo: int) -> str:
        name = hashlib.sha256(f"{number}/{photo}".encode()).hexdigest()
        if name not in self.features:
            item, chance = items()[number % len(items())], np.random.default_rng([2, number, photo])
            seen = decode(catalog_photo(item, photo, chance), Settings().decode)
            boxes = [[(0.0, 0.0), (90.0, 0.0), (90.0, 20.0), (0.0, 20.0)]] * 3
            lines = [item.family.line, item.family.what, item.variant]
            words = [WordRead(text=text, confidence=0.9, box=box) for text, box in zip(lines, boxes, strict=True)]
            look = chance.normal(size=DIMENSION).astype(np.float32)
            size = (seen.width, seen.height)
            self.features[name] = make_features(name, size, look, words, catalog_features(seen), thumbnail(seen))
        return name


def measure(products: int, folder: Path) -> dict[str, Any]:
    """Build a catalog and publish changes of it."""
    shop, every = Catalog({}), list(range(products))
    more = range(products, products + max(products // 100, 1))
    other = [number + len(more) for number in more]
    among = sorted([*every, *other], key=lambda number: (number if number < products else (number * 7919) % products + 0.5))
    with serving(folder / "servers") as servers:
        settings = servers.settings(folder / "home", "versions")
        with closing(Metered(settings.s3)) as store:
            store.ensure_bucket()
            catalogs = CatalogStore(store, "default", Trust(Keyring()))
            first = _built(folder / "first", shop, every, None)
            document: dict[str, Any] = {"photos": first.photos, "bytes_per_photo": by_kind(first)}
            document["points_per_photo"] = round(float(np.mean([len(one.local.points) for one in shop.features.values()])), 1)
            steps = {"whole": _published(catalogs, store, folder / "first", folder)}
            products_now = shop.rows(every)[0]
            products_now[products // 2] = products_now[products // 2].model_copy(update={"price": "1.99"})
            shown = show_anew(folder / "price", first, products_now, ())
            steps["one price"] = _published(catalogs, store, folder / "price", folder)
            before = Parent(shown, NO_VERSION, folder / "host" / shown.version)
            changes = {
                "1 % new photos at the feed's end": [*every, *more], "1 % new photos among the others": among,
                "1 % of the photos gone": [number for number in every if number % 100 != 50],
            }  # fmt: skip
            for name, numbers in changes.items():
                _built(folder / "changed", shop, numbers, before)
                steps[name] = _published(catalogs, store, folder / "changed", folder)
    return document | {"steps": steps, "by_size": by_size(document["points_per_photo"])}


def _built(folder: Path, shop: Catalog, numbers: Sequence[int], parent: Parent | None) -> Manifest:
    rows = shop.rows(numbers)
    return build_version(
        folder, catalog="default", parent=parent, products=rows[0], photos=rows[1], features=shop.features,
        recipe=recipe("drawn", "drawn"),
    )  # fmt: skip


def _published(catalogs: CatalogStore, store: Metered, built: Path, folder: Path) -> dict[str, int]:
    manifest = json.loads((built / "manifest.json").read_text())
    named = built.rename(built.with_name(manifest["version"]))
    store.sent.clear()
    catalogs.upload(named)
    store.brought.clear()  # before it, whoever uploads reads the manifests of all versions
    catalogs.download(manifest["version"], folder / "host")
    whole = sum(entry["size"] for entry in manifest["files"].values())
    return {"sent": sum(store.sent), "brought": sum(store.brought), "whole": whole}


def by_kind(manifest: Manifest) -> dict[str, float]:
    """Bytes per photo of each kind of file."""
    sizes: dict[str, float] = defaultdict(float)
    for name, file in manifest.files.items():
        sizes[kind(name)] += file.size / manifest.photos
    return {what: round(size, 1) for what, size in sorted(sizes.items(), key=lambda one: -one[1])}


def by_size(points: float) -> list[dict[str, float]]:
    """Key points that a catalog of so many photos has room for, where each has `points`, and their bytes per photo."""
    kept = {photos: min(points, room(photos)) for photos in SIZES}
    return [{"photos": photos, "points": most, "bytes": round(most * point_bytes())} for photos, most in kept.items()]


def show(document: Mapping[str, Any]) -> None:
    """Print the figures."""
    weights = Table("bytes per photo", "", box=None)
    for what, size in document["bytes_per_photo"].items():
        weights.add_row(what, f"{size:,.0f}")
    weights.add_row("together", f"{sum(document['bytes_per_photo'].values()):,.0f}")
    steps = Table("change", "sent", "brought", "share of the whole", box=None)
    for name, step in document["steps"].items():
        steps.add_row(name, f"{step['sent']:,}", f"{step['brought']:,}", f"{step['brought'] / step['whole']:.2%}")
    sizes = Table("photos", "key points of each", "their bytes", box=None)
    for one in document["by_size"]:
        sizes.add_row(f"{one['photos']:,}", f"{one['points']:.0f}", f"{one['bytes']:,}")
    for table in (weights, steps, sizes):
        console.print(table)


def main(
    products: Annotated[int, typer.Option(help="Products of the catalog, two photos each.")] = 200,
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("bench-out"),
) -> None:
    """Measure and write versions.json."""
    with tempfile.TemporaryDirectory(prefix="packsight-versions-") as folder:
        document = machine.conditions() | measure(products, Path(folder))
    entry.save(out / "versions.json", document)
    show(document)


if __name__ == "__main__":
    entry.run(main)
