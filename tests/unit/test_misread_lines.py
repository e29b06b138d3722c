"""Lines that are looked at word by word are all that would change, and few others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.words import word_notes
from packsight.shared.catalog.words.misread_lines import misread_lines
from packsight.shared.catalog.words.word_index import WordIndex
from packsight.shared.contract.outcomes import WordRead

BOX = [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)]
NAMES = ["Shiseido Waso Clear", "Rahua Voluminous Shampoo", "Kenzoki Belle de Jour", "Shiseido Ultimune Power", "Vichy 5 ml"]
LINES = [
    "SHISEIDO", "SHl5EIDO waso", "SHISEDO clear", "SHI SEIDO", "WASOCLEAR", "SHI/SEIDO", "vichy 5 ml", "VOLUMlNOUS", "a 1",
    "rahua", "gentle care for daily use", "with water and light", "Bellede Jour", "BELLE DEJOUR", "ultimune", "UTIMUNE pover",
    "Volu minous", "",
]  # fmt: skip


def catalog(seed: int, photos: int = 60) -> tuple[list[ProductRow], np.ndarray, list[list[WordRead]]]:
    chance = np.random.default_rng(seed)
    products = [ProductRow(id=f"p{number}", name=str(chance.choice(NAMES))) for number in range(photos // 2)]
    lines = [
        [WordRead(text=str(text), confidence=0.9, box=BOX) for text in chance.choice(LINES, int(chance.integers(0, 6)))]
        for _ in range(photos)
    ]
    return products, np.arange(photos) // 2, lines


def files(folder: Path, seed: int) -> dict[str, bytes]:
    products, owners, lines = catalog(seed)
    WordIndex.build(products, owners, lines).save(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("seed", range(6))
def test_an_index_has_the_same_bytes_as_where_every_line_is_looked_at(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def counted(*arguments: object) -> list[int]:
        looked.extend(misread_lines(*arguments))  # type: ignore[arg-type]
        return list(looked)

    (tmp_path / "some").mkdir()
    (tmp_path / "all").mkdir()
    monkeypatch.setattr(word_notes, "misread_lines", counted)
    some = files(tmp_path / "some", seed)
    monkeypatch.setattr(word_notes, "misread_lines", lambda lines, *_: range(len(lines.read)))
    assert files(tmp_path / "all", seed) == some
    assert 0 < len(looked) < 0.7 * sum(map(len, catalog(seed)[2]))


def test_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    one = files(tmp_path / "one", 9)
    monkeypatch.setattr(word_notes, "_BLOCK", 3)
    monkeypatch.setattr("packsight.shared.catalog.words.misread_lines._BLOCK", 5)
    monkeypatch.setattr("packsight.shared.catalog.words.visible_names._BLOCK", 4)
    assert files(tmp_path / "many", 9) == one


def test_rows_rise_and_count_the_photos_that_show_each_word() -> None:
    products, owners, lines = catalog(3)
    index = WordIndex.build(products, owners, lines)
    shown = [index.photos.row(photo).tolist() for photo in range(len(lines))]
    assert all(terms == sorted(set(terms)) for terms in shown) and any(len(terms) > 2 for terms in shown)
    for product in range(len(products)):
        row = slice(int(index.products.starts[product]), int(index.products.starts[product + 1]))
        terms = index.products.values[row].tolist()
        assert terms == sorted(set(terms))
        times = [sum(term in shown[photo] for photo in np.flatnonzero(owners == product).tolist()) for term in terms]
        assert index.photo_frequency[row].tolist() == times
