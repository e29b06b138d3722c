"""A configured recogniser reads what the bundled one can't, and takes nothing away."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openvino import opset13 as ops

from packsight.deploy import doctor
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Models, Settings
from packsight.worker.networks.load import load_spotter
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING
from packsight.worker.networks.spotters.ppocr.readings import Reading, best, worth

Pixels = npt.NDArray[np.uint8]

WORD = "Увлажняющая маска"
CERTAINTY = 0.85
LATIN = ["SILK SHAMPOO", "for dry hair"]


def save_speller(file: Path, dictionary: str, word: str) -> None:
    """A recogniser that reads every strip as `word`, each letter with the same probability."""
    symbols = ["", *dictionary, " "]
    scores = np.full((1, len(word), len(symbols)), (1 - CERTAINTY) / (len(symbols) - 1), np.float32)
    scores[0, range(len(word)), [symbols.index(letter) for letter in word]] = CERTAINTY
    pixels = ops.parameter([1, 3, SPOTTING.strips.height, -1], ov.Type.f32, name="x")
    nothing = ops.multiply(ops.reduce_mean(pixels, np.array([0, 1, 2, 3], np.int64)), np.float32(0))
    ov.save_model(ov.Model([ops.add(ops.constant(scores), nothing).output(0)], [pixels]), file, compress_to_fp16=False)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    letters = sorted(set(WORD) - {" "})
    save_speller(folder / "cyrillic.xml", "".join(letters), WORD)
    (folder / "letters.txt").write_text("\n".join(letters) + "\n", "utf-8")
    return Models(
        cache_dir=folder / "cache",
        alphabet="",
        recogniser=str(folder / "cyrillic.xml"),
        recogniser_dictionary=str(folder / "letters.txt"),
    )


def bundled(models: Models) -> Models:
    return models.model_copy(update={"recogniser": "", "recogniser_dictionary": ""})


def label(lines: list[str]) -> Pixels:
    photo = np.full((480, 640, 3), (236, 228, 208), np.uint8)
    for row, text in enumerate(lines):
        cv2.putText(photo, text, (40, 100 + 100 * row), (40, 20, 60), cv2.FontFace("sans"), 48, 400)
    return photo


def test_lines_in_another_script_are_read_and_latin_ones_stay_as_they_were(configured: Models) -> None:
    photo = label([LATIN[0], WORD, LATIN[1]])
    alone = load_spotter(bundled(configured), 1).spot([photo])[0]
    together = load_spotter(configured, 1).spot([photo, label(LATIN)])
    assert [word.text for word in alone] == LATIN, "the bundled recogniser passes over the line between"
    assert [word.text for word in together[0]] == [LATIN[0], WORD, LATIN[1]]
    assert [word for word in together[0] if word.text in LATIN] == alone
    assert together[0][1].confidence == pytest.approx(CERTAINTY, abs=0.01)
    assert [word.text for word in together[1]] == LATIN


def test_the_description_names_the_further_files(configured: Models, tmp_path: Path) -> None:
    plain, further = (load_spotter(models, 1).description for models in (bundled(configured), configured))
    assert set(further.sha256) - set(plain.sha256) == {"further_recogniser", "further_dictionary"}
    assert set(further.shapes) - set(plain.shapes) == {"further_recogniser"}
    assert further.fingerprint() != plain.fingerprint()
    other = tmp_path / "letters.txt"
    other.write_text(Path(configured.recogniser_dictionary).read_text("utf-8").swapcase(), "utf-8")
    swapped = load_spotter(configured.model_copy(update={"recogniser_dictionary": str(other)}), 1).description
    assert swapped.fingerprint() != further.fingerprint(), "the dictionary decides which words come out"


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"recogniser": "missing.onnx"}, "missing.onnx does not exist"),
        ({"recogniser_dictionary": "missing.txt"}, "missing.txt cannot be read"),
        ({"recogniser_dictionary": ""}, "Name the text file .* PACKSIGHT_MODELS__RECOGNISER_DICTIONARY"),
        ({"recogniser_dictionary": __file__}, "Use the dictionary that belongs to the recogniser"),
        ({"recogniser": ""}, "Set both or none"),
        ({"spotter": "some-folder"}, "belongs to the spotter ppocr"),
    ],
)
def test_files_that_are_missing_or_do_not_fit_are_refused(configured: Models, change: dict[str, str], remedy: str) -> None:
    with pytest.raises(UserError, match=remedy) as refusal:
        load_spotter(configured.model_copy(update=change), 1)
    assert "PACKSIGHT_MODELS__RECOGNISER" in str(refusal.value)


def test_a_network_that_is_no_recogniser_is_refused(configured: Models, tmp_path: Path) -> None:
    pixels = ops.parameter([1, 3, 224, 224], ov.Type.f32, name="x")
    pooled = ops.reduce_mean(pixels, np.array([2, 3], np.int64))
    ov.save_model(ov.Model([pooled.output(0)], [pixels]), tmp_path / "classifier.xml")
    with pytest.raises(UserError, match=r"returns .*symbols"):
        load_spotter(configured.model_copy(update={"recogniser": str(tmp_path / "classifier.xml")}), 1)


def test_the_doctor_names_the_further_recogniser_or_what_is_missing(configured: Models) -> None:
    texts = [finding.text for finding in doctor.models(Settings(models=configured))]
    assert configured.recogniser in texts
    wrong = configured.model_copy(update={"recogniser": "missing.onnx"})
    assert "missing.onnx is missing" in [finding.text for finding in doctor.models(Settings(models=wrong))]


# The choice between readings; the bundled network's are as measured on printed lines.


@pytest.mark.parametrize(
    ("first", "other", "aspect"),
    [
        (Reading(" ", 0.93), Reading("Увлажняющая маска", 0.80), 9.6),
        (Reading(" 25 ", 0.977), Reading("Шампунь 250 мл", 0.82), 7.0),
        (Reading("K ", 0.66), Reading("КРЕМ НОЧНОЙ", 0.60), 6.4),
        (Reading("-", 0.95), Reading("тон", 0.93), 2.0),
    ],
)
def test_next_to_nothing_read_with_confidence_does_not_win(first: Reading, other: Reading, aspect: float) -> None:
    assert best([first, other], aspect) is other


@pytest.mark.parametrize(
    ("first", "other", "aspect"),
    [
        (Reading("SILK SHAMPOO", 0.99), Reading("SILК ЅНАМРОО", 0.90), 7.2),
        (Reading("rose", 0.9), Reading("гоѕе", 0.9), 2.5),
        (Reading("24", 0.95), Reading("Z4Z4Z4", 0.9), 1.4),
        (Reading("***", 0.9), Reading("жук", 0.45), 3.0),
        (Reading("", 0.0), Reading("", 0.0), 3.0),
    ],
)
def test_a_line_that_the_bundled_recogniser_read_stays(first: Reading, other: Reading, aspect: float) -> None:
    assert best([first, other], aspect) is first


@given(st.text(max_size=30), st.floats(0, 1), st.floats(0.1, 40))
def test_worth_is_never_more_than_the_confidence(text: str, confidence: float, aspect: float) -> None:
    assert 0 <= worth(Reading(text, confidence), aspect) <= confidence
