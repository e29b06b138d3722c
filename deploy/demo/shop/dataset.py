"""The demo on disk: feed, catalog photos, query photos and their labels.

    feed.xml                          a product feed (YML), three pictures a product, paths relative to it
    photos/<product id>/<n>.jpg       catalog photos
    queries/<name>.jpg                what customers send, some of it unusable
    labels.csv                        image, product_id, nearest_id, kind

`product_id` is empty where the shop doesn't sell what is shown; `nearest_id` is then its closest sibling, if any.
`kind` starts with present, sibling (an unlisted variant), stranger (an unknown brand) or unreadable.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from lxml import etree
from lxml.builder import E

from packsight.deploy.demo.shop.products import Item, items
from packsight.deploy.demo.shop.scenes import SCENES, catalog_photo, query_photo
from packsight.shared.tables.labels import Label

CATALOG_PHOTOS = 3
AGAIN = 34
"""Listed products of which there is a second query photo."""


@dataclass(frozen=True, slots=True)
class _Shot:
    """One photo to draw; it can be drawn in any process, in any order."""

    path: Path
    item: str
    number: int
    scene: str
    occluded: bool
    seed: int


Watch = Callable[[Iterable[None], int], Iterable[None]]


def generate(
    folder: Path, seed: int = 7, processes: int | None = None, watch: Watch = lambda drawn, _: drawn
) -> list[Label]:
    """Draw the whole demo into `folder`; the same seed gives the same bytes. Returns the labels of the query photos.

    watch: passes on what it is given, one item for each photo as it is drawn, and is told how many there will be.
    """
    catalog = items()
    shots = _catalog_shots(folder, [item for item in catalog if item.listed], seed)
    queries, labels = _query_shots(folder, catalog, seed)
    for shot in shots + queries:
        shot.path.parent.mkdir(parents=True, exist_ok=True)
    workers = processes or min(8, os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for _ in watch(pool.map(_draw, shots + queries, chunksize=8), len(shots + queries)):
            pass
    labels += _unreadable(folder, queries, seed)
    write_feed(folder / "feed.xml", [item for item in catalog if item.listed])
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "product_id", "nearest_id", "kind"])
        writer.writerows([label.image, label.product_id, label.nearest_id, ";".join(label.kinds)] for label in labels)
    return labels


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _draw(shot: _Shot) -> None:
    catalog = items()
    item = next(item for item in catalog if item.id == shot.item)
    rng = np.random.default_rng([shot.seed, int(shot.item), shot.number])
    if not shot.scene:
        shot.path.write_bytes(catalog_photo(item, shot.number, rng))
        return
    strangers = [other for other in catalog if other.family.code > 90 and other.family is not item.family]
    shot.path.write_bytes(query_photo(item, shot.scene, strangers, rng, occluded=shot.occluded))


def _catalog_shots(folder: Path, listed: list[Item], seed: int) -> list[_Shot]:
    return [
        _Shot(folder / "photos" / item.id / f"{number + 1}.jpg", item.id, number, "", occluded=False, seed=seed)
        for item in listed
        for number in range(CATALOG_PHOTOS)
    ]


def _query_shots(folder: Path, catalog: list[Item], seed: int) -> tuple[list[_Shot], list[Label]]:
    rng = np.random.default_rng([seed, 0])
    listed = [item for item in catalog if item.listed]
    again = [listed[int(number)] for number in np.sort(rng.choice(len(listed), AGAIN, replace=False))]
    siblings = [item for item in catalog if not item.listed and item.family.listed]
    strangers = [item for item in catalog if not item.family.listed]
    shots, labels = [], []
    for count, item in enumerate(listed + again + siblings + strangers):
        scene = SCENES[int(rng.integers(len(SCENES)))]
        occluded = bool(rng.random() < 0.3)
        name = f"queries/{count + 1:03}.jpg"
        shots.append(_Shot(folder / name, item.id, 100 + count, scene, occluded, seed))
        group = "present" if item.listed else "sibling" if item.family.listed else "stranger"
        kinds = (group, scene, *(("occluded",) if occluded else ()))
        nearest = f"{item.family.code * 100 + 1}" if group == "sibling" else item.id if item.listed else ""
        labels.append(Label(name, item.id if item.listed else "", nearest, kinds))
    return shots, labels


def _unreadable(folder: Path, queries: list[_Shot], seed: int) -> list[Label]:
    """Files that no decoder can use: text, cut short, empty."""
    labels = []
    whole = queries[seed % len(queries)].path.read_bytes()
    contents = {"text": b"This is a shopping list: milk, tea, soap.\n", "truncated": whole[: len(whole) // 3], "empty": b""}
    for fault, content in contents.items():
        for copy in range(2):
            name = f"queries/{fault}-{copy + 1}.jpg"
            (folder / name).write_bytes(content[: len(content) - copy * 7])
            labels.append(Label(name, "", "", ("unreadable", fault)))
    return labels


def write_feed(path: Path, listed: list[Item], pictures: int = CATALOG_PHOTOS) -> None:
    """Write the shop's feed (YML); the pictures are `photos/<id>/1.jpg` and so on, beside it."""
    offers = [_offer(item, pictures) for item in listed]
    families = {item.family.code: item.family for item in listed}
    categories = [E.category(family.what.capitalize(), id=str(code)) for code, family in families.items()]
    shop = E.shop(
        E.name("Corner shop"),
        E.company("Corner shop"),
        E.url("https://shop.example"),
        E.currencies(E.currency(id="EUR", rate="1")),
        E.categories(*categories),
        E.offers(*offers),
    )
    document = E.yml_catalog(shop, date="2026-11-01 09:00")
    path.write_bytes(etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _offer(item: Item, pictures: int) -> etree._Element:
    price = f"{2 + int(item.id) % 17}.{int(item.id) % 10}9"
    return E.offer(
        E.url(f"https://shop.example/product/{item.id}"),
        E.price(price),
        E.currencyId("EUR"),
        E.categoryId(str(item.family.code)),
        *(E.picture(f"photos/{item.id}/{number + 1}.jpg") for number in range(pictures)),
        E.name(f"{item.family.brand} {item.name}"),
        E.vendor(item.family.brand),
        E.model(item.name),
        E.vendorCode(item.id),
        id=item.id,
        available="true",
    )
