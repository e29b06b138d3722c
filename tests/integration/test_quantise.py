"""Networks in int8: quantised on the catalog's photos, judged one by one, shared by all hosts, used where they were accepted."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest
from openvino import opset13 as ops
from PIL import Image

from packsight.indexer.build.version import build_version
from packsight.shared.catalog.manifest import PhotoRow, ProductRow
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import UserError
from packsight.shared.matching.fingerprint import recipe
from packsight.shared.settings import Decode, Models, Precision, Runtime, Settings
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import make_features
from packsight.worker.networks import quantised
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.embedders.local_file import IMAGENET_MEAN, IMAGENET_STD
from packsight.worker.networks.graph import take_pixels
from packsight.worker.networks.load import load_embedder, load_spotter
from packsight.worker.networks.model_files import network_sha256
from packsight.worker.networks.quantised import SideCar
from packsight.worker.networks.spotters import ppocr
from packsight.worker.pipeline.decode import decode
from packsight.worker.pipeline.local_features import catalog_features, thumbnail
from packsight.worker.quantise import convert, run
from packsight.worker.quantise.candidates import EmbedderCandidate
from packsight.worker.quantise.judge import Measure, nearest_right, verdict
from packsight.worker.quantise.material import split
from tests import pictures
from tests.integration.test_spotters_omz import WORDS, save_decoder, save_detector, save_encoder
from tests.trust import UNCHECKED

Pixels = npt.NDArray[np.uint8]
PRODUCTS, PHOTOS = 14, 4


def drawn(product: int, photo: int) -> Pixels:
    """A pack in two colours of its own, in another light on each photo."""
    colours = np.random.default_rng([11, product]).integers(20, 236, (2, 3))
    image = np.empty((96, 64, 3), np.int64)
    image[:48], image[48:] = colours
    light = np.random.default_rng([12, product, photo]).integers(-12, 13, (96, 64, 3))
    drawn_: npt.NDArray[np.int64] = image + light + 3 * photo
    return drawn_.clip(0, 255).astype(np.uint8)


def save_embedder(file: Path) -> None:
    """Two convolutions; the layer that is taken is called `looks`, a head behind it is not."""
    chance = np.random.default_rng(5)
    pixels = ops.parameter([1, 3, -1, -1], ov.Type.f32, name="x")

    def layer(given: ov.Node, channels: tuple[int, int], side: int) -> ov.Node:
        weights = chance.normal(0, 1 / channels[1], (*channels, side, side)).astype(np.float32)
        return ops.relu(ops.convolution(given, weights, [side // 2 + 1] * 2, [side // 2] * 2, [side // 2] * 2, [1, 1]))

    looks = layer(layer(pixels, (16, 3), 3), (32, 16), 3)
    looks.set_friendly_name("looks")
    head = layer(looks, (8, 32), 1)
    ov.save_model(ov.Model([head.output(0)], [pixels]), file, compress_to_fp16=False)
    file.with_name(file.name + ".json").write_text(json.dumps({"layer": "looks", "input_size": [64, 64]}))


@pytest.fixture
def models(tmp_path: Path) -> Models:
    folder = tmp_path / "networks"
    folder.mkdir()
    save_embedder(folder / "tiny.xml")
    save_detector(folder / "text-spotting-0005-detector.xml", WORDS, "abcdefghijklmnopqrstuvwxyz0123456789", old=False)
    save_encoder(folder / "text-spotting-0005-recognizer-encoder.xml")
    save_decoder(folder / "text-spotting-0005-recognizer-decoder.xml", symbol_shape=[1])
    return Models(embedder=str(folder / "tiny.xml"), spotter=str(folder), cache_dir=tmp_path / "cache")


def candidate(models: Models) -> EmbedderCandidate:
    exact = models.model_copy(update={"precision": Precision.F32})
    return EmbedderCandidate(models, Compiler(models, 1), Compiler(exact, 1))


def packs() -> list[Pixels]:
    return [drawn(product, photo) for product in range(PRODUCTS) for photo in range(PHOTOS)]


def in_int8(models: Models) -> Models:
    return models.model_copy(update={"precision": Precision.INT8})


def side_car(file: Path, *, accepted: bool) -> SideCar:
    return SideCar(
        network="test", source="0" * 64, sha256=file.stem, accepted=accepted, reason="", nncf="", openvino="", cpu="",
        photos=1, photos_sha256="", measured={}, made_at=datetime.now(UTC),
    )  # fmt: skip


# From a network to its int8


def test_a_quantised_network_rounds_to_8_bits_and_gives_almost_the_same(models: Models, tmp_path: Path) -> None:
    tried = candidate(models)
    file, sha256 = convert.save(convert.to_int8(tried.model(), tried.samples(packs()[::2])), tmp_path)
    nodes = ov.Core().read_model(file).get_ops()
    kinds = [node.get_type_name() for node in nodes]
    assert kinds.count("FakeQuantize") == kinds.count("Convolution") == 2, "what goes into each convolution"
    weights = [node for node in nodes if node.get_type_name() == "Constant" and len(node.get_output_shape(0)) == 4]
    assert sum(node.get_output_element_type(0) == ov.Type.i8 for node in weights) == 2
    assert file.stem == sha256 == network_sha256(file)
    before, after = (tried.build(graph).embed(packs()[1::2]) for graph in (None, file))
    cosines = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    assert cosines.min() > 0.99
    assert not np.array_equal(before, after), "8 bits leave a trace"


def test_the_bundled_efficientnet_runs_in_int8(tmp_path: Path) -> None:
    models = Models(embedder="efficientnet-lite2", cache_dir=tmp_path)
    tried = candidate(models)
    folder = tmp_path / "int8" / tried.key
    folder.mkdir(parents=True)
    bottles = [pictures.drawn(height, width) for height, width in ((300, 200), (200, 300), (400, 250), (350, 220))]
    file, sha256 = convert.save(convert.to_int8(tried.model(), tried.samples(bottles[:3])), folder)
    (folder / "int8.json").write_text(side_car(file, accepted=True).model_dump_json())
    before, after = load_embedder(models, 1), load_embedder(in_int8(models), 1)
    assert after.description.sha256 == sha256 != before.description.sha256
    (full,), (rounded,) = before.embed(bottles[3:]), after.embed(bottles[3:])
    assert full @ rounded / np.linalg.norm(full) / np.linalg.norm(rounded) > 0.9
    assert not np.array_equal(full, rounded)


def test_calibration_sees_what_the_graph_of_a_worker_makes_of_pixels(models: Models) -> None:
    model = candidate(models).model()
    mean, std = (104.0, 117.0, 123.0), (2.0, 3.0, 4.0)
    exact = Compiler(models.model_copy(update={"precision": Precision.F32}), 1)
    pixels = drawn(1, 1)[np.newaxis]
    prepared = convert.preparation(model, exact, channels="BGR", mean=mean, std=std)(pixels)
    expected = ((pixels[..., ::-1] - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(prepared, expected, rtol=1e-5, atol=1e-5)
    whole = exact.compile(take_pixels(model.clone(), channels="BGR", mean=mean, std=std))
    (from_pixels,) = next(whole.stream([pixels]))
    (from_prepared,) = next(exact.compile(model).stream([prepared]))
    np.testing.assert_allclose(from_pixels, from_prepared, rtol=1e-3, atol=1e-3)


def test_without_nncf_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(UserError, match=r"packsight\[quantise\]"):
        convert.nncf()


# The judgement


def test_a_network_that_was_calibrated_on_nothing_is_refused(models: Models, tmp_path: Path) -> None:
    tried = candidate(models)
    broken, _ = convert.save(convert.to_int8(tried.model(), [1e-3 * one for one in tried.samples(packs()[:4])]), tmp_path)
    products = np.repeat(np.arange(PRODUCTS), PHOTOS)
    asked = np.arange(len(products))
    before, after = (nearest_right(tried.build(graph).embed(packs()), products, asked) for graph in (None, broken))
    assert before > 0.9
    accepted, reason = verdict(3.0, [Measure("nearest photo right", before, after, len(asked), 0.01)])
    assert not accepted
    assert "nearest photo right fell from" in reason


@pytest.mark.parametrize(
    ("speedup", "after", "accepted"),
    [(1.5, 0.95, True), (1.5, 0.945, True), (1.5, 0.93, False), (1.01, 0.95, False), (0.5, 1.0, False)],
)
def test_a_network_must_be_faster_and_lose_no_more_than_is_allowed(speedup: float, after: float, accepted: bool) -> None:
    measures = [Measure("first", 0.9, 0.9, 1000, 0.01), Measure("second", 0.95, after, 1000, 0.01)]
    assert verdict(speedup, measures)[0] is accepted


def test_products_are_either_calibrated_on_or_judged_by() -> None:
    sizes = np.array([1, 3, 2, 1, 4, 2, 2, 1, 3, 3])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    owner = np.repeat(np.arange(len(sizes)), sizes)
    calibration, judged = split(starts, 100)
    assert not set(owner[calibration]) & set(owner[judged])
    assert len(calibration) + len(judged) == len(owner)
    assert all(sizes[owner[photo]] > 1 for photo in judged)
    few, fewer = split(starts, 3)
    assert len(few) == 3
    assert 0 < len(fewer) <= 5


# What workers run


def test_each_network_is_taken_or_left_alone(models: Models, tmp_path: Path, store: ObjectStore) -> None:
    """Accepted for one network, refused for the other; the accepted file stands in by its content."""
    own = ppocr.carried()
    detector = own[ppocr.DETECTOR]
    file, sha256 = convert.save(ov.Core().read_model(detector.path), tmp_path)
    quantised.publish(store, quantised.key(detector.sha256), side_car(file, accepted=True), file)
    recogniser = own[ppocr.RECOGNISER]
    quantised.publish(store, quantised.key(recogniser.sha256), side_car(file, accepted=False), file)
    read = models.model_copy(update={"spotter": ppocr.NAME, "alphabet": ""})
    assert len(quantised.bring(store, models.cache_dir, renew=False)) == 2
    before, after = load_spotter(read, 1).description, load_spotter(in_int8(read), 1).description
    assert after.sha256 == {ppocr.DETECTOR: sha256, ppocr.RECOGNISER: recogniser.sha256}
    assert after.precision == f"int8+{before.precision}"
    assert after.fingerprint() != before.fingerprint()


def test_where_all_is_refused_the_fingerprint_stays(models: Models, tmp_path: Path, store: ObjectStore) -> None:
    tried = candidate(models)
    file = tmp_path / "unused.xml"
    quantised.publish(store, tried.key, side_car(file, accepted=False), file)
    quantised.bring(store, models.cache_dir, renew=False)
    fingerprints = {load_embedder(some, 1).description.fingerprint() for some in (models, in_int8(models))}
    assert len(fingerprints) == 1


@pytest.mark.parametrize("changed", [{"mean": [0, 0, 0]}, {"std": [255, 255, 255]}, {"channels": "BGR"}, {"pooling": "gem"}])
def test_int8_is_of_the_settings_that_it_was_made_and_judged_with(
    models: Models, tmp_path: Path, store: ObjectStore, changed: dict[str, object]
) -> None:
    file, _ = convert.save(candidate(models).model(), tmp_path)
    quantised.publish(store, candidate(models).key, side_car(file, accepted=True), file)
    quantised.bring(store, models.cache_dir, renew=False)
    assert load_embedder(in_int8(models), 1).description.precision.startswith("int8+")
    told = Path(f"{models.embedder}.json")
    told.write_text(json.dumps(json.loads(told.read_text()) | changed))
    with pytest.raises(UserError, match="quantise"):
        load_embedder(in_int8(models), 1)
    told.write_text(json.dumps(json.loads(told.read_text()) | {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "channels": "RGB",
                                                               "pooling": "average", "licence": "MIT"}))  # fmt: skip
    load_embedder(in_int8(models), 1)


def test_int8_that_nobody_has_tried_asks_for_the_command(models: Models) -> None:
    with pytest.raises(UserError, match=r"tiny\.xml has no int8 .* `packsight models quantise`"):
        load_embedder(in_int8(models), 1)
    with pytest.raises(UserError, match="RUNTIME=openvino"):
        load_embedder(Models(embedder="resnet50", runtime=Runtime.TORCH, precision=Precision.INT8), 1)


def test_a_host_keeps_what_it_runs_until_it_is_told_to_renew(models: Models, tmp_path: Path, store: ObjectStore) -> None:
    tried = candidate(models)
    first, _ = convert.save(tried.model(), tmp_path)
    second, _ = convert.save(convert.to_int8(tried.model(), tried.samples(packs()[:4])), tmp_path)
    held = models.cache_dir / "int8" / tried.key / quantised.SIDE_CAR
    for file in (first, second):
        quantised.publish(store, tried.key, side_car(file, accepted=True), file)
        quantised.bring(store, models.cache_dir, renew=False)
        assert json.loads(held.read_bytes())["sha256"] == first.stem
    assert quantised.bring(store, models.cache_dir, renew=True) == [tried.key]
    assert load_embedder(in_int8(models), 1).description.sha256 == second.stem
    weights = held.with_name(f"{second.stem}.bin")
    weights.write_bytes(bytes(weights.stat().st_size))
    with pytest.raises(UserError, match="missing or damaged"):
        load_embedder(in_int8(models), 1)


# The whole way


def published(settings: Settings, store: ObjectStore, folder: Path) -> None:
    """Publish a catalog of the drawn packs, made by the networks of the settings."""
    embedder, spotter = load_embedder(settings.models, 1), load_spotter(settings.models, 1)
    rows, features = [], {}
    for number, pixels in enumerate(packs()):
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        sha256 = hashlib.sha256(png.getvalue()).hexdigest()
        store.write(f"photos/{sha256}", png.getvalue())
        photo = decode(png.getvalue(), Decode())
        features[sha256] = make_features(
            sha256, (photo.width, photo.height), embedder.embed([pixels])[0], spotter.spot([pixels])[0],
            catalog_features(photo), thumbnail(photo),
        )  # fmt: skip
        rows.append(PhotoRow(product_id=f"p{number // PHOTOS}", sha256=sha256, source=f"{number}.png"))
    products = [ProductRow(id=f"p{number}", name=f"Pack {number}") for number in range(PRODUCTS)]
    manifest = build_version(
        folder, catalog="default", parent=None, products=products, photos=rows, features=features,
        recipe=recipe(embedder.description.fingerprint(), spotter.description.fingerprint()),
    )  # fmt: skip
    versions = CatalogStore(store, "default", UNCHECKED)
    versions.upload(folder)
    versions.point(manifest.version, expected=None)


def test_the_command_judges_by_photos_it_did_not_calibrate_on_and_shares_what_it_found(
    models: Models, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    settings = live_settings.model_copy(update={"models": models})
    with pytest.raises(UserError, match="has no published version"):
        run.run(settings, "default", 100, None, None, lambda _: None)
    published(settings, store, tmp_path / "version")
    Image.fromarray(drawn(3, 9)).save(tmp_path / "seen.png")
    Image.fromarray(drawn(99, 0)).save(tmp_path / "unseen.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("image,product_id\nseen.png,p3\nunseen.png,\n")
    said: list[str] = []
    (trial,) = run.run(settings, "default", 100, labels, None, said.append)
    assert "Calibrating on 28 photos of default, judging by 28 others and 2 labelled ones" in said
    near, answers = trial.measures
    assert (near.count, answers.count) == (28, 30)
    assert near.before > 0.9
    assert near.held
    assert answers.held
    assert trial.after < trial.before
    car = SideCar.model_validate_json(store.read(f"models/int8/{candidate(models).key}/int8.json").data)
    assert car == trial.car
    assert car.accepted == (trial.speedup >= 1.05), "so small a network may be slower"
    assert (car.photos, car.measured["speedup"]) == (28, round(trial.speedup, 3))
    assert (load_embedder(in_int8(models), 1).description.sha256 == car.sha256) is car.accepted
