"""Image embedders: what each one is, and what runs it."""

from __future__ import annotations

from pathlib import Path

from shared.errors import UserError
from shared.settings import Models, Runtime
from worker.compile import Compiler
from worker.embedders import bundled, local_file, state_dict, torch_runtime, torchvision_export
from worker.networks import Embedder


def load(models: Models, threads: int) -> Embedder:
    """Build the embedder that the settings name. Raises UserError when a part of it is missing."""
    name, suffix = models.embedder, Path(models.embedder).suffix.lower()
    if name in state_dict.RELEASED or suffix in {".pt", ".pth"}:
        in_torch = torch_runtime.chosen(models.runtime)
        source = state_dict.released(name, models.cache_dir) if not suffix else state_dict.local(Path(name))
        if in_torch:
            return torch_runtime.TorchEmbedder(source, models.precision, threads)
        return torchvision_export.load(source, models.cache_dir, Compiler(models, threads))
    if models.runtime is Runtime.TORCH:
        raise UserError(f"torch does not run {name}. Set PACKSIGHT_MODELS__RUNTIME=openvino, or choose resnet50.")
    if name == bundled.NAME:
        return bundled.load(Compiler(models, threads))
    if suffix in {".onnx", ".xml"}:
        return local_file.load(Path(name), Compiler(models, threads))
    raise UserError(
        f"PACKSIGHT_MODELS__EMBEDDER: {name} is unknown. Give {bundled.NAME}, {', '.join(state_dict.RELEASED)}, "
        "or the path of an .onnx, .xml, .pt or .pth file."
    )
