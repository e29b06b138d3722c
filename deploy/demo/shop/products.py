"""The demo's shop: families of siblings that share brand, line and palette and differ in one word, number or swatch.

A third of the packs are Russian.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""


class Shape(StrEnum):
    """The solids that packages are made of."""

    BOX = "box"
    CARTON = "carton"
    TUBE = "tube"
    JAR = "jar"
    BOTTLE = "bottle"


@dataclass(frozen=True, slots=True)
class Family:
    """A line of a brand: one layout and palette for all its variants."""

    code: int
    """Hundreds of its product ids."""
    brand: str
    line: str
    what: str
    size: str
    shape: Shape
    base: Colour
    accent: Colour
    ink: Colour
    motif: str
    layout: int
    listed: tuple[str, ...]
    """Variants that the shop sells."""
    unlisted: tuple[str, ...] = ()
    """Variants that exist but are in no feed."""
    swatches: tuple[Colour, ...] = ()
    """Colour of each variant, listed ones first; empty = all look the same."""


@dataclass(frozen=True, slots=True)
class Item:
    """One product: a variant of a family."""

    id: str
    family: Family
    variant: str
    listed: bool
    swatch: Colour | None = None

    @property
    def name(self) -> str:
        """The name as the feed spells it."""
        family = self.family
        size = "" if self.variant.endswith((" g", " kg")) else f" {family.size}"
        return f"{family.line} {family.what} {self.variant}{size}"


FAMILIES = (
    Family(1, "ORISTO", "Soft Hands", "hand cream", "75 ml", Shape.TUBE,
           (238, 226, 205), (176, 112, 62), (74, 44, 30), "leaves", 0,
           ("Almond", "Olive", "Honey", "Lavender", "Oatmeal"), ("Vanilla",)),
    Family(2, "KELVARA", "Silk Wave", "shampoo", "400 ml", Shape.BOTTLE,
           (58, 92, 140), (190, 216, 236), (250, 250, 252), "waves", 1,
           ("Volume", "Repair", "Smooth", "Colour", "Curls"), ("Shine",)),
    Family(3, "TOVELLA", "Aqua Veil", "face cream", "50 ml", Shape.JAR,
           (214, 234, 238), (38, 120, 138), (20, 58, 74), "drops", 2,
           ("Day", "Night", "Rich", "Gentle", "Calming"), ("Matte",)),
    Family(4, "HEDDA", "Farm Milk", "milk", "1 litre", Shape.CARTON,
           (246, 246, 242), (34, 88, 168), (18, 44, 98), "hills", 3,
           ("0.5 %", "1.5 %", "2.5 %", "3.5 %", "4.2 %"), ("3.2 %",)),
    Family(5, "ЛУГОВИЦА", "Лесной сбор", "травяной чай", "20 пакетиков", Shape.BOX,
           (46, 92, 62), (216, 184, 92), (250, 244, 220), "leaves", 2,
           ("Мелисса", "Шиповник", "Дикая мята", "Имбирь", "Ромашка"), ("Смородина",)),
    Family(6, "LUMARE", "Velvet Ink", "lipstick", "4 g", Shape.BOX,
           (32, 28, 34), (206, 170, 142), (244, 232, 224), "arcs", 0,
           ("21 Coral", "22 Plum", "23 Rosewood", "24 Cherry", "25 Nude"), ("26 Mauve",),
           ((232, 104, 88), (112, 40, 84), (160, 84, 84), (176, 24, 48), (206, 158, 132), (150, 104, 140))),
    Family(7, "ЗАРЕЛЬ", "Старый сад", "сок", "750 мл", Shape.BOTTLE,
           (244, 214, 120), (196, 74, 40), (92, 30, 20), "suns", 3,
           ("Яблоко", "Груша", "Вишня", "Персик", "Томат"), ("Абрикос",)),
    Family(8, "HALVDAN", "Old Harbour", "ground coffee", "250 g", Shape.JAR,
           (70, 42, 32), (212, 150, 70), (250, 236, 212), "beans", 1,
           ("Mild", "Medium", "Dark", "Decaf", "Intense"), ("Organic",)),
    Family(9, "ЖЕМЧУЖ", "Живая защита", "зубная паста", "100 мл", Shape.TUBE,
           (248, 250, 252), (0, 128, 120), (10, 70, 84), "waves", 1,
           ("Отбеливание", "Свежесть", "Нежность", "Травы", "Эмаль"), ("Уголь",)),
    Family(10, "SUNVIK", "Morning Crunch", "cereal", "", Shape.BOX,
           (232, 128, 48), (252, 226, 140), (82, 30, 12), "suns", 3,
           ("250 g", "375 g", "500 g", "750 g", "1 kg"), ("600 g",)),
)  # fmt: skip
"""What the shop sells, and one unlisted sibling of each line."""

STRANGERS = (
    Family(91, "QUORRA", "Oat Drink", "plant milk", "1 litre", Shape.CARTON,
           (230, 222, 198), (92, 126, 74), (40, 60, 36), "hills", 2,
           (), ("Barista", "Natural")),
    Family(92, "VESTRIN", "Pure Block", "soap", "90 g", Shape.BOX,
           (206, 190, 222), (116, 78, 150), (54, 30, 84), "arcs", 1,
           (), ("Violet", "Cedar")),
    Family(93, "СОЛНЕЖКА", "Тёплый берег", "лосьон", "200 мл", Shape.BOTTLE,
           (250, 246, 230), (238, 150, 36), (120, 62, 10), "suns", 0,
           (), ("Фактор 30", "Фактор 50")),
    Family(94, "ЗОЛТАН", "Красная ложка", "томатная паста", "180 г", Shape.JAR,
           (168, 34, 30), (244, 210, 150), (255, 246, 226), "drops", 3,
           (), ("Базилик", "Чеснок")),
)  # fmt: skip
"""Brands that the shop doesn't carry at all; they also stand around on the shelves."""


def items() -> list[Item]:
    """Every product that is drawn, listed and unlisted, in a fixed order."""
    made = []
    for family in FAMILIES + STRANGERS:
        for number, variant in enumerate(family.listed + family.unlisted):
            swatch = family.swatches[number] if family.swatches else None
            made.append(Item(f"{family.code * 100 + number + 1}", family, variant, number < len(family.listed), swatch))
    return made
