"""`python -m bench.packs FOLDER`: sets of drawn packs for `bench.sets`, one Russian and one with Latin names.

Families of siblings that differ in one word of one line and in nothing else, drawn and photographed like the demo's. Each listed
pack has three catalog photos and one query; of each family one more sibling, which the shop does not sell, is asked too.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, TypeVar

import cv2
import numpy as np
import typer

from bench import entry
from packsight.deploy.demo.shop.dataset import CATALOG_PHOTOS, write_feed
from packsight.deploy.demo.shop.products import FAMILIES, STRANGERS, Family, Item, Shape, items
from packsight.deploy.demo.shop.scenes import SCENES, catalog_photo, query_photo

T = TypeVar("T")

SIBLINGS = 5
RUSSIAN = (
    "Апельсин", "Базилик", "Ваниль", "Виноград", "Вишня", "Гвоздика", "Гранат", "Груша", "Дыня", "Ежевика", "Жасмин", "Земляника",
    "Имбирь", "Инжир", "Календула", "Карамель", "Кедр", "Клевер", "Клюква", "Кокос", "Корица", "Крапива", "Крыжовник", "Лаванда",
    "Лимон", "Липа", "Малина", "Манго", "Мелисса", "Миндаль", "Морошка", "Мята", "Облепиха", "Огурец", "Олива", "Орех", "Персик",
    "Пион", "Пшеница", "Роза", "Ромашка", "Рябина", "Слива", "Смородина", "Сосна", "Тимьян", "Фиалка", "Фундук", "Хвоя", "Хмель",
    "Черешня", "Черника", "Шалфей", "Шафран", "Шиповник", "Шоколад", "Щавель", "Эвкалипт", "Яблоко", "Ячмень",
)  # fmt: skip
LATIN = (
    "Orange", "Basil", "Vanilla", "Grape", "Cherry", "Clove", "Pomegranate", "Pear", "Melon", "Bramble", "Jasmine",
    "Strawberry", "Ginger", "Fig", "Marigold", "Caramel", "Cedar", "Clover", "Cranberry", "Coconut", "Cinnamon", "Nettle",
    "Gooseberry", "Lavender", "Lemon", "Linden", "Raspberry", "Mango", "Melissa", "Almond", "Cloudberry", "Mint", "Buckthorn",
    "Cucumber", "Olive", "Walnut", "Peach", "Peony", "Wheat", "Rose", "Camomile", "Rowan", "Plum", "Currant", "Pine", "Thyme",
    "Violet", "Hazelnut", "Needles", "Hops", "Morello", "Bilberry", "Sage", "Saffron", "Dogrose", "Chocolate", "Sorrel",
    "Eucalyptus", "Apple", "Barley",
)  # fmt: skip
SYLLABLES = {
    "russian": ("ВЕ", "ЛУ", "МИ", "РО", "ТА", "ЗО", "НЕ", "ДА", "ЖУ", "СИ"),
    "latin": ("VE", "LU", "MI", "RO", "TA", "ZO", "NE", "DA", "JU", "SI"),
}
ENDINGS = {"russian": ("ЛЬКА", "РЕНЬ", "ВИЦА", "ДАРЬ"), "latin": ("LKA", "REN", "VITA", "DAR")}
LINES = {
    "russian": ("Тихий двор", "Белый луг", "Живой родник", "Старая мельница", "Синий берег", "Добрый дом"),
    "latin": ("Quiet Yard", "White Meadow", "Living Spring", "Old Mill", "Blue Coast", "Good House"),
}
GOODS = {
    "russian": (("крем", "75 мл"), ("шампунь", "400 мл"), ("мыло", "90 г"), ("чай", "20 пакетиков"), ("сок", "750 мл"),
                ("каша", "500 г")),
    "latin": (("cream", "75 ml"), ("shampoo", "400 ml"), ("soap", "90 g"), ("tea", "20 bags"), ("juice", "750 ml"),
              ("porridge", "500 g")),
}
WORDS = {"russian": RUSSIAN, "latin": LATIN}


@dataclass(frozen=True)
class _Shot:
    path: Path
    item: Item
    number: int
    scene: str
    seed: int


def main(
    folder: Annotated[Path, typer.Argument(help="Where the sets are written, each in a folder of its own.")],
    packs: Annotated[int, typer.Option(help="Listed packs of each set.")] = 200,
    seed: Annotated[int, typer.Option()] = 11,
) -> None:
    """Draw the sets."""
    for language in WORDS:
        write(folder / language, language, packs // SIBLINGS, seed)


def write(folder: Path, language: str, families: int, seed: int) -> None:
    """Draw a set of so many families: feed.xml, photos/, queries/ and labels.csv."""
    drawn = [item for number in range(families) for item in _siblings(_family(number, language, seed))]
    listed = [item for item in drawn if item.listed]
    rng = np.random.default_rng([seed, 1])
    shots, labels = [], []
    for item in drawn:
        if item.listed:
            photos = folder / "photos" / item.id
            shots += [_Shot(photos / f"{one + 1}.jpg", item, one, "", seed) for one in range(CATALOG_PHOTOS)]
        scene = SCENES[int(rng.integers(len(SCENES)))]
        shots.append(_Shot(folder / "queries" / f"{item.id}.jpg", item, 100, scene, seed))
        nearest = item.id if item.listed else str(item.family.code * 100 + 1)
        kinds = f"{'present' if item.listed else 'sibling'};{scene}"
        labels.append((f"queries/{item.id}.jpg", item.id if item.listed else "", nearest, kinds))
    for shot in shots:
        shot.path.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_draw, shots, chunksize=16))
    write_feed(folder / "feed.xml", listed)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "product_id", "nearest_id", "kind"), *labels])


def _family(number: int, language: str, seed: int) -> Family:
    """A family with words of its own, in the colours of one of the demo's. Both languages draw the same numbers."""
    rng = np.random.default_rng([seed, number])
    like = FAMILIES[number % len(FAMILIES)]
    order = rng.permutation(len(WORDS[language]))[: SIBLINGS + 1]
    syllables, endings = SYLLABLES[language], ENDINGS[language]
    brand = syllables[number % 10] + syllables[int(rng.integers(10))] + endings[number // 10 % 4]
    what, size = _of(GOODS[language], rng)
    words = [WORDS[language][int(place)] for place in order]
    return Family(
        code=100 + number, brand=brand, line=_of(LINES[language], rng), what=what, size=size,
        shape=list(Shape)[int(rng.integers(len(Shape)))], base=like.base, accent=like.accent, ink=like.ink, motif=like.motif,
        layout=int(rng.integers(4)), listed=tuple(words[:SIBLINGS]), unlisted=(words[SIBLINGS],),
    )  # fmt: skip


def _of(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]


def _siblings(family: Family) -> list[Item]:
    names = family.listed + family.unlisted
    ids = [str(family.code * 100 + place + 1) for place in range(len(names))]
    return [Item(one, family, name, name in family.listed) for one, name in zip(ids, names, strict=True)]


def _draw(shot: _Shot) -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng([shot.seed, int(shot.item.id), shot.number])
    if not shot.scene:
        shot.path.write_bytes(catalog_photo(shot.item, shot.number, rng))
        return
    beside = [item for item in items() if item.family in STRANGERS]
    shot.path.write_bytes(query_photo(shot.item, shot.scene, beside, rng, occluded=False))


if __name__ == "__main__":
    entry.run(main)
