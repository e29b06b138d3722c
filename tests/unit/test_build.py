"""Versions are built from anything a shop may have, and are the same each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packsight.indexer.build.index import BuiltIndex, Question, Vectors, build_index, surely
from packsight.indexer.build.parameters import FIT, IndexParameters
from packsight.indexer.build.version import build_version
from packsight.indexer.tables import fit_basis
from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.manifest import PhotoRow
from packsight.shared.catalog.parts import verify
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError
from packsight.shared.contract.outcomes import Status
from packsight.shared.vision.features import FloatArray
from tests.unit.matching_catalog import NAMES, RECIPE, Shop, build, photo, product, shop

LARGE = IndexParameters(exact_photos=1000)


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


def test_the_same_input_gives_the_same_files(tiny_shop: Shop, tmp_path: Path) -> None:
    first, _ = tiny_shop
    second, _ = shop(tmp_path / "b")
    assert {name: entry.sha256 for name, entry in first.manifest.files.items()} == {
        name: entry.sha256 for name, entry in second.manifest.files.items()
    }


def test_the_manifest_names_parent_and_self_check_and_verifies(tiny_shop: Shop, tmp_path: Path) -> None:
    parent, photos = tiny_shop
    child = build(tmp_path / "b", list(parent.products), dict(photos), parent)
    assert child.manifest.parent == parent.manifest.version
    assert child.manifest.self_check.photos == 24, "all but the first of each product"
    assert child.manifest.self_check.top1 >= 0.95
    assert verify(tmp_path / "b").version == child.manifest.version


def families(count: int, size: int, dimension: int = 16, seed: int = 0) -> Vectors:
    """Unit vectors of photos in families, neighbours beside each other."""
    rng = np.random.default_rng(seed)
    vectors = np.repeat(rng.normal(size=(count, dimension)), size, axis=0) + 0.5 * rng.normal(size=(count * size, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float16)


def unseen(vectors: Vectors, count: int) -> FloatArray:
    """Vectors near some that are indexed, and not among them."""
    rng = np.random.default_rng(1)
    near = vectors[rng.integers(len(vectors), size=count)] + 0.1 * rng.normal(size=(count, vectors.shape[1]))
    return np.asarray(near / np.linalg.norm(near, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def large() -> tuple[Vectors, BuiltIndex]:
    """Vectors of so many photos that their index is an approximate one."""
    vectors = families(600, 20)
    return vectors, build_index(vectors, LARGE)


def test_a_large_catalog_gets_an_approximate_index_that_finds_the_nearest_of_unseen_photos_first(
    large: tuple[Vectors, BuiltIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, built = large
    asked = unseen(vectors, 2000)
    exact = (asked @ vectors.astype(np.float32).T).max(axis=1)
    first = built.index.search(asked, 1)[0][:, 0]
    assert built.name == f"IVF{built.index.nlist},SQfp16,nprobe={built.index.nprobe}"
    assert (first >= exact - 1e-3).mean() >= LARGE.recall
    monkeypatch.setattr(built.index, "nprobe", 1)  # which would pass for enough if photos that are in the index were asked
    assert (built.index.search(asked, 1)[0][:, 0] >= exact - 1e-3).mean() < LARGE.recall
    own = built.index.search(vectors.astype(np.float32), 1)[1][:, 0]
    assert (own == np.arange(len(vectors))).mean() >= LARGE.recall


def test_an_approximate_index_holds_every_photo_with_the_cosine_that_its_vector_has() -> None:
    vectors = families(300, 10)
    built = build_index(vectors, IndexParameters(exact_photos=1000, sample=500, recall=0.9))
    assert built.index.ntotal == len(vectors)
    built.index.nprobe = built.index.nlist
    cosine, found = built.index.search(vectors.astype(np.float32), 1)
    assert np.array_equal(np.sort(found[:, 0]), np.arange(len(vectors)))
    assert np.allclose(cosine[:, 0], (vectors.astype(np.float32) ** 2).sum(axis=1), atol=1e-5)


def test_a_catalog_too_large_for_all_key_points_says_how_many_it_keeps(tmp_path: Path) -> None:
    one = photo("one", ["GRAVELLE"], 1)
    for room, told in ((10**9, []), (60 * 200, ["of up to 300 key points of a photo 200 are kept"])):
        manifest = build_version(
            tmp_path / str(room), catalog="test", parent=None, products=[product(0, "Gravelle", "Serum")],
            photos=[PhotoRow(product_id="p0", sha256=one.sha256, source="one")], features={one.sha256: one}, recipe=RECIPE,
            parameters=replace(FIT, local_bytes=room),
        )  # fmt: skip
        assert [note.split(":")[0] for note in manifest.notes if "key points" in note] == told


def test_the_recall_that_is_noted_is_that_of_photos_left_out_and_moved_as_far_again_from_their_nearest() -> None:
    vectors = families(300, 10)
    rules = IndexParameters(exact_photos=1000, sample=500, recall=0.5, sureness=0.0, probes=(1,))
    built, question = build_index(vectors, rules), Question.of(vectors, rules.sample)
    assert np.array_equal(question.asked, evenly_spread(len(vectors), rules.sample))
    whole = vectors.astype(np.float32)
    own = whole[question.asked]
    apart, right = [], []
    for number, query, moved, nearest in zip(question.asked, own, question.queries, question.nearest, strict=True):
        others = np.arange(len(vectors)) != number
        apart.append(1 - (whole[others] @ query).max())
        assert nearest == pytest.approx((whole[others] @ moved).max(), abs=1e-6)
        cosine, found = built.index.search(moved[None], 60)
        right.append(max(cosine[0][found[0] != number], default=-1.0) >= nearest - 1e-4)
    assert built.asked == len(question.asked)
    assert built.recall == pytest.approx(np.mean(right), abs=1e-9)
    assert built.recall < 1
    assert 1.3 < np.median(1 - question.nearest) / np.median(apart) <= 2, "twice as far by the square, where no other is nearer"


def test_no_more_lists_are_visited_than_find_enough() -> None:
    vectors = families(300, 10)
    rules = IndexParameters(exact_photos=1000, sample=500, recall=0.9, sureness=0.0)
    built, question = build_index(vectors, rules), Question.of(vectors, rules.sample)
    recalls = {}
    for built.index.nprobe in rules.probes:
        recalls[built.index.nprobe] = question.recall(built.index)
    least = min(probes for probes, recall in recalls.items() if recall >= rules.recall)
    assert built.name.endswith(f"nprobe={least}") and built.recall == recalls[least]
    assert least > 1


def test_photos_that_lie_farther_than_those_of_the_catalog_are_found_as_well(large: tuple[Vectors, BuiltIndex]) -> None:
    """As customers' do: what is near within the catalog would be found with fewer lists."""
    vectors, built = large
    rng = np.random.default_rng(2)
    asked = vectors[rng.integers(len(vectors), size=2000)] + 0.15 * rng.normal(size=(2000, vectors.shape[1]))
    asked = (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float32)
    exact = (asked @ vectors.astype(np.float32).T).max(axis=1)
    assert (built.index.search(asked, 1)[0][:, 0] >= exact - 1e-3).mean() >= LARGE.recall


def test_an_approximate_index_that_misses_too_much_is_not_used() -> None:
    built = build_index(families(300, 10), IndexParameters(exact_photos=1000, recall=1.01))
    assert (built.name, built.recall) == ("SQfp16", 1.0)


def test_a_share_of_few_is_less_sure_than_one_of_many() -> None:
    assert surely(1.0, 10, 1.64) < surely(0.995, 4000, 1.64) < 0.995
    assert surely(0.99, 4000, 0.0) == pytest.approx(0.99)
