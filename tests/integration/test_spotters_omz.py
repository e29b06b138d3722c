"""The Open Model Zoo spotter runs detector, encoder and decoder together, on tiny networks with the same inputs and outputs."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Models, Precision
from packsight.worker.networks.base import Spotter
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.load import load_spotter
from packsight.worker.networks.spotters.omz import OMZ, OmzSpotter

OLD = string.digits + string.ascii_lowercase
NEW = string.ascii_lowercase + string.digits
STEPS = 32
"""Length of the tables from which the tiny decoder spells: features [8, 2, 2]."""


def features(word: str, alphabet: str) -> np.ndarray:
    """The symbols of a word with its end, laid out so that the spotter's reshaping brings them back into order."""
    table = np.ones(STEPS, np.float32)
    table[: len(word)] = [alphabet.index(letter) + 2 for letter in word]
    return table.reshape(4, 8).T.reshape(8, 2, 2)


def save_detector(file: Path, words: Sequence[str], alphabet: str, *, old: bool) -> None:
    """Finds each word in one quarter of the photo; the last is scored by red, the others by blue."""
    image = ops.parameter([1, 3, 64, 96], ov.Type.f32, name="im_data" if old else "image")
    brightest = ops.reduce_max(image, np.array([0, 2, 3], np.int64))
    channels = np.array([0] * (len(words) - 1) + [2], np.int64)
    scores = ops.divide(ops.gather(brightest, channels, np.int64(0)), np.float32(255))
    parameters = [image]
    quarters = np.array([[i % 2, i // 2, i % 2 + 1, i // 2 + 1] for i in range(len(words))], np.float32) / 2
    if old:
        info = ops.parameter([1, 3], ov.Type.f32, name="im_info")
        parameters.append(info)
        size = ops.gather(info, np.array([1, 0, 1, 0], np.int64), np.int64(1))
    else:
        size = ops.constant(np.array([[96, 64, 96, 64]], np.float32))
    found = ops.multiply(ops.constant(quarters), size)
    if not old:
        found = ops.concat([found, ops.unsqueeze(scores, np.array([1], np.int64))], 1)
    blank = ops.multiply(ops.reduce_max(brightest, np.array([0], np.int64)), np.float32(0))
    text = ops.add(ops.constant(np.stack([features(word, alphabet) for word in words])), blank)
    named = {"boxes": found, ("text_features" if old else "text_features.0"): text}
    if old:
        named["scores"] = scores
    outputs = []
    for name, node in named.items():
        node.output(0).set_names({name})
        outputs.append(node.output(0))
    ov.save_model(ov.Model(outputs, parameters), file, compress_to_fp16=False)


def save_encoder(file: Path) -> None:
    taken = ops.parameter([1, 8, 2, 2], ov.Type.f32, name="input")
    given = ops.multiply(taken, np.float32(2))
    given.output(0).set_names({"output"})
    ov.save_model(ov.Model([given.output(0)], [taken]), file, compress_to_fp16=False)


def save_decoder(file: Path, *, symbol_shape: list[int]) -> None:
    """Spells the table in the encoder's output, one symbol a step; loses its thread when fed with a wrong last symbol."""
    previous = ops.parameter(symbol_shape, ov.Type.f32, name="prev_symbol")
    hidden = ops.parameter([1, 1, 4], ov.Type.f32, name="prev_hidden")
    encoded = ops.parameter([1, 4, 8], ov.Type.f32, name="encoder_outputs")
    table = ops.divide(ops.reshape(encoded, np.array([STEPS], np.int64), False), np.float32(2))
    first = ops.gather(ops.reshape(hidden, np.array([4], np.int64), False), np.array([0], np.int64), np.int64(0))
    step = ops.convert(first, "i64")
    expected = ops.gather(ops.concat([ops.constant(np.array([0], np.float32)), table], 0), step, np.int64(0))
    symbol = ops.gather(table, step, np.int64(0))
    fed = ops.reshape(previous, np.array([1], np.int64), False)
    symbol = ops.select(ops.less(ops.abs(ops.subtract(fed, expected)), np.float32(0.5)), symbol, np.array([1], np.float32))
    distance = ops.abs(ops.subtract(ops.constant(np.arange(38, dtype=np.float32)[np.newaxis]), symbol))
    scores = ops.multiply(distance, np.float32(-9))
    after = ops.add(hidden, np.float32(1))
    scores.output(0).set_names({"output"})
    after.output(0).set_names({"hidden"})
    model = ov.Model([scores.output(0), after.output(0)], [previous, hidden, encoded])
    ov.save_model(model, file, compress_to_fp16=False)


WORDS = ("rose50", "x", string.ascii_lowercase + "0123", "unseen")


def save(folder: Path, *, old: bool, release: str, words: Sequence[str] = WORDS) -> Models:
    name = f"text-spotting-{release}"
    save_detector(folder / f"{name}-detector.xml", words, OLD if old else NEW, old=old)
    save_encoder(folder / f"{name}-recognizer-encoder.xml")
    save_decoder(folder / f"{name}-recognizer-decoder.xml", symbol_shape=[1] if old else [1, 1])
    return Models(spotter=str(folder), precision=Precision.F32, cache_dir=folder / "cache")


def load(folder: Path, *, old: bool, release: str, words: Sequence[str] = WORDS) -> Spotter:
    return load_spotter(save(folder, old=old, release=release, words=words), 1)


@pytest.mark.parametrize(("old", "release"), [(True, "0002"), (False, "0005")])
def test_words_are_spelled_from_the_detected_features(tmp_path: Path, old: bool, release: str) -> None:
    spotter = load(tmp_path, old=old, release=release)
    blue = np.full((128, 192, 3), (40, 20, 255), np.uint8)
    (words,) = spotter.spot([blue])
    # "x" is too short, the third word runs into the limit of steps, red is too dark for the fourth.
    assert [word.text for word in words] == ["rose50", (string.ascii_lowercase + "0123")[:28]]
    assert words[0].box == [(0, 0), (96, 0), (96, 64), (0, 64)]
    assert words[1].box == [(0, 64), (96, 64), (96, 128), (0, 128)]
    assert all(word.confidence > 0.99 for word in words)
    assert spotter.description.name == f"text-spotting-{release}"
    assert set(spotter.description.sha256) == {"detector", "encoder", "decoder"}


def test_boxes_are_given_in_pixels_of_a_photo_of_another_shape(tmp_path: Path) -> None:
    spotter = load(tmp_path, old=True, release="0002")
    (words,) = spotter.spot([np.full((640, 320, 3), (40, 20, 255), np.uint8)])
    assert words[0].box == [(0, 0), (160, 0), (160, 320), (0, 320)]


def test_a_dark_photo_has_no_words_and_an_empty_batch_no_photos(tmp_path: Path) -> None:
    spotter = load(tmp_path, old=True, release="0002")
    assert spotter.spot([np.zeros((64, 96, 3), np.uint8)]) == [[]]
    assert spotter.spot([]) == []
    assert spotter.read_at([np.zeros((64, 96, 3), np.uint8)], [np.zeros((1, 4, 2), np.float32)]) == [[]]
    spotter.warm_up()


def test_the_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    first = load(tmp_path, old=True, release="0002").description.fingerprint()
    again = load(tmp_path, old=True, release="0002", words=["rose51", "unseen"])
    assert again.description.fingerprint() != first


def test_every_number_decides_and_enters_the_name_but_those_in_force_when_they_began_to(tmp_path: Path) -> None:
    compiler = Compiler(save(tmp_path, old=True, release="0002", words=("rose50", "x", "lily")), 1)
    blue = [np.full((64, 96, 3), (40, 20, 255), np.uint8)]
    first = OmzSpotter(tmp_path, compiler)
    names = {first.description.fingerprint()}
    for change, read in (
        (replace(OMZ, min_score=0.1), ["rose50", "lily"]),
        (replace(OMZ, min_letters=1), ["rose50", "x"]),
        (replace(OMZ, max_symbols=4), ["rose"]),
    ):
        spotter = OmzSpotter(tmp_path, compiler, change)
        assert [word.text for word in spotter.spot(blue)[0]] == read
        names.add(spotter.description.fingerprint())
    assert first.description.parameters is None
    assert len(names) == 4


def test_a_folder_without_a_decoder_is_refused(tmp_path: Path) -> None:
    save_detector(tmp_path / "detector.xml", WORDS, OLD, old=True)
    save_encoder(tmp_path / "encoder.xml")
    with pytest.raises(UserError, match=r"\*decoder\*\.xml"):
        load_spotter(Models(spotter=str(tmp_path), cache_dir=tmp_path / "cache"), 1)


def test_networks_of_another_kind_are_refused(tmp_path: Path) -> None:
    for role in ("detector", "encoder", "decoder"):
        save_encoder(tmp_path / f"{role}.xml")
    with pytest.raises(UserError, match="boxes"):
        load_spotter(Models(spotter=str(tmp_path), cache_dir=tmp_path / "cache"), 1)
