"""What a version keeps of a photo's key points and thumbnail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from packsight.indexer.build import epoch
from packsight.indexer.build.epoch import rules_of
from packsight.indexer.build.kept import Decoded, colours_only, encode, kept_points, point_bytes, room
from packsight.indexer.build.parameters import FIT
from packsight.shared.catalog.descriptor_codes import CODE_BYTES, CODEBOOK, decode
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.errors import CatalogError
from packsight.shared.matching import fingerprint
from packsight.shared.matching.colours import Pixels, lab
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.matching.geometry import verify
from packsight.shared.parameters import DETAILS, MATCHING
from packsight.shared.vision.features import ByteArray, LocalFeatures
from packsight.worker.pipeline.local_features import catalog_features, query_features, thumbnail
from tests.packs import pack, shoot
from tests.unit.matching_catalog import build, photo, product


@pytest.fixture(scope="module")
def descriptors() -> ByteArray:
    return catalog_features(shoot(pack(1), 1)).descriptors


def test_a_code_stands_for_the_nearest_descriptor_that_has_one(descriptors: ByteArray) -> None:
    parts = descriptors.astype(int).reshape(len(descriptors), CODE_BYTES, 1, 4)
    nearest = ((parts - CODEBOOK.astype(int)) ** 2).sum(axis=3).min(axis=2).sum(axis=1)
    coded = decode(encode(descriptors))
    assert coded.shape == descriptors.shape and coded.dtype == np.uint8
    assert np.array_equal(((coded.astype(int) - descriptors) ** 2).sum(axis=1), nearest)
    assert np.array_equal(decode(encode(coded)), coded)


def test_of_equally_near_ones_the_first_is_taken_on_whatever_processor(descriptors: ByteArray) -> None:
    parts = descriptors.astype(int).reshape(len(descriptors), CODE_BYTES, 1, 4)
    far = ((parts - CODEBOOK.astype(int)) ** 2).sum(axis=3)
    assert ((far == far.min(axis=2, keepdims=True)).sum(axis=2) > 1).any(), "some are equally near"
    assert np.array_equal(encode(descriptors), far.argmin(axis=2))


def test_what_a_code_stands_for_is_near(descriptors: ByteArray) -> None:
    apart = np.linalg.norm(decode(encode(descriptors)).astype(float) - descriptors, axis=1)
    assert np.sqrt((apart**2).mean()) < 0.15 * DETAILS.scale


def test_codes_lie_over_a_photo_as_whole_descriptors_do() -> None:
    asked, shown = query_features(shoot(pack(1), 1)), catalog_features(shoot(pack(1), 2))
    coded = LocalFeatures(shown.points, decode(encode(shown.descriptors)))
    exact, found = (verify(asked, one, MATCHING.geometry).inliers for one in (shown, coded))
    assert exact > 30 and found > 0.8 * exact


def test_descriptors_are_made_where_they_are_asked_for(descriptors: ByteArray) -> None:
    codes = encode(descriptors)
    made = Decoded(codes)
    assert made.shape == descriptors.shape
    assert np.array_equal(made[2:7], decode(codes)[2:7])
    assert np.array_equal(made[np.array([0, 5, 9])], decode(codes)[[0, 5, 9]])


def test_no_key_points_have_no_codes() -> None:
    assert encode(np.zeros((0, 128), np.uint8)).shape == (0, CODE_BYTES)
    assert decode(np.zeros((0, CODE_BYTES), np.uint8)).shape == (0, 128)


def test_a_thumbnail_becomes_the_square_in_which_colours_are_compared() -> None:
    whole = thumbnail(shoot(pack(1, (200, 40, 40)), 1))
    small = colours_only(whole, FIT.thumbnail_quality)
    side = MATCHING.colours.side
    image = cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and image.shape == (side, side, 3)
    assert len(small) < len(whole) / 2
    apart = np.linalg.norm(_lab(whole) - _lab(small), axis=2)
    assert apart.mean() < 2, "ΔE that no eye sees"


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_a_thumbnail_that_cannot_be_read_is_kept_as_it_is(data: bytes) -> None:
    assert colours_only(data, FIT.thumbnail_quality) == data


def test_as_many_key_points_are_kept_up_to_133_000_photos_and_some_of_ever_so_many() -> None:
    assert point_bytes() == 32 + 4 + 16 + 8
    assert room(1) == room(133_000) == FIT.points > room(134_000)
    assert (room(1_000_000), room(10**9)) == (40, FIT.min_points)
    local = catalog_features(shoot(pack(1), 1))
    one, some, many = (len(kept_points(local, photos).points) for photos in (1, 130_000, 1_000_000))
    assert len(local.points) > one == some > many == 40


def test_a_version_has_the_codes_of_its_photos_key_points_and_their_colours(tmp_path: Path) -> None:
    one = photo("one", ["GRAVELLE"], 1, local=catalog_features(shoot(pack(1), 1)))
    snapshot = build(tmp_path, [product(0, "Gravelle", "Serum")], {"p0": [one]})
    kept = snapshot.local.features(0)
    assert np.array_equal(kept.descriptors, decode(encode(kept_points(one.local, 1).descriptors)))
    assert np.array_equal(snapshot.local.points_of(0), kept.points)
    assert snapshot.local.thumbnail(0) == colours_only(one.thumbnail, FIT.thumbnail_quality)


def test_a_version_whose_key_points_are_no_codes_is_damaged(tmp_path: Path) -> None:
    snapshot = build(tmp_path, [product(0, "Gravelle", "Serum")], {"p0": [photo("one", ["GRAVELLE"], 1)]})
    [file] = tmp_path.glob("*descriptors.npy")
    codes = snapshot.local.codes[0].values
    for wrong in (decode(codes), codes.astype(np.int16)):
        np.save(file, wrong)
        with pytest.raises(CatalogError, match="not codes of 32 bytes"):
            Snapshot.open(tmp_path)


def test_what_decides_how_rows_look_names_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe("embedder", "spotter")
    names = {rules_of(made, FIT)}
    names.add(rules_of(made, replace(FIT, thumbnail_quality=84)))
    names.add(rules_of(made, replace(FIT, local_bytes=FIT.local_bytes + 1)))
    names.add(rules_of(made, replace(FIT, points=299)))
    spread, colours = replace(MATCHING.spread, alike=0.8), replace(MATCHING.colours, side=32)
    for name, other in (
        ("CODEBOOK_NAME", "another"),
        ("MATCHING", replace(MATCHING, spread=spread)),
        ("MATCHING", replace(MATCHING, colours=colours)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(epoch, name, other)
            names.add(rules_of(made, FIT))
    assert len(names) == 7


def test_another_codebook_is_another_matching(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint.matching_fingerprint()
    monkeypatch.setattr(fingerprint, "CODEBOOK_NAME", "another")
    assert fingerprint.matching_fingerprint() != before


def _lab(jpeg: bytes) -> Pixels:
    pixels = lab(jpeg, MATCHING.colours)
    assert pixels is not None
    return pixels
