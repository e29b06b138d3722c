"""Image embedders: what each one is, and what runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openvino as ov

from packsight.shared.contract.errors import UserError
from packsight.shared.settings import Models, Precision, Runtime
from packsight.shared.vision.models import EmbedderDescription
from packsight.worker.networks.base import Embedder
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.embedders import (
    efficientnet_lite2,
    local_file,
    resnet50_thin,
    state_dict,
    torch_runtime,
    torchvision_export,
)
from packsight.worker.networks.embedders.openvino_runtime import OpenVinoEmbedder
from packsight.worker.networks.embedders.trial import tried

BUNDLED: dict[str, Callable[[Compiler], tuple[EmbedderDescription, ov.Model]]] = {
    module.NAME: module.activations for module in (resnet50_thin, efficientnet_lite2)
}
"""Those whose weights come with a Python package."""


def load(models: Models, threads: int) -> Embedder:
    """Build the embedder that the settings name. Raises UserError when a part of it is missing, or it tells nothing apart."""
    try:
        return tried(_built(models, threads))
    except PermissionError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}. Let the user read it as whom workers run.") from None


def refuse_contradictions(models: Models) -> None:
    """Raise UserError where the runtime that is to run the embedder cannot: neither such a file, nor in such a precision."""
    if models.precision is Precision.INT8 and _on_torch(models):
        raise UserError("torch runs nothing in int8. Set PACKSIGHT_MODELS__RUNTIME=openvino, or another precision.")
    if models.runtime is Runtime.TORCH and not _weights_alone(models.embedder):
        raise UserError(f"torch does not run {models.embedder}. Set PACKSIGHT_MODELS__RUNTIME=openvino, or choose resnet50.")


def _on_torch(models: Models) -> bool:
    return _weights_alone(models.embedder) and torch_runtime.chosen(models.runtime)


def _built(models: Models, threads: int) -> Embedder:
    refuse_contradictions(models)
    if _on_torch(models):
        return torch_runtime.TorchEmbedder(_state_dict(models), models.precision, threads)
    compiler = Compiler(models, threads)
    return OpenVinoEmbedder(*activations(models, compiler), compiler)


def activations(models: Models, compiler: Compiler) -> tuple[EmbedderDescription, ov.Model]:
    """Describe the embedder that the settings name and read its graph, which ends at the described layer.

    Raises UserError when a part of it is missing.
    """
    name, suffix = models.embedder, Path(models.embedder).suffix.lower()
    if _weights_alone(name):
        return torchvision_export.activations(_state_dict(models), models.cache_dir, compiler)
    if name in BUNDLED:
        return BUNDLED[name](compiler)
    if suffix in {".onnx", ".xml"}:
        return local_file.activations(Path(name), compiler)
    raise UserError(
        f"PACKSIGHT_MODELS__EMBEDDER: {name} is unknown. Give {', '.join([*BUNDLED, *state_dict.RELEASED])}, "
        "or the path of an .onnx, .xml, .pt or .pth file."
    )


def _weights_alone(name: str) -> bool:
    """Tell whether the file holds weights without a graph."""
    return name in state_dict.RELEASED or Path(name).suffix.lower() in {".pt", ".pth"}


def _state_dict(models: Models) -> state_dict.StateDict:
    name = models.embedder
    return state_dict.released(name, models.cache_dir) if name in state_dict.RELEASED else state_dict.local(Path(name))
