"""Training a head: what is drawn, what the backbone gives, and that the file reads as the trained network does.

torch, and what needs it, is imported by the tests that do: every process of a run collects these names.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from packsight.worker.networks.heads import HEADS
from packsight.worker.networks.spotters import ppocr
from packsight.worker.networks.spotters.ppocr import choice
from packsight.worker.networks.spotters.ppocr import head as heads
from packsight.worker.networks.spotters.ppocr.choice import Script, Weights, believed
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING
from packsight.worker.networks.spotters.ppocr.readings import Reading
from training.alphabet import faces
from training.alphabet.alphabets import CYRILLIC, UNKNOWN, WESTERN, Alphabet
from training.alphabet.choosing import Asked, fit
from training.alphabet.dictionaries import read
from training.alphabet.lines import HEIGHT, Drawer, Finish
from training.alphabet.texts import Words

RECOGNISER = ppocr.carried()[ppocr.RECOGNISER].path
DEJAVU = Path("/usr/share/fonts/truetype/dejavu")
TINY = "мыло\nкрем\nгель\nмаска\nшампунь\nбальзам\n"

needs_fonts = pytest.mark.skipif(not DEJAVU.is_dir(), reason="needs Debian's fonts-dejavu-core")


@pytest.fixture
def words(tmp_path: Path) -> Words:
    (tmp_path / "words.txt").write_text(TINY * 3, "utf-8")
    for name in ("en_US.dic", "de_DE.dic", "fr.dic"):
        (tmp_path / name).write_text("3\nsoap/S\nCream\nhair\n", "utf-8")
    return Words.of(Alphabet.of_words("tiny", tmp_path / "words.txt"), tmp_path)


def test_a_word_list_names_its_letters_in_both_cases_without_latin_ones_and_slips(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("мир\nмир\nмир\nX-мирX\nђ\n", "utf-8")
    assert set(Alphabet.of_words("small", file).letters) == set("мирМИР")
    file.write_text("soap\nsoap\nsoap\n", "utf-8")
    with pytest.raises(ValueError, match="another alphabet"):
        Alphabet.of_words("latin", file)


def test_a_dictionary_gives_words_with_the_endings_of_their_classes(tmp_path: Path) -> None:
    (tmp_path / "ru.dic").write_text("2\nмаска/I\nпарк/B\n", "utf-8")
    (tmp_path / "ru.aff").write_text("SET UTF-8\nSFX I Y 2\nSFX I а у [^ц]а\nSFX I а ой .\nSFX B Y 1\nSFX B 0 ами к\n", "utf-8")
    dictionary, rng = read(tmp_path / "ru.dic", frozenset(CYRILLIC.letters)), random.Random(1)
    assert {dictionary.word(rng) for _ in range(200)} == {"маска", "маску", "маской", "парк", "парками"}
    with pytest.raises(ValueError, match="no word"):
        read(tmp_path / "ru.dic", frozenset("abc"))


def test_symbols_and_texts_turn_into_each_other() -> None:
    from training.alphabet.batches import Symbols

    symbols = Symbols(CYRILLIC)
    text = "Крем «Ёж» №5, 50 мл"
    path = [number for one in symbols.encode(text) for number in (one, one, 0)]
    assert symbols.decode(path) == text
    assert symbols.decode(symbols.encode("水")) == UNKNOWN
    assert symbols.decode([3, 3, 0, 3]) == symbols.characters[2] * 2, "a blank parts equal letters"


@needs_fonts
def test_equal_seeds_draw_equal_lines_and_a_face_writes_what_it_can(words: Words) -> None:
    fonts = faces.find([DEJAVU])
    assert fonts
    assert all(face.writes("Жж") for face in fonts)
    for finish in Finish:
        one, other = (Drawer(words, fonts, 3, finish) for _ in range(2))
        for _ in range(20):
            first, second = one.line(), other.line()
            assert first.text == second.text
            assert (first.pixels == second.pixels).all()
            assert first.pixels.shape[0] == HEIGHT
            assert 16 <= first.pixels.shape[1] <= 800
            assert first.pixels.std() > 2, "something stands on it"


def test_families_that_are_held_out_are_known_by_their_names() -> None:
    def named(family: str) -> faces.Face:
        return faces.Face(Path("x.ttf"), family, frozenset("a"), capitals=False, weight=1.0)

    assert all(faces.held_out(named(family)) for family in ("PT Sans Narrow", "Inter Display"))
    assert not any(faces.held_out(named(family)) for family in ("PT Mono", "Roboto"))


def test_the_backbone_in_torch_gives_what_openvino_gives() -> None:
    import torch

    from training.alphabet.backbone import CONTEXT, FINE, Graph

    pixels = np.random.default_rng(1).normal(size=(1, 3, HEIGHT, 96)).astype(np.float32)
    core = ov.Core()
    model = core.read_model(RECOGNISER)
    tensors = {name: output for node in model.get_ops() for output in node.outputs() for name in output.names}
    cut = ov.Model([tensors[FINE], tensors[CONTEXT]], model.get_parameters())
    wanted = core.compile_model(cut, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)
    for number, found in enumerate(Graph(RECOGNISER, (FINE, CONTEXT))(torch.from_numpy(pixels))):
        assert np.abs(found.numpy() - wanted[number]).max() < 1e-3


def test_what_the_training_names_again_is_what_the_worker_has() -> None:
    from training.alphabet.backbone import CONTEXT, FINE
    from training.alphabet.batches import GREY, WIDTHS

    assert (FINE, CONTEXT) == (heads.FINE, heads.CONTEXT)
    assert (SPOTTING.strips.height, SPOTTING.strips.widths, SPOTTING.strips.padding) == (HEIGHT, WIDTHS, GREY)
    assert UNKNOWN == choice.UNKNOWN


def test_a_graph_without_the_tensors_is_refused() -> None:
    from training.alphabet.backbone import Graph

    with pytest.raises(ValueError, match="has no tensors nowhere"):
        Graph(RECOGNISER, ("nowhere",))


def test_the_file_reads_as_the_trained_network(tmp_path: Path) -> None:
    import torch

    from training.alphabet.backbone import CONTEXT, FINE, Graph
    from training.alphabet.batches import Symbols
    from training.alphabet.export import folded
    from training.alphabet.network import Head

    torch.manual_seed(1)
    head = Head(len(Symbols(CYRILLIC)))
    for module in head.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
    head.eval()
    about = heads.HeadFile(
        name="cyrillic",
        recogniser=ppocr.carried()[ppocr.RECOGNISER].sha256,
        characters=CYRILLIC.characters,
        letters=CYRILLIC.letters,
        twins=CYRILLIC.twins,
        blocks=len(head.blocks),
        weights=Weights(bias=0, evidence=(0,) * 8, least=1),
    )
    heads.save(tmp_path / "head.npz", about, folded(head))
    loaded = heads.load(tmp_path / "head.npz", about.recogniser)
    core = ov.Core()
    model = core.read_model(RECOGNISER)
    logits = ov.Model([ops.softmax(heads.extend(model, loaded), 2).output(0)], model.get_parameters())
    pixels = np.random.default_rng(1).normal(size=(1, 3, HEIGHT, 128)).astype(np.float32)
    found = core.compile_model(logits, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)[0]
    with torch.no_grad():
        wanted = head(*Graph(RECOGNISER, (FINE, CONTEXT))(torch.from_numpy(pixels))).softmax(2).numpy()
    assert found.shape == wanted.shape == (1, 32, len(CYRILLIC.characters) + 1)
    assert np.abs(found - wanted).max() < 2e-3


@needs_fonts
def test_training_lowers_the_loss_and_keeps_what_it_learnt(words: Words, tmp_path: Path) -> None:
    import torch

    from training.alphabet.batches import FreshLines, Symbols
    from training.alphabet.network import Head
    from training.alphabet.train import Plan, train

    fonts, symbols, said = faces.find([DEJAVU])[:4], Symbols(words.alphabet), list[str]()
    judged = [Drawer(words, fonts, 9, Finish.CLEAN).line() for _ in range(2)]
    fresh = FreshLines(words, fonts, symbols, 1, batch_pixels=1600)
    plan = Plan(lines=200, rate=5e-3, processes=0, report=50)
    train(RECOGNISER, fresh, judged, symbols, plan, tmp_path / "head.pt", said.append)
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in said]
    assert len(losses) >= 3
    assert losses[-1] < 0.5 * losses[0]
    Head(len(symbols)).load_state_dict(torch.load(tmp_path / "head.pt", weights_only=True))


@needs_fonts
def test_the_head_that_comes_along_is_judged_by_finish_and_by_what_stands_there(tmp_path: Path) -> None:
    from training.alphabet.finish import judge

    for name in (*CYRILLIC.languages, *WESTERN):
        (tmp_path / name).write_text("4\n" + ("soap\nCream\n" if name in WESTERN else "мыло\nкрем\nмаска\n"), "utf-8")
    fonts = [face for face in faces.find([DEJAVU]) if "Sans" in face.family and "Mono" not in face.family]
    found = judge(HEADS / "cyrillic.npz", RECOGNISER, Words.of(CYRILLIC, tmp_path), fonts, fonts, 60, 12)
    by_kind = {figure.kind: figure for figure in found}
    assert [kind for kind in by_kind if kind.startswith("words")] == [f"words, {finish}, the head alone" for finish in Finish]
    assert by_kind["words, clean, the head alone"].together < 0.1
    own = by_kind["own, look-alikes aside"]
    assert own.bundled is not None
    assert own.together < 0.3 < own.bundled, "the bundled head knows no Cyrillic"
    assert "greek, look-alikes aside" in by_kind
    assert "chinese, look-alikes aside" not in by_kind, "no font that was given writes it"


def test_the_choice_learns_which_head_to_believe() -> None:
    script = Script(frozenset(CYRILLIC.letters), CYRILLIC.twins)
    lines = []
    for sure in (0.86, 0.9, 0.93, 0.95):
        lines.append(Asked("own", "Увлажняющая маска", Reading(" ", 0.9), Reading("Увлажняющая маска", sure), 8.0))
        lines.append(Asked("latin", "LIQUID SOAP", Reading("LIQUID SOAP", sure), Reading("ГЯQUIФ", 0.5), 5.0))
    weights = fit(lines, script)
    for line in lines:
        better = line.other if line.kind == "own" else line.bundled
        assert believed(line.bundled, line.other, line.aspect, script, weights).text == better.text


def test_a_score_counts_edits_with_and_without_case() -> None:
    from training.alphabet.judge import score

    found = score(["Крем", "мыло", "гел"], ["крем", "мыло", "гель"])
    assert (found.lines, found.characters_wrong, found.characters_wrong_without_case) == (3, 2 / 12, 1 / 12)
    assert found.whole == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (["judge", "--head", "no.npz"], "no.npz does not exist"),
        (["finish", "--state", "no.pt"], "no.pt does not exist"),
        (["train", "--words", "no"], ".dic: No such file or directory. Install what docs/models.md names"),
        (["train", "--list", "no.txt"], "no.txt: No such file or directory"),
        (["train", "--list", "english.txt"], "is written in Latin letters"),
    ],
)
def test_a_file_that_is_not_there_or_no_use_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], cause: str
) -> None:
    from training.alphabet import __main__ as program

    (tmp_path / "english.txt").write_text("soap\n" * 200)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["alphabet", *options])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2 and cause in capsys.readouterr().err
