"""Tables of a version made of its parent's: the same bytes, and few to send where few rows changed."""

from __future__ import annotations

import math
import random
import struct
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packsight.shared.catalog import patches
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.packing import pack
from packsight.shared.catalog.patches import TERMS, ParentFiles, apply_patch, write_patch
from packsight.shared.catalog.tables import PRODUCTS, write_products
from packsight.shared.catalog.words.word_index import WordIndex
from packsight.shared.contract.outcomes import WordRead

BOX = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]


def name_of(number: int) -> str:
    chance = random.Random(number)
    return " ".join(chance.choice("bdklmnprst") + "".join(chance.choices("aeioulnrst", k=5)) for _ in range(4))


def version(folder: Path, numbers: Sequence[int], more: int = 0) -> Path:
    """Tables of products of these numbers, on whose photos their names are read, and the first `more` of them twice."""
    folder.mkdir()
    products = [ProductRow(id=f"p{number}", name=name_of(number)) for number in numbers]
    photos = sorted([*range(len(products)), *range(more)])
    read = [[WordRead(text=text, confidence=0.9, box=BOX) for text in products[one].name.split()] for one in photos]
    write_products(folder / PRODUCTS, products)
    WordIndex.build(products, np.array(photos, np.int64), read).save(folder)
    return folder


def made(name: str, parent: Path, own: Path, folder: Path) -> int | None:
    """Bytes of a patch, by which the file came as it is; None where there is none."""
    before, patch = ParentFiles(parent, own), folder / "patch"
    if not write_patch(own / name, patch, before, math.inf):
        assert not patch.exists()
        return None
    folder = folder / "made"
    folder.mkdir(exist_ok=True)
    apply_patch(patch, folder / name, (own / name).stat().st_size, before)
    assert (folder / name).read_bytes() == (own / name).read_bytes(), name
    return patch.stat().st_size


CHANGES = {
    "products among the others": [*range(0, 900, 3), 10_000, *range(900, 3000, 3)],
    "products gone": [number for number in range(0, 3000, 3) if number % 100],
    "another name": [*range(0, 1500, 3), 20_000, *range(1503, 3000, 3)],
}


@pytest.mark.parametrize("numbers", CHANGES.values(), ids=CHANGES)
def test_few_changed_products_take_few_bytes_in_every_table(numbers: list[int], tmp_path: Path) -> None:
    before, after = version(tmp_path / "before", range(0, 3000, 3)), version(tmp_path / "after", numbers, more=7)
    packed = patched = 0
    for file in sorted(after.iterdir()):
        size = made(file.name, before, after, tmp_path)
        assert size is not None
        if pack(file, tmp_path / "packed") and (whole := (tmp_path / "packed").stat().st_size) > 1000:
            assert size < whole / 2, file.name
            packed, patched = packed + whole, patched + size
    assert patched < packed / 8


def test_what_names_rows_by_number_is_all_known(tmp_path: Path) -> None:
    """Else their patches would grow as soon as a product comes among the others."""
    folder = version(tmp_path / "v", range(40))
    numbers = {file.name for file in folder.glob("*.npy") if np.load(file).dtype == np.int32} - {"photo_count.npy"}
    assert numbers == set(patches._NUMBERS)
    assert {patches._NUMBERS[name] for name in numbers} == set(patches.NUMBERED)
    assert all((folder / name).exists() for name in patches.NUMBERED)


values = st.lists(st.integers(-3, 40), max_size=60)


@settings(max_examples=60, deadline=None)
@given(old=values, new=values, name=st.sampled_from(["line_terms.npy", "row.starts.npy", "flags.npy"]), data=st.data())
def test_whatever_was_before_and_is_now(
    old: list[int], new: list[int], name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, kind = tmp_path_factory.mktemp("any"), np.int64 if name.endswith("starts.npy") else np.int32
    for part, numbers, terms in (("old", old, range(data.draw(st.integers(0, 45)))), ("new", new, [5, 4, 3, 2, 1])):
        version(folder / part, terms)
        np.save(folder / part / name, np.array(numbers, kind))
    with pytest.MonkeyPatch.context() as patched:
        moved = data.draw(st.sampled_from([64, 1024]))
        for bound, size in (("_PIECE", 32), ("_MARGIN", 16), ("_MOVED", moved)):
            patched.setattr(patches, bound, size)
        is_made = made(name, folder / "old", folder / "new", folder) is not None
    assert is_made == (abs(len(old) - len(new)) * np.dtype(kind).itemsize <= moved)


def test_a_table_that_grew_too_much_comes_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "_MOVED", 1024)
    for name, count in (("old", 1000), ("new", 1129)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "starts.npy", np.arange(count))
    assert made("starts.npy", tmp_path / "old", tmp_path / "new", tmp_path) is None
    np.save(tmp_path / "new" / "starts.npy", np.arange(1128))
    assert made("starts.npy", tmp_path / "old", tmp_path / "new", tmp_path) is not None


