"""A version is opened only when it can serve."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from packsight.shared.catalog.parts import verify
from packsight.shared.catalog.placement import ByPhoto
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError, ErrorCode
from tests.unit.matching_catalog import RECIPE, Shop


@pytest.fixture(scope="module")
def built(tiny_shop: Shop) -> Path:
    return tiny_shop[0].folder


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def test_a_built_version_verifies_and_opens(built: Path) -> None:
    assert verify(built).photos == 36
    snapshot = Snapshot.open(built)
    assert len(snapshot.products) == 12
    assert snapshot.products[3].id == "p3"
    assert list(snapshot.photos(3)) == [9, 10, 11]


def test_vectors_are_memory_mapped(built: Path) -> None:
    vectors = Snapshot.open(built).vectors
    assert isinstance(vectors, ByPhoto)
    (rows,) = vectors.rows.arrays
    assert isinstance(rows.base, np.memmap)
    assert not rows.flags.writeable


def test_another_recipe_is_refused_by_what_differs(built: Path) -> None:
    snapshot = Snapshot.open(built)
    snapshot.manifest.require(RECIPE)
    for part in Recipe.model_fields:
        with pytest.raises(CatalogError, match=f"{part} {getattr(RECIPE, part)} instead of another") as caught:
            snapshot.manifest.require(RECIPE.model_copy(update={part: "another"}))
        assert caught.value.code is ErrorCode.CATALOG_REFUSED
        assert "packsight catalog sync --catalog test" in caught.value.remedy


def test_a_truncated_index_is_refused(copy: Path) -> None:
    index = copy / "s0000.index.faiss"
    index.write_bytes(index.read_bytes()[:-100])
    with pytest.raises(CatalogError) as caught:
        Snapshot.open(copy)
    assert caught.value.code is ErrorCode.CATALOG_REFUSED


def test_an_array_whose_header_is_no_python_is_refused(copy: Path) -> None:
    array = copy / "photo_starts.npy"
    array.write_bytes(array.read_bytes().replace(b"}", b"(", 1))
    with pytest.raises(CatalogError, match="cannot be opened: TokenError"):
        Snapshot.open(copy)


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "terms.arrow").unlink()
    with pytest.raises(CatalogError):
        Snapshot.open(copy)


def test_vectors_that_are_not_those_of_the_photos_are_refused(copy: Path) -> None:
    vectors = np.load(copy / "s0000.vectors.npy")
    np.save(copy / "s0000.vectors.npy", vectors[::-1])
    with pytest.raises(CatalogError, match="find itself"):
        Snapshot.open(copy)


def test_lines_that_are_not_those_of_the_photos_are_refused(copy: Path) -> None:
    starts = np.load(copy / "line_starts.npy")
    np.save(copy / "line_starts.npy", starts[:-1])
    with pytest.raises(CatalogError, match="line_starts"):
        Snapshot.open(copy)
    starts[5] -= 1
    np.save(copy / "line_starts.npy", starts)
    with pytest.raises(CatalogError, match="lines of the photos are not those whose places are known"):
        Snapshot.open(copy)


def test_a_version_of_an_older_release_is_refused_by_its_format(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["format"] = 2
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CatalogError, match="format 2") as caught:
        Snapshot.open(copy)
    assert caught.value.code is ErrorCode.CATALOG_REFUSED


@pytest.mark.parametrize(
    ("stage", "gone", "more"),
    [("full", "rival_name", None), ("lines", "name", None), ("details", "colour", None), ("details", None, "looks")],
)
def test_a_model_of_other_evidence_is_refused_by_its_name(
    copy: Path, stage: str, gone: str | None, more: str | None
) -> None:
    model = json.loads((copy / "model.json").read_text())
    if gone:
        del model[stage]["weights"][gone]
    if more:
        model[stage]["weights"][more] = 1.0
    (copy / "model.json").write_text(json.dumps(model))
    with pytest.raises(CatalogError, match=gone or more) as caught:
        Snapshot.open(copy)
    assert caught.value.code is ErrorCode.CATALOG_REFUSED


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # in the head of a damaged array
def test_a_version_damaged_in_whatever_way_opens_or_is_refused_with_a_sentence(built: Path, copy: Path) -> None:
    """Also where hashes would fit. Not those of Faiss: it ends the process over some, so it must never see what is not hashed."""
    chance, refused = random.Random(5), 0
    files = sorted(path.name for path in built.iterdir() if path.suffix in {".npy", ".arrow"} or path.name == "model.json")
    for _ in range(150):
        name = chance.choice(files)
        data = bytearray((built / name).read_bytes())
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(min(len(data), 160))] = chance.randrange(256)
        (copy / name).write_bytes(data)
        try:
            Snapshot.open(copy)
        except CatalogError as error:
            refused += 1
            assert error.code is ErrorCode.CATALOG_REFUSED
            assert error.remedy
        shutil.copy(built / name, copy / name)
    assert refused > 60


@pytest.mark.parametrize("name", ["product_terms", "s0000.descriptors", "s0000.thumbnails", "postings"])
def test_rows_that_end_elsewhere_than_their_values_are_refused(copy: Path, name: str) -> None:
    starts = np.load(copy / f"{name}.starts.npy")
    starts[-1] += 1
    np.save(copy / f"{name}.starts.npy", starts)
    with pytest.raises(CatalogError, match=f"rows of {name}"):
        Snapshot.open(copy)


def test_files_of_two_versions_are_not_mixed(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["photos"] = 35
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CatalogError, match="35 photos"):
        Snapshot.open(copy)
