"""The PP-OCR spotter finds lines, straightens them and reads them, alone or in company."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import openvino as ov
import pyclipper
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openvino import opset13 as ops
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.settings import Models, Precision
from packsight.worker.networks.base import Spotter
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.load import load_spotter
from packsight.worker.networks.spotters.ppocr import boxes, crops, detector
from packsight.worker.networks.spotters.ppocr.parameters import SPOTTING
from packsight.worker.networks.spotters.ppocr.readings import Reading
from packsight.worker.networks.spotters.ppocr.recogniser import Recogniser, bucket

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def spotter(cache: Path) -> Spotter:
    return load_spotter(Models(cache_dir=cache), 2)


def label(lines: dict[str, tuple[int, int, int]], width: int = 640, height: int = 480) -> Pixels:
    """Print lines at (x, y, font size) on a pack of one colour."""
    image = Image.new("RGB", (width, height), (236, 228, 208))
    draw = ImageDraw.Draw(image)
    for text, (x, y, size) in lines.items():
        draw.text((x, y), text, (40, 20, 60), ImageFont.load_default(size))
    return np.asarray(image).copy()


SHAMPOO = {"SILK SHAMPOO": (60, 60, 56), "repair 24": (60, 200, 44), "for dry hair": (60, 300, 30), "250 ml": (420, 400, 34)}
BALM = {"Lip Balm": (180, 90, 70), "rose": (200, 260, 60)}


def letters(text: str) -> str:
    return "".join(text.lower().split())


def read(spotter: Spotter, image: Pixels) -> list[str]:
    return [word.text for word in spotter.spot([image])[0]]


# Boxes


def painted(rectangle: tuple[tuple[float, float], tuple[float, float], float], size: int = 320) -> boxes.Floats:
    """A probability map that is 0.9 inside one rectangle."""
    canvas = np.zeros((size, size), np.float32)
    cv2.fillPoly(canvas, [cv2.boxPoints(rectangle).round().astype(np.int32)], 0.9)
    return canvas


@given(
    width=st.floats(40, 140),
    height=st.floats(10, 36),
    degrees=st.floats(-180, 180),
)
def test_boxes_grow_as_polygon_offsetting_makes_them(width: float, height: float, degrees: float) -> None:
    rectangle = np.array([[160, 160, width, height, degrees]], np.float32)
    offset = pyclipper.PyclipperOffset()
    corners = boxes.corners(rectangle)[0]
    scale = 1000  # pyclipper counts in integers
    offset.AddPath((corners * scale).round().astype(int).tolist(), pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
    distance = cv2.contourArea(corners) * SPOTTING.boxes.unclip / cv2.arcLength(corners, True)
    polygon = np.array(offset.Execute(distance * scale)[0], np.float32) / scale
    expected = sorted(cv2.minAreaRect(polygon)[1])
    grown = boxes.unclip(rectangle)[0]
    assert sorted(grown[2:4].tolist()) == pytest.approx(expected, rel=0.01, abs=0.5)


@pytest.mark.parametrize("degrees", [0, 20, 44, -30, 70, 90, 135, 180])
def test_a_box_starts_at_its_upper_left_and_goes_clockwise(degrees: float) -> None:
    (box,) = boxes.text_boxes(painted(((160, 160), (120, 24), degrees)))
    along, down = box[1] - box[0], box[3] - box[0]
    assert along[0] >= abs(along[1]) * 0.99, "the first edge is within 45 degrees of horizontal"
    assert down[1] >= abs(down[0]) * 0.99
    np.testing.assert_allclose(box.mean(axis=0), (160, 160), atol=1.5)
    distance = 120 * 24 * SPOTTING.boxes.unclip / (2 * (120 + 24))
    sides = sorted((float(np.linalg.norm(along)), float(np.linalg.norm(down))))
    assert sides == pytest.approx([24 + 2 * distance, 120 + 2 * distance], abs=7), "painting widens it by a pixel or two"


def test_boxes_come_from_top_to_bottom_without_specks_and_doubts() -> None:
    chart = np.zeros((320, 320), np.float32)
    chart[200:220, 40:160] = 0.9
    chart[40:60, 100:260] = 0.8
    chart[120:122, 10:12] = 0.9  # a speck
    chart[270:290, 40:160] = 0.4  # text, but unsure
    found = boxes.text_boxes(chart)
    assert [tuple(box.mean(axis=0).round(-1)) for box in found] == [(180, 50), (100, 210)]


def test_an_empty_map_has_no_boxes() -> None:
    assert boxes.text_boxes(np.zeros((320, 320), np.float32)).shape == (0, 4, 2)


# Shapes


@pytest.mark.parametrize(
    ("size", "shape", "inside"),
    [
        ((1024, 768), (640, 480), (640, 480)),
        ((768, 1024), (480, 640), (480, 640)),
        ((2000, 2000), (640, 640), (640, 640)),
        ((4000, 800), (640, 320), (640, 128)),
        ((358, 269), (832, 640), (832, 625)),
    ],
)
def test_a_photo_gets_the_declared_shape_that_shows_most_of_it(
    size: tuple[int, int], shape: tuple[int, int], inside: tuple[int, int]
) -> None:
    assert detector.fit(size) == (shape, inside)


@given(st.integers(16, 8000), st.integers(16, 8000))
def test_every_photo_fits_a_declared_shape(height: int, width: int) -> None:
    shape, inside = detector.fit((height, width))
    assert shape in {*SPOTTING.detector.shapes, *SPOTTING.detector.enlarged}
    assert all(1 <= side <= limit for side, limit in zip(inside, shape, strict=True))


@given(st.integers(1, 5000))
def test_strips_have_few_widths(width: int) -> None:
    assert bucket(width) in SPOTTING.strips.widths
    assert bucket(width) >= min(width, SPOTTING.strips.widths[-1])


# Strips


@pytest.mark.parametrize("size", [20, 48, 60, 200])
def test_a_strip_holds_the_content_of_its_box(size: int) -> None:
    image = np.zeros((700, 1300, 3), np.uint8)
    image[100 : 100 + size, 50 : 50 + 4 * size] = 60
    image[100 : 100 + size, 50 : 50 + size] = (250, 120, 30)
    box = np.array([[50, 100], [50 + 4 * size, 100], [50 + 4 * size, 100 + size], [50, 100 + size]], np.float32)
    width = crops.strip_width(box, SPOTTING.strips.height)
    straight = crops.strip(image, box, width)
    assert straight.shape == (48, 192, 3)
    np.testing.assert_allclose(straight[8:40, 8:40].mean(axis=(0, 1)), (250, 120, 30), atol=2)
    np.testing.assert_allclose(straight[8:40, 64:180].mean(axis=(0, 1)), (60, 60, 60), atol=2)


def test_a_tall_box_is_read_downwards() -> None:
    tall = np.array([[[10, 20], [40, 20], [40, 220], [10, 220]]], np.float32)
    assert crops.reading_order(tall)[0].tolist() == [[40, 20], [40, 220], [10, 220], [10, 20]]
    wide = np.array([[[10, 20], [210, 20], [210, 50], [10, 50]]], np.float32)
    np.testing.assert_array_equal(crops.reading_order(wide), wide)


# Recogniser


def save_grey_reader(file: Path, symbols: int) -> None:
    """A network that names the grey level of every 8 columns: symbol k for (k + 0.5) × 255 / symbols."""
    pixels = ops.parameter([1, 3, SPOTTING.strips.height, -1], ov.Type.f32, name="x")
    columns = ops.avg_pool(pixels, [SPOTTING.strips.height, 8], [0, 0], [0, 0], [SPOTTING.strips.height, 8], False)
    value = ops.reduce_mean(columns, np.array([1, 2], np.int64))  # [1, steps], -1…1
    levels = (((np.arange(symbols) + 0.5) / symbols) * 2 - 1).astype(np.float32)
    distance = ops.squared_difference(ops.unsqueeze(value, np.array([2], np.int64)), levels.reshape(1, 1, -1))
    scores = ops.softmax(ops.multiply(distance, np.float32(-2000)), 2)
    ov.save_model(ov.Model([scores.output(0)], [pixels]), file, compress_to_fp16=False)


def greys(symbols: list[int], count: int) -> Pixels:
    levels = np.repeat([round((symbol + 0.5) * 255 / count) for symbol in symbols], 8)
    return np.broadcast_to(levels.astype(np.uint8)[np.newaxis, :, np.newaxis], (SPOTTING.strips.height, len(levels), 3)).copy()


def test_a_recogniser_takes_any_file_with_its_dictionary(tmp_path: Path) -> None:
    save_grey_reader(tmp_path / "grey.xml", 7)
    (tmp_path / "letters.txt").write_text("Ж\nЫ\nа\nл\nк\n", "utf-8")
    compiler = Compiler(Models(cache_dir=tmp_path, precision=Precision.F32), 1)
    recogniser = Recogniser(tmp_path / "grey.xml", compiler, tmp_path / "letters.txt")
    # Blank 0, Ж 1, Ы 2, а 3, л 4, к 5, space 6; the padding's grey is symbol 3.
    spelled = [1, 1, 0, 1, 6, 4, 4, 2, 5]
    (reading,) = recogniser.read([greys(spelled + [0] * 7, 7)])
    assert reading.text == "ЖЖ лЫк"
    assert reading.confidence > 0.99


def test_a_strip_without_text_reads_empty(tmp_path: Path) -> None:
    save_grey_reader(tmp_path / "grey.xml", 7)
    (tmp_path / "letters.txt").write_text("abcde".replace("", "\n").strip(), "utf-8")
    recogniser = Recogniser(tmp_path / "grey.xml", Compiler(Models(cache_dir=tmp_path), 1), tmp_path / "letters.txt")
    (reading,) = recogniser.read([greys([0] * 16, 7)])
    assert (reading.text, reading.confidence) == ("", 0.0)


def test_a_dictionary_of_another_recogniser_is_refused(tmp_path: Path) -> None:
    save_grey_reader(tmp_path / "grey.xml", 7)
    (tmp_path / "letters.txt").write_text("a\nb\n", "utf-8")
    compiler = Compiler(Models(cache_dir=tmp_path), 1)
    with pytest.raises(UserError, match="7 symbols"):
        Recogniser(tmp_path / "grey.xml", compiler, tmp_path / "letters.txt")
    with pytest.raises(UserError, match="holds no dictionary"):
        Recogniser(tmp_path / "grey.xml", compiler)


# The whole spotter


def test_printed_lines_are_read_with_their_boxes(spotter: Spotter) -> None:
    words = spotter.spot([label(SHAMPOO)])[0]
    assert [letters(word.text) for word in words] == [letters(text) for text in SHAMPOO]
    for word, (x, y, size) in zip(words, SHAMPOO.values(), strict=True):
        left, top = word.box[0]
        assert abs(left - x) < size / 2
        assert abs(top - y) < size / 2
        assert word.confidence > 0.8


def test_lines_whose_place_is_known_are_read_without_being_found(
    spotter: Spotter, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [label(SHAMPOO), np.ascontiguousarray(np.rot90(label(BALM), 2)), label({})]
    found = spotter.spot([photos[0], label(BALM)])
    places = [np.array([line.box for line in lines], np.float32) for lines in found]
    places[1] = np.array([photos[1].shape[1], photos[1].shape[0]], np.float32) - places[1]  # upside down
    monkeypatch.setattr(detector.Detector, "detect", None)
    read_at = spotter.read_at(photos, [places[0][[2, 0]], places[1], np.zeros((0, 4, 2), np.float32)])
    assert [letters(line.text) for line in read_at[0]] == ["fordryhair", "silkshampoo"]
    assert [letters(line.text) for line in read_at[1]] == [letters(text) for text in BALM]
    assert np.allclose(np.array(read_at[1][0].box), places[1][0])
    assert read_at[2] == []
    assert spotter.read_at([], []) == []


def test_it_reads_what_rapidocr_reads(spotter: Spotter, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    from rapidocr import RapidOCR
    from rapidocr.utils.output import RapidOCROutput

    peer = RapidOCR(params={"Global.log_level": "error"})
    for lines in (SHAMPOO, BALM):
        image = label(lines)
        ours = letters("".join(read(spotter, image)))
        found = peer(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        assert isinstance(found, RapidOCROutput)
        assert found.txts is not None
        theirs = letters("".join(found.txts))
        printed = letters("".join(lines))
        assert Levenshtein.distance(ours, printed) <= Levenshtein.distance(theirs, printed)


def test_words_do_not_depend_on_the_neighbours(spotter: Spotter) -> None:
    lying = np.ascontiguousarray(np.rot90(label(SHAMPOO)))
    photos = [label(SHAMPOO), lying, label({}), label(BALM, 480, 640), lying, label(BALM, 900, 300)]
    together = spotter.spot(photos)
    assert together == [spotter.spot([photo])[0] for photo in photos]
    assert spotter.spot(photos[::-1]) == together[::-1]


def test_text_upside_down_is_read_and_its_box_starts_at_the_text(spotter: Spotter) -> None:
    # So large that it is read whatever the arithmetic of the machine.
    photo = np.ascontiguousarray(label({"Lip Balm": (120, 80, 90), "rose": (200, 260, 70)})[::-1, ::-1])
    words = {letters(word.text): word for word in spotter.spot([photo])[0]}
    assert "lipbalm" in words
    box = words["lipbalm"].box
    assert box[0][0] > box[1][0], "the text runs to the left"
    assert box[0][1] > box[3][1], "and its top is below"


@pytest.mark.parametrize("quarters", [1, 3])
def test_text_on_its_side_is_read(spotter: Spotter, quarters: int) -> None:
    photo = np.ascontiguousarray(np.rot90(label({"HAND CREAM": (60, 200, 60)}), quarters))
    assert [letters(text) for text in read(spotter, photo)] == ["handcream"]


@pytest.mark.parametrize("quarters", [1, 3])
def test_a_photo_on_its_side_is_read_with_boxes_in_its_own_pixels(spotter: Spotter, quarters: int) -> None:
    upright = label(SHAMPOO)
    photo = np.ascontiguousarray(np.rot90(upright, quarters))
    words = {letters(word.text): word for word in spotter.spot([photo])[0]}
    assert set(words) == {letters(text) for text in SHAMPOO}
    expected = {letters(word.text): word.box for word in spotter.spot([upright])[0]}
    height, width = upright.shape[:2]
    for text, word in words.items():
        turned = [(y, width - x) if quarters == 1 else (height - y, x) for x, y in expected[text]]
        np.testing.assert_allclose(word.box, turned, atol=8)


def test_a_photo_on_which_nothing_was_found_is_looked_at_on_its_side(
    spotter: Spotter, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = label({"SOFT SOAP": (40, 200, 80)})
    detect = detector.Detector.detect

    def level_only(self: detector.Detector, images: Sequence[Pixels]) -> Iterator[boxes.Floats]:
        """As a detector that overlooks lines that run up or down."""
        for image, found in zip(images, detect(self, images), strict=True):
            yield found if image.shape == level.shape else found[:0]

    monkeypatch.setattr(detector.Detector, "detect", level_only)
    assert [letters(text) for text in read(spotter, np.ascontiguousarray(np.rot90(level)))] == ["softsoap"]
    assert [letters(text) for text in read(spotter, level)] == ["softsoap"]


def test_the_lines_of_a_photo_upside_down_are_turned_together(spotter: Spotter) -> None:
    photo = np.ascontiguousarray(label(SHAMPOO)[::-1, ::-1])
    assert {letters(text) for text in read(spotter, photo)} == {letters(text) for text in SHAMPOO}


def test_a_line_that_is_read_badly_among_good_ones_is_not_read_upside_down(
    spotter: Spotter, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = label(SHAMPOO)
    photo[285:345, 40:300] = photo[285:345, 40:300][::-1, ::-1]
    strips: list[Pixels] = []
    recognise = Recogniser.read

    def counted(self: Recogniser, lines: Iterable[Pixels]) -> Iterator[Reading]:
        lines = list(lines)
        strips.extend(lines)
        return recognise(self, lines)

    monkeypatch.setattr(Recogniser, "read", counted)
    among_good = read(spotter, photo)
    assert len(strips) == 4
    assert "fordryhair" not in map(letters, among_good)
    assert "fordryhair" in map(letters, read(spotter, label({"for dry hair": (60, 300, 30)})[::-1, ::-1].copy()))
    assert len(strips) == 4 + 2, "alone it is read both ways round"


def test_tilted_text_is_read(spotter: Spotter) -> None:
    turn = cv2.getRotationMatrix2D((320, 240), 17, 1)
    photo = cv2.warpAffine(label({"HAND CREAM": (120, 210, 56)}), turn, (640, 480), borderMode=cv2.BORDER_REPLICATE)
    assert [letters(text) for text in read(spotter, np.asarray(photo, np.uint8))] == ["handcream"]


def test_large_and_small_copies_of_a_photo_read_the_same(spotter: Spotter) -> None:
    photo = label(BALM)
    for scale in (0.4, 3.0):
        copy = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        assert [letters(text) for text in read(spotter, np.asarray(copy, np.uint8))] == ["lipbalm", "rose"]


@pytest.mark.parametrize("size", [(16, 16), (16, 2000), (2048, 40), (1, 1)])
def test_photos_of_any_shape_without_text_read_empty(spotter: Spotter, size: tuple[int, int]) -> None:
    assert spotter.spot([np.full((*size, 3), 200, np.uint8)]) == [[]]


def test_reading_begins_with_the_most_prominent_lines_and_stops_when_they_are_enough(spotter: Spotter) -> None:
    lines = {**SHAMPOO, "art. 4711": (60, 380, 18), "shake well": (60, 430, 16)}
    photos = [label(lines), label(lines), label(BALM)]
    whole = spotter.spot(photos)
    asked: list[tuple[int, int]] = []

    def enough(image: int, words: list[WordRead]) -> bool:
        asked.append((image, len(words)))
        return image == 1

    some = spotter.spot(photos, enough)
    assert asked == [(0, 3), (1, 3), (0, 5)], "the third photo has no more lines than are read at once"
    assert some[0] == whole[0]
    assert some[2] == whole[2]
    assert {letters(word.text) for word in some[1]} == {"silkshampoo", "repair24", "250ml"}
    assert [word for word in whole[1] if word in some[1]] == some[1]


@pytest.mark.parametrize("quarters", [0, 1])
def test_what_stands_in_the_middle_is_read_before_its_neighbours(spotter: Spotter, quarters: int) -> None:
    middle = {"HAND CREAM": (330, 80, 40), "with olive oil": (340, 200, 34), "75 ml net": (370, 300, 34)}
    photo = label({**middle, "COFFEE": (8, 120, 46), "TEA": (840, 240, 48)}, width=960)
    asked: list[set[str]] = []

    def enough(_: int, words: list[WordRead]) -> bool:
        asked.append({letters(word.text) for word in words})
        return False

    words = spotter.spot([np.ascontiguousarray(np.rot90(photo, quarters))], enough)[0]
    assert len(words) == 5
    assert asked[0] == {letters(text) for text in middle}


def test_a_photo_upside_down_reads_the_same_line_by_line(spotter: Spotter) -> None:
    photo = np.ascontiguousarray(label({**SHAMPOO, "art. 4711": (60, 380, 22)})[::-1, ::-1])
    assert spotter.spot([photo], lambda image, words: False) == spotter.spot([photo])


def test_no_photos_give_no_words(spotter: Spotter) -> None:
    assert spotter.spot([]) == []


def test_warming_up_keeps_the_words(spotter: Spotter) -> None:
    before = spotter.spot([label(BALM)])
    spotter.warm_up()
    assert spotter.spot([label(BALM)]) == before


def test_the_description_names_both_files_and_every_shape(spotter: Spotter) -> None:
    description = spotter.description
    assert set(description.shapes) == {"detector", "recogniser"}
    assert set(description.sha256) == {"detector", "recogniser", "head"}
    assert description.fingerprint().startswith("ppocr-")


def test_a_spotter_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no-such-folder"):
        load_spotter(Models(spotter=str(tmp_path / "no-such-folder"), cache_dir=tmp_path), 1)
