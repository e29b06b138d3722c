"""From a barcode to a product: the numbers, and what a catalog makes of them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from packsight.producer.evaluation.variants import match
from packsight.shared.catalog.barcodes import list_barcodes
from packsight.shared.catalog.gtin import gtin, listed_gtins, upc_a_of_upc_e
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.decision import Decision, decision
from packsight.shared.matching.stages import rank_by_details
from packsight.shared.matching.stopping import as_served, is_confident
from packsight.shared.parameters import MATCHING
from packsight.worker.pipeline.extracted import Extracted
from tests.unit.drawn_packs import box, catalog, photograph
from tests.unit.matching_catalog import NAMES, build, photo, product

EAN_13, OTHER, EAN_8, UPC_E = "4006381333931", "4600000000015", "96385074", "04252614"


# Numbers.


@pytest.mark.parametrize("text", [EAN_13, "04006381333931", " 4 006381 333931 ", "4-006381-333931", "'4006381333931"])
def test_a_gtin_is_one_number_however_it_is_written(text: str) -> None:
    assert listed_gtins(text) == {4006381333931}


def test_a_upc_is_an_ean_with_a_leading_zero_whether_its_zeros_are_printed_or_lost() -> None:
    assert upc_a_of_upc_e(UPC_E) == "042100005264"
    for text in (UPC_E, "042100005264", "0042100005264", "42100005264"):
        assert listed_gtins(text) == {42100005264}


@pytest.mark.parametrize(
    "text", ["4006381333932", "0000000000000", "", "12345", "A006381333931", "٤٠٠٦٣٨١٣٣٣٩٣١", "40063813339311"]
)
def test_what_has_a_wrong_length_sign_or_check_digit_is_no_gtin(text: str) -> None:
    assert listed_gtins(text) == set()
    assert gtin(text) is None


# What a catalog makes of them.


def coded(folder: Path, barcodes: Sequence[tuple[str, ...]]) -> Snapshot:
    products = [
        product(number, *names).model_copy(update={"barcodes": codes})
        for number, (names, codes) in enumerate(zip(NAMES, barcodes, strict=False))
    ]
    photos = {
        one.id: [photo(f"{one.id}-{shot}", [one.vendor.upper(), one.model], number) for shot in range(2)]
        for number, one in enumerate(products)
    }
    return build(folder, products, photos)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Twelve products: 0 has two codes, 1 and 2 share one, 3 has a UPC-E, the others none."""
    barcodes = [(EAN_13, EAN_8), (OTHER,), (OTHER,), (UPC_E,), *[()] * 8]
    return coded(tmp_path_factory.mktemp("coded") / "v", barcodes)


def decide(snapshot: Snapshot, lines: Sequence[str], look: int, codes: tuple[int, ...] | None) -> Decision:
    return match(replace(photo("query", lines, look), barcodes=codes), snapshot, top_k=3)


@pytest.mark.parametrize(
    ("code", "owner", "told"),
    [(int(EAN_13), "p0", EAN_13), (int(EAN_8), "p0", EAN_8), (42100005264, "p3", "0042100005264")],
)
def test_a_barcode_decides_over_looks_and_words(snapshot: Snapshot, code: int, owner: str, told: str) -> None:
    words, look = ["GRAVELLE", "Eye Serum"], 6
    assert decide(snapshot, words, look, ()).candidates[0].product.id == "p6"
    decision = decide(snapshot, words, look, (code,))
    assert (decision.status, decision.confidence) == (Status.MATCHED, MATCHING.barcodes.confidence)
    assert decision.product is not None and decision.product.id == owner
    assert [(one.product.id, one.evidence.barcode) for one in decision.candidates] == [(owner, told)]
    assert told in decision.reason


def test_a_barcode_that_no_product_has_changes_nothing(snapshot: Snapshot) -> None:
    without = decide(snapshot, ["GRAVELLE", "Eye Serum"], 6, None)
    assert decide(snapshot, ["GRAVELLE", "Eye Serum"], 6, (9780201379624,)) == without
    assert without.candidates[0].evidence.barcode is None