def damaged(patch: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(patch))
    return chance.choice([
        patch[:at], patch[:at] + bytes([patch[at] ^ 1 << chance.randrange(8)]) + patch[at + 1 :], patch[at:],
        struct.pack("<I", chance.randrange(1 << 32)) + patch[4:],
    ])  # fmt: skip


@pytest.mark.parametrize("name", ["line_terms.npy", "line_terms.starts.npy", "flags.npy", "terms.arrow"])
def test_of_a_damaged_patch_comes_an_error_or_a_file_of_the_size(name: str, tmp_path: Path) -> None:
    before, after = version(tmp_path / "before", range(60)), version(tmp_path / "after", range(2, 60))
    parent, patch, size = ParentFiles(before, after), tmp_path / "patch", (after / name).stat().st_size
    assert write_patch(after / name, patch, parent, math.inf)
    whole, chance, refused = patch.read_bytes(), random.Random(1), 0
    for _ in range(120):
        patch.write_bytes(damaged(whole, chance))
        try:
            apply_patch(patch, tmp_path / name, size, parent)
        except ValueError:
            refused += 1
        else:
            assert (tmp_path / name).stat().st_size == size
    assert refused > 60
    patch.write_bytes(whole)
    with pytest.raises(ValueError, match=r"another size|too short|too early"):
        apply_patch(patch, tmp_path / name, size + 8, parent)


def header(text: bytes, other: bytes) -> Callable[[bytes], bytes]:
    return lambda whole: whole.replace(text, other.ljust(len(text)), 1)


DAMAGED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "empty": ("line_terms.npy", lambda _: b""),
    "cut off": ("line_terms.npy", lambda whole: whole[:-9]),
    "zeros": ("line_terms.npy", lambda whole: bytes(len(whole))),
    "no brace": ("line_terms.npy", header(b"}", b" ")),
    "of floats": ("line_terms.npy", header(b"<i4", b"<f4")),
    "without a shape": ("line_terms.npy", header(b"'shape': (", b"'shape': ()}")),
    "empty terms": (TERMS, lambda _: b""),
    "terms without keys": (TERMS, lambda whole: whole.replace(b"key\0", b"kex\0")),
    "no terms": (TERMS, lambda _: b"gone"),
}


@pytest.mark.parametrize(("name", "damage"), DAMAGED.values(), ids=DAMAGED)
def test_of_a_damaged_parent_comes_no_patch_and_one_error(name: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """The version is built all the same, and hosts fetch the whole."""
    before, after = version(tmp_path / "before", range(60)), version(tmp_path / "after", range(2, 60))
    file, patch = after / "line_terms.npy", tmp_path / "patch"
    assert write_patch(file, patch, ParentFiles(before, after), math.inf)
    whole = (before / name).read_bytes()
    (before / name).unlink()
    if (now := damage(whole)) != b"gone":
        assert now != whole
        (before / name).write_bytes(now)
    with pytest.raises(ValueError, match="the parent's cannot be read"):
        apply_patch(patch, tmp_path / file.name, file.stat().st_size, ParentFiles(before, after))
    assert not write_patch(file, patch, ParentFiles(before, after), math.inf)
    assert not patch.exists()


def test_a_patch_is_given_up_as_soon_as_it_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch that begins has files of gigabytes that are named as the parent's are and nothing like them."""
    for seed, name in enumerate(("old", "new")):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "codes.npy", np.random.default_rng(seed).integers(0, 256, 100_000, np.uint8))
    looked_at = list[int]()
    piece = patches.Table.piece

    def counted(table: patches.Table, start: int, end: int) -> bytes:
        looked_at.append(end)
        return piece(table, start, end)

    monkeypatch.setattr(patches, "_PIECE", 1000)
    monkeypatch.setattr(patches, "_MARGIN", 1000)
    monkeypatch.setattr(patches.Table, "piece", counted)
    parent = ParentFiles(tmp_path / "old", tmp_path / "new")
    assert not write_patch(tmp_path / "new/codes.npy", tmp_path / "patch", parent, 5000)
    assert max(looked_at) < 10_000 and not (tmp_path / "patch").exists()


def test_what_the_parents_numbers_are_now_is_worked_out_once_for_all_who_ask_together(tmp_path: Path) -> None:
    worked_out = list[str]()

    class Counted(ParentFiles):
        def _numbers(self, table: str) -> npt.NDArray[np.int32]:
            worked_out.append(table)
            time.sleep(0.1)  # the others come meanwhile
            return super()._numbers(table)

    parent = Counted(version(tmp_path / "before", range(9)), version(tmp_path / "after", range(2, 9)))
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(parent.table, ["line_terms.npy", "photo_terms.npy", "product_terms.npy", "exact.terms.npy"]))
    assert worked_out == [TERMS] and all(table.numbers is tables[0].numbers for table in tables)
