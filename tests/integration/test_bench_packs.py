"""The drawn sets of Russian and Latin packs: what differs between siblings, and between the two languages."""

from __future__ import annotations

import csv
from pathlib import Path

from bench.packs import LATIN, RUSSIAN, SIBLINGS, write
from bench.sets import set_in

FAMILIES = 1


def test_both_sets_have_the_same_packs_in_other_words(tmp_path: Path) -> None:
    assert len(RUSSIAN) == len(set(RUSSIAN)) == len(LATIN) == len(set(LATIN))
    for language in ("russian", "latin"):
        write(tmp_path / language, language, families=FAMILIES, seed=3)
    tables = (tmp_path / name / "labels.csv" for name in ("russian", "latin"))
    russian, latin = (list(csv.DictReader(table.read_text("utf-8").splitlines())) for table in tables)
    assert russian == latin, "the same packs are asked, in the same scenes"
    assert len(russian) == FAMILIES * (SIBLINGS + 1)
    assert sum(not row["product_id"] for row in russian) == FAMILIES
    drawn = set_in(tmp_path / "russian")
    assert all((drawn.root / label.image).is_file() for label in drawn.labels)
    assert len(list((tmp_path / "russian" / "photos").glob("*/*.jpg"))) == FAMILIES * SIBLINGS * 3
    text = (tmp_path / "russian" / "feed.xml").read_text("utf-8")
    names = [line.split(">")[1].split("<")[0] for line in text.splitlines() if "<name>" in line][1:]
    assert len(set(names)) == FAMILIES * SIBLINGS
    assert not any(name.isascii() for name in names)