def test_products_that_share_a_barcode_become_the_candidates_and_looks_and_words_decide_between_them(snapshot: Snapshot) -> None:
    decision = decide(snapshot, ["CASTOLY", "Hand Soap"], 2, (int(OTHER),))
    assert decision.status is Status.MATCHED
    assert decision.product is not None and decision.product.id == "p2"
    assert decision.reason.startswith(f"Barcode {OTHER} is that of 2 products; ")
    strict = replace(snapshot, model=snapshot.model.model_copy(update={"matched": 0.9, "sure": 0.9}))
    doubtful = decide(strict, ["GRAVELLE", "Eye Serum"], 6, (int(OTHER),))
    assert doubtful.status is Status.AMBIGUOUS, "it is one of them, though nothing else says so"
    for one in (decision, doubtful):
        assert {candidate.product.id for candidate in one.candidates} == {"p1", "p2"}
        assert {candidate.evidence.barcode for candidate in one.candidates} == {OTHER}
        assert sum(candidate.confidence for candidate in one.candidates) == pytest.approx(1, abs=1e-5)
    assert [candidate.confidence for candidate in doubtful.candidates] == pytest.approx([0.5, 0.5], abs=0.05)


def test_what_key_points_say_of_a_product_without_the_barcode_decides_nothing(tmp_path: Path) -> None:
    packs = replace(catalog(tmp_path / "v", 5), barcodes=list_barcodes(((), (), (OTHER,), (OTHER,), ()), 8).table)
    seen = Extracted("drawn", decoded=photograph((0, box(200, 150, 500))))
    alone, coded = (seen.ask(packs, codes) for codes in ((), (int(OTHER),)))
    assert is_confident(rank_by_details(alone, packs), packs)
    answer = decision(coded, as_served(coded, packs), packs, top_k=3)
    assert {candidate.product.id for candidate in answer.candidates} == {"p2", "p3"}
    assert sum(candidate.confidence for candidate in answer.candidates) == pytest.approx(1, abs=1e-5)
    assert answer.status is Status.AMBIGUOUS
    shown = Extracted("drawn", decoded=photograph((2, box(200, 150, 500)))).ask(packs, (int(OTHER),))
    assert is_confident(rank_by_details(shown, packs), packs), "among those that share it they may decide"


def test_barcodes_of_two_products_on_one_photo_decide_for_neither(snapshot: Snapshot) -> None:
    decision = decide(snapshot, [], 0, (int(EAN_13), 42100005264))
    assert {candidate.product.id: candidate.evidence.barcode for candidate in decision.candidates} == {
        "p0": EAN_13, "p3": "0042100005264",
    }  # fmt: skip
    assert decision.reason.startswith(f"Barcodes 0042100005264 and {EAN_13} are those of 2 products; ")


def test_a_barcode_that_was_filled_in_for_many_products_is_none(tmp_path: Path) -> None:
    most = MATCHING.barcodes.most_products
    full = coded(tmp_path / "full", [(OTHER,)] * most)
    assert len(full.barcodes.find([int(OTHER)])) == most
    over = coded(tmp_path / "over", [(OTHER, EAN_13, "none", "4006381333932")] + [(OTHER,)] * most)
    assert over.barcodes.find([int(OTHER), int(EAN_13)]) == {0: int(EAN_13)}
    notes = " ".join(over.manifest.notes)
    assert f"1 barcodes stand for more than {most} products each" in notes
    assert "2 barcodes of the feed are no EAN or UPC" in notes


def test_a_catalog_without_barcodes_has_an_empty_table(tmp_path: Path) -> None:
    bare = coded(tmp_path / "bare", [()] * 3)
    assert not bare.barcodes
    assert bare.barcodes.find([int(EAN_13)]) == {}
    assert not any("barcode" in note for note in bare.manifest.notes)


def test_the_table_is_mapped_and_damage_is_noticed(snapshot: Snapshot, tmp_path: Path) -> None:
    mapped = snapshot.barcodes.codes.base
    assert isinstance(mapped, np.memmap)
    folder = tmp_path / "v"
    shutil.copytree(snapshot.folder, folder)
    np.save(folder / "barcode_products.npy", np.full(len(snapshot.barcodes), 12, np.int32))
    with pytest.raises(CatalogError, match="barcodes"):
        Snapshot.open(folder)
