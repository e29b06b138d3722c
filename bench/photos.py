"""What is recognised: labelled photos, the catalog that they belong to, and slightly changed copies for long runs."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from packsight.deploy.demo.shop.dataset import generate, write_feed
from packsight.deploy.demo.shop.products import items
from packsight.deploy.demo.shop.scenes import SCENES, catalog_photo, query_photo
from packsight.shared.contract.errors import ImageError, UserError
from packsight.shared.settings import Decode
from packsight.shared.tables.labels import Label, read_labels
from packsight.worker.pipeline.decode import decode

_SAVED: dict[str, dict[str, Any]] = {".tif": {}, ".avif": {"quality": 90, "speed": 10}}
"""How copies are written; all others in the quality of photos."""
FEW = {"401", "501", "601", "701", "1001", "9101"}


@dataclass(frozen=True)
class PhotoSet:
    """Labelled photos with their catalog.

    root: folder that the labels' paths start from; extra: folder of further catalog photos, or empty.
    """

    name: str
    root: Path
    feed: Path
    extra: str
    labels: list[Label]

    def path(self, label: Label) -> Path:
        """The labelled photo."""
        return self.root / label.image

    def catalog(self) -> dict[str, list[Path]]:
        """The catalog's photos by product, from a folder each."""
        return {folder.name: sorted(folder.iterdir()) for folder in sorted((self.root / "photos").iterdir())}

    def usable(self) -> list[Path]:
        """Photos that can be decoded; raises UserError when one is not there."""
        for path in map(self.path, self.labels):
            if not path.is_file():
                raise UserError(f"{path} does not exist. --photos is the folder that the labels' paths start from.")
        return [path for path in map(self.path, self.labels) if _decodes(path)]


def demo(folder: Path) -> PhotoSet:
    """The drawn shop of `make demo`."""
    generate(folder)
    return PhotoSet("demo", folder, folder / "feed.xml", "", read_labels(folder / "labels.csv"))


def demo_of_one_photo(folder: Path) -> PhotoSet:
    """The same with one catalog photo per product, as most shops have."""
    shop = demo(folder)
    write_feed(shop.feed, [item for item in items() if item.listed], pictures=1)
    return PhotoSet("demo-one", shop.root, shop.feed, "", shop.labels)


def few(folder: Path) -> PhotoSet:
    """A corner of the drawn shop, for runs that only show that everything works: five products and one it lacks."""
    shown = [item for item in items() if item.id in FEW]
    listed = [item for item in shown if item.listed]
    strangers = [item for item in items() if not item.family.listed]
    labels = []
    for item in listed:
        for number in range(2):
            path = folder / "photos" / item.id / f"{number + 1}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(catalog_photo(item, number, np.random.default_rng([number, int(item.id)])))
    (folder / "queries").mkdir()
    for number, item in enumerate([*shown, *listed]):
        chance = np.random.default_rng([100 + number, int(item.id)])
        data = query_photo(item, SCENES[number % len(SCENES)], strangers, chance, occluded=False)
        label = Label(f"queries/{number}.jpg", item.id if item.listed else "", item.id if item.listed else "", ())
        (folder / label.image).write_bytes(data)
        labels.append(label)
    write_feed(folder / "feed.xml", listed, pictures=2)
    return PhotoSet("few", folder, folder / "feed.xml", "", labels)


def changed_copies(
    originals: Sequence[Path], count: int, folder: Path, suffixes: Sequence[str] = (".jpg",)
) -> list[Path]:
    """Make `count` copies, each original as often as any other, cut by a few pixels and a little brighter or darker.

    suffixes: of the formats that they are written in, taking turns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [folder / f"{i:06}{suffixes[i % len(suffixes)]}" for i in range(count)]
    tasks = [(originals[i % len(originals)], names[i], i // len(originals)) for i in range(count)]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_changed, tasks, chunksize=16))


def sample(items: Sequence[Any], count: int) -> list[Any]:
    """Return at most `count` items, the same at every call, in their order."""
    chosen = sorted(random.Random(7).sample(range(len(items)), min(count, len(items))))
    return [items[i] for i in chosen]


def _changed(task: tuple[Path, Path, int]) -> Path:
    original, path, number = task
    chance = np.random.default_rng([number, *original.name.encode()])
    with Image.open(original) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    left, top, right, bottom = chance.integers(0, 4, 4).tolist()
    image = image.crop((left, top, image.width - right, image.height - bottom))
    brightness = float(chance.uniform(0.96, 1.04))
    image.point(lambda value: min(255, round(value * brightness))).save(path, **_SAVED.get(path.suffix, {"quality": 90}))
    return path


def _decodes(path: Path) -> bool:
    try:
        decode(path.read_bytes(), Decode())
    except ImageError:
        return False
    return True
