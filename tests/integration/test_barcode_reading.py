"""Barcodes that are drawn as phones see them, read by the real reader."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from bench.barcode_photos import MANNERS, barcode_photo
from bench.barcode_print import Code, Kind, printed, random_code
from packsight.shared.catalog.gtin import check_digit, listed_gtins, upc_a_of_upc_e
from packsight.shared.settings import Decode
from packsight.worker.pipeline.barcodes import read_barcodes
from packsight.worker.pipeline.decode import decode


def read(code: Code | None, manner: str, *, seed: int) -> tuple[int, ...]:
    data = barcode_photo(code, MANNERS[manner], 2.5, np.random.default_rng(seed))
    return read_barcodes(decode(data, Decode()).pixels)


@pytest.mark.parametrize("manner", ["plain", "turned", "tilted", "bent"])
def test_most_barcodes_on_packs_in_scenes_are_read_and_no_other_number(manner: str) -> None:
    codes = [random_code(kind, np.random.default_rng(11)) for kind in Kind] * 3
    found = [read(code, manner, seed=seed) for seed, code in enumerate(codes)]
    assert all(numbers in {(), (code.number,)} for numbers, code in zip(found, codes, strict=True))
    assert sum(map(bool, found)) >= 8, "of 12"


def test_several_barcodes_are_read_and_each_is_named_once() -> None:
    codes = [random_code(kind, np.random.default_rng(5)) for kind in (Kind.EAN_13, Kind.EAN_8)]
    labels = [printed(code)[:400] for code in (codes[0], codes[1], codes[0])]
    width = max(label.shape[1] for label in labels)
    sheet = np.concatenate([np.pad(one, ((90, 90), (0, width - one.shape[1]), (0, 0)), constant_values=255) for one in labels])
    assert read_barcodes(sheet) == tuple(sorted(code.number for code in codes))


@pytest.mark.parametrize("kind", list(Kind))
def test_bars_with_a_wrong_check_digit_are_never_read(kind: Kind) -> None:
    code = random_code(kind, np.random.default_rng(2))
    wrong = [replace(code, digits=f"{code.digits[:-1]}{digit}") for digit in "0123456789" if digit != code.digits[-1]]
    found = {number for one in wrong for number in read_barcodes(printed(one))}
    assert found == set()
    assert read_barcodes(printed(code)) == (code.number,)


def test_a_upc_e_that_is_read_once_is_not_believed() -> None:
    code = random_code(Kind.UPC_E, np.random.default_rng(4))
    label = printed(code)
    once = label.copy()
    once[40:] = 250  # what is left is too low to be turned upright, and gone on the reduced copy
    assert read_barcodes(label) == (code.number,)
    small = cv2.resize(once, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert read_barcodes(small) == ()


@pytest.mark.parametrize("seed", range(4))
def test_a_pack_without_a_barcode_has_none(seed: int) -> None:
    assert read(None, "plain", seed=seed) == ()


@pytest.mark.parametrize("ending", "0123456789")
@pytest.mark.parametrize("system", "01")
def test_every_way_in_which_a_upc_e_leaves_zeros_out_is_undone_as_the_reader_undoes_it(system: str, ending: str) -> None:
    without_check = f"{system}64829{ending}"
    code = Code(Kind.UPC_E, without_check + str(check_digit(upc_a_of_upc_e(f"{without_check}0")[:-1])))
    assert listed_gtins(code.digits) >= {code.number}
    assert read_barcodes(printed(code)) == (code.number,)
