"""Versions are built from anything a shop may have, and are the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from packsight.indexer.build.index import build_index
from packsight.indexer.build.parameters import IndexParameters
from packsight.indexer.build.version import build_version
from packsight.indexer.tables import fit_basis
from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.manifest import PhotoRow, verify
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError
from packsight.shared.contract.outcomes import Status
from tests.unit.matching_catalog import NAMES, RECIPE, build, photo, product, shop


def test_a_catalog_of_one_product_with_one_photo_works(tmp_path: Path) -> None:
    only = photo("only", ["GRAVELLE", "Eye Serum"], 1)
    snapshot = build(tmp_path / "v", [product(0, "Gravelle", "Eye Serum")], {"p0": [only]})
    decision = match(photo("again", ["GRAVELLE", "Eye Serum"], 1), snapshot, top_k=5)
    assert decision.candidates[0].product.id == "p0"


def test_a_catalog_without_any_words_works_by_looks(tmp_path: Path) -> None:
    photos = {f"p{n}": [photo(f"{n}-{shot}", [], n) for shot in range(3)] for n in range(8)}
    snapshot = build(tmp_path / "v", [product(n, "", "") for n in range(8)], photos)
    decision = match(photo("q", [], 5), snapshot, top_k=3)
    assert decision.candidates[0].product.id == "p5"


def test_a_catalog_without_photos_works_by_words(tmp_path: Path) -> None:
    build_version(
        tmp_path / "v", catalog="c", parent=None, products=[product(n, *names) for n, names in enumerate(NAMES)],
        photos=[], features={}, recipe=RECIPE,
    )  # fmt: skip
    snapshot = Snapshot.open(tmp_path / "v")
    assert snapshot.manifest.photos == 0
    decision = match(photo("q", ["HASTIRA", "Body Scrub"], 1), snapshot, top_k=3)
    assert decision.candidates[0].product.id == "p7"
    assert decision.candidates[0].evidence.visual_similarity is None
    assert match(photo("s", ["Zyxwov"], 1), snapshot, top_k=3).status is Status.NO_MATCH


def test_one_photo_per_product_is_enough_to_answer_and_said_of_the_fit(tmp_path: Path) -> None:
    products = [product(n, *names) for n, names in enumerate(NAMES)]
    photos = {f"p{n}": [photo(f"{n}", [vendor, model], n)] for n, (vendor, model) in enumerate(NAMES)}
    snapshot = build(tmp_path / "v", products, photos)
    assert snapshot.manifest.self_check.photos == 0
    assert snapshot.manifest.single == 12
    assert fit_basis(snapshot.manifest) == (
        "by the prior alone; 12 of 12 products have one photo, which cannot be left out"
    )
    assert match(photo("q", list(NAMES[3]), 3), snapshot, top_k=3).candidates[0].product.id == "p3"


def test_no_product_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no product"):
        build_version(
            tmp_path / "v", catalog="c", parent=None, products=[], photos=[], features={},
            recipe=RECIPE,
        )  # fmt: skip


def test_photos_without_features_are_left_out_and_noted(tmp_path: Path) -> None:
    known = photo("known", ["GRAVELLE"], 1)
    rows = [PhotoRow(product_id="p0", sha256=sha, source=sha) for sha in (known.sha256, "f" * 64)]
    manifest = build_version(
        tmp_path / "v", catalog="c", parent=None, products=[product(0, "Gravelle", "Serum")], photos=rows,
        features={known.sha256: known}, recipe=RECIPE, notes=["a note"],
    )  # fmt: skip
    assert manifest.photos == 1
    assert manifest.notes[0] == "a note"
    assert any("1 photo" in note for note in manifest.notes)


def test_the_same_input_gives_the_same_files(tmp_path: Path) -> None:
    first, _ = shop(tmp_path / "a")
    second, _ = shop(tmp_path / "b")
    assert {name: entry.sha256 for name, entry in first.manifest.files.items()} == {
        name: entry.sha256 for name, entry in second.manifest.files.items()
    }


def test_the_manifest_names_parent_and_self_check_and_verifies(tmp_path: Path) -> None:
    parent, photos = shop(tmp_path / "a")
    child = build(tmp_path / "b", list(parent.products), dict(photos), parent)
    assert child.manifest.parent == parent.manifest.version
    assert child.manifest.self_check.photos == 36
    assert child.manifest.self_check.top1 >= 0.95
    assert verify(tmp_path / "b").version == child.manifest.version


def test_a_large_catalog_gets_an_approximate_index_of_measured_recall() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(300, 16))
    vectors = np.repeat(centres, 20, axis=0) + 0.3 * rng.normal(size=(6000, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    index, name = build_index(vectors, IndexParameters(exact_photos=1000))
    assert name.startswith("IVF")
    near = (vectors[:200].astype(np.float32) @ vectors.astype(np.float32).T).argsort(axis=1)[:, -2]
    _, found = index.search(vectors[:200].astype(np.float32), 3)
    assert np.mean([n in row for n, row in zip(near, found, strict=True)]) > 0.95


def test_an_approximate_index_that_misses_too_much_is_not_used() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3000, 8)).astype(np.float16)
    assert build_index(vectors, IndexParameters(exact_photos=1000, recall=1.01))[1] == "Flat"
