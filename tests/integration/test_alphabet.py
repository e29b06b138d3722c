"""The second head: it reads another alphabet, takes nothing from the others, and a file that does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from packsight.deploy import doctor
from packsight.shared import launch
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Models, Settings
from packsight.worker import commands
from packsight.worker.networks.heads import head_file
from packsight.worker.networks.load import load_spotter
from packsight.worker.networks.spotters import ppocr
from packsight.worker.networks.spotters.ppocr import head as heads
from packsight.worker.networks.spotters.ppocr.choice import Script, Weights, believed
from packsight.worker.networks.spotters.ppocr.readings import Reading
from packsight.worker.networks.spotters.ppocr.spotter import PpOcrSpotter

RECOGNISER = ppocr.carried()[ppocr.RECOGNISER].sha256
BUNDLED = head_file("cyrillic")
RUSSIAN = ["УВЛАЖНЯЮЩИЙ КРЕМ", "для сухой кожи", "Объём 250 мл", "Шампунь «Ромашка»"]
LATIN = ["SILK SHAMPOO", "for dry hair"]
TWINS = (("А", "A"), ("а", "a"), ("т", "m"), ("п", "n"), ("о", "o"), ("с", "c"), ("Т", "T"))
SCRIPT = Script(frozenset("абвгдежзиклмнопрстухАВСТ"), TWINS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def label(lines: list[str]) -> npt.NDArray[np.uint8]:
    # OpenCV's own face is none of those that the head was trained on.
    photo = np.full((120 + 100 * len(lines), 900, 3), (236, 228, 208), np.uint8)
    for row, text in enumerate(lines):
        cv2.putText(photo, text, (40, 100 + 100 * row), (40, 20, 60), cv2.FontFace("sans"), 48, 400)
    return photo


def texts(models: Models, lines: list[str]) -> list[str]:
    return [word.text for word in load_spotter(models, 1).spot([label(lines)])[0]]


def test_russian_lines_are_read_and_latin_ones_stay_as_they_were(cache: Path) -> None:
    without = Models(cache_dir=cache, alphabet="")
    assert [text.casefold() for text in texts(Models(cache_dir=cache), RUSSIAN)] == [line.casefold() for line in RUSSIAN]
    assert texts(Models(cache_dir=cache), LATIN) == texts(without, LATIN) == LATIN
    assert not set("".join(texts(without, RUSSIAN))) & set("шщжюяШЩЖЮЯ"), "the bundled head alone knows none of these letters"


def test_the_fingerprint_names_the_head(cache: Path, tmp_path: Path) -> None:
    plain, extended = (load_spotter(Models(cache_dir=cache, alphabet=name), 1).description for name in ("", "cyrillic"))
    assert set(extended.sha256) - set(plain.sha256) == {"head"}
    assert plain.fingerprint() != extended.fingerprint()
    assert set(extended.scripts) - set(plain.scripts) == {"CYRILLIC"}
    assert {"LATIN", "GREEK", "CJK", "HIRAGANA", "KATAKANA"} <= set(plain.scripts)
    assert "scripts" not in plain.model_dump_json()
    copy = tmp_path / "copy.npz"
    copy.write_bytes(BUNDLED.read_bytes())
    assert load_spotter(Models(cache_dir=cache, alphabet=str(copy)), 1).description.fingerprint() == extended.fingerprint()


def test_the_head_that_comes_along_is_small_and_names_its_letters() -> None:
    head = heads.load(BUNDLED, RECOGNISER)
    assert BUNDLED.stat().st_size <= 4 << 20
    assert set("ёЁйЙїЇєґўЎђјљњћџәғқңөұүһ№₽«»%") <= set(head.about.characters)


def damaged(change: Callable[[dict[str, Any], dict[str, Any]], None], file: Path) -> Path:
    with np.load(BUNDLED) as archive:
        arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    about = json.loads(arrays.pop("about").tobytes())
    change(about, arrays)
    np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    return file


def even(about: dict[str, Any], arrays: dict[str, Any]) -> None:
    arrays["block_0"] = arrays["block_0"][..., :-1]


def no_number(about: dict[str, Any], arrays: dict[str, Any]) -> None:
    arrays["bias"] = np.full_like(arrays["bias"], np.nan)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda about, arrays: about.update(recogniser="0" * 64), "trained on another recogniser", id="recogniser"),
        pytest.param(lambda about, arrays: about.update(characters=about["characters"][1:]), "wanted are", id="alphabet"),
        pytest.param(lambda about, arrays: about.update(blocks=2), "wanted are", id="blocks"),
        pytest.param(lambda about, arrays: about.pop("weights"), "weights", id="weights"),
        pytest.param(lambda about, arrays: arrays.pop("symbols"), "wanted are", id="array"),
        pytest.param(no_number, "finite", id="not a number"),
        pytest.param(lambda about, arrays: arrays.update(bias=np.float16(0)), "cannot be read", id="no array"),
        pytest.param(even, "odd number", id="a block without a middle"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], said: str
) -> None:
    file = damaged(change, tmp_path / "head.npz")
    with pytest.raises(UserError, match=said) as refusal:
        heads.load(file, RECOGNISER)
    assert str(file) in str(refusal.value)
    assert "make train-alphabet" in str(refusal.value)


@pytest.mark.parametrize("length", [0, 1000, 500_000])
def test_a_truncated_head_is_refused_when_the_worker_starts(cache: Path, tmp_path: Path, length: int) -> None:
    file = tmp_path / "head.npz"
    file.write_bytes(BUNDLED.read_bytes()[:length])
    with pytest.raises(UserError, match="cannot be read"):
        load_spotter(Models(cache_dir=cache, alphabet=str(file)), 1)


@pytest.mark.parametrize("place", [60, 200, 100_000])
def test_a_head_with_flipped_bytes_is_refused(tmp_path: Path, place: int) -> None:
    data = bytearray(BUNDLED.read_bytes())
    data[place : place + 4] = bytes(255 - one for one in data[place : place + 4])
    (tmp_path / "head.npz").write_bytes(data)
    with pytest.raises(UserError, match="cannot be read"):
        heads.load(tmp_path / "head.npz", RECOGNISER)


def test_what_is_no_archive_is_no_head(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "head.npz").write_bytes((tmp_path / "array.npy").read_bytes())
    with pytest.raises(UserError, match="cannot be read"):
        heads.load(tmp_path / "head.npz", RECOGNISER)


def test_a_worker_with_a_damaged_head_does_not_start_and_doctor_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "head.npz"
    file.write_bytes(BUNDLED.read_bytes()[:1000])
    chosen = Settings(_env_file=None, models=Models(alphabet=str(file)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "settings", lambda: chosen)
    monkeypatch.setattr(launch, "become", lambda *_, **__: pytest.fail("it starts"))
    with pytest.raises(UserError, match="cannot be read"):
        commands.worker("recognizer@here", describe_only=False)
    wrong = [finding for finding in doctor.models(chosen) if finding.subject == "alphabet"]
    assert "cannot be read" in wrong[0].text


def test_a_head_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "head.npz"
    file.write_bytes(bytes(5 << 20))
    with pytest.raises(UserError, match="5 MB; 4 are allowed"):
        heads.load(file, RECOGNISER)


def test_the_doctor_names_the_alphabet_or_what_is_missing() -> None:
    assert "cyrillic" in [finding.text for finding in doctor.models(Settings()) if finding.subject == "alphabet"]
    wrong = [finding for finding in doctor.models(Settings(models=Models(alphabet="klingon"))) if finding.subject == "alphabet"]
    assert [finding.level for finding in wrong] == [doctor.Level.WRONG]
    assert "klingon" in wrong[0].text


@pytest.mark.parametrize(
    ("read", "written"),
    [
        ("nаcта", "паста"),
        ("Tom", "Tom"),
        ("тom", "mom"),
        ("ваза nасmа", "ваза паста"),
        ("Wоw", "Wow"),
        ("жW", "жW"),
        ("250 mл", "250 mл"),
    ],
)
def test_a_word_is_written_in_one_script_where_its_shapes_allow_it(read: str, written: str) -> None:
    assert SCRIPT.in_one_script(read) == written


def test_the_reading_with_more_evidence_is_believed() -> None:
    weights = heads.load(BUNDLED, RECOGNISER).about.weights
    script = heads.load(BUNDLED, RECOGNISER).script
    silent, russian = Reading(" ", 0.9), Reading("Увлажняющая маска", 0.93)
    assert believed(silent, russian, 8.0, script, weights) is not silent
    latin, other = Reading("SILK SHAMPOO", 0.6), Reading("SILK SHАMPO0", 0.99)
    assert believed(latin, other, 6.0, script, weights) == latin, "nothing in it but Latin letters and their twins"
    chinese, unknown = Reading("洗发水", 0.97), Reading("\N{REPLACEMENT CHARACTER}" * 3, 0.9)
    assert believed(chinese, unknown, 3.0, script, weights) == chinese
    everything = Weights(bias=9, evidence=(0,) * 8, least=0)
    assert believed(Reading("ml", 0.9), Reading("мл", 0.9), 2.0, script, everything).second
    assert believed(Reading("30 ml e", 0.92), Reading("30 ml Є", 0.93), 3.0, script, everything).text == "30 ml e"
    assert believed(Reading("90 r", 0.8), Reading("90 г", 0.9), 2.0, script, everything).text == "90 г"
    assert believed(latin, Reading("", 0.0), 6.0, script, everything) == latin, "silence says nothing"


class Told:
    """A recogniser that says of each strip what its first pixel numbers."""

    def __init__(self, readings: list[Reading]) -> None:
        self.readings = readings

    def read(self, strips: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Reading]:
        return (self.readings[int(strip[0, 0, 0])] for strip in strips)

    def warm_up(self) -> None:
        """Nothing to build."""


SURELY = Reading("ТРОПИЧЕСКИЙ", 0.97, second=True)


@pytest.mark.parametrize(("first", "told"), [(SURELY, "ФРУКТОВАЯ"), (Reading("TROPICAL", 0.97), "OPVKTOBAA")])
def test_a_doubted_line_is_believed_beside_a_sure_one_of_its_alphabet(first: Reading, told: str) -> None:
    doubted = Reading("OPVKTOBAA", 0.9, unsure=Reading("ФРУКТОВАЯ", 0.82, second=True))
    description = load_spotter(Models(alphabet=""), 1).description
    spotter = PpOcrSpotter(description, None, Told([first, doubted]))  # type: ignore[arg-type]
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[50:] = 1
    boxes = np.array([[[0, y], [200, y], [200, y + 40], [0, y + 40]] for y in (5, 55)], np.float32)
    [both] = spotter.read_at([photo], [boxes])
    assert [word.text for word in both] == [first.text, told]
    [alone, other] = spotter.read_at([photo, photo], [boxes[1:], boxes[:1]])
    assert [word.text for word in alone + other] == ["OPVKTOBAA", first.text], "another photo is no company"


@pytest.mark.parametrize(("confidence", "doubted"), [(0.7, False), (0.82, True), (0.9, False)])
def test_a_line_is_doubted_between_what_is_asked_of_it_alone_and_in_company(confidence: float, doubted: bool) -> None:
    head = heads.load(BUNDLED, RECOGNISER)
    reading = believed(Reading("OPVKTOBAA", 0.66), Reading("ФРУКТОВАЯ", confidence), 5.0, head.script, head.about.weights)
    assert (reading.unsure is not None) == doubted
    assert reading.second == (confidence >= head.about.weights.least)
