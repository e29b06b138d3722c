"""torchvision networks as OpenVINO graphs: converted once, kept below the model cache by the hash of their weights."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import openvino as ov

from packsight.shared.contract.errors import UserError
from packsight.shared.vision.models import EmbedderDescription
from packsight.worker.networks import graph, quantised
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.embedders import state_dict
from packsight.worker.networks.embedders.state_dict import LAST_STAGE, StateDict

_CONVERSION = 2
"""Of all layers but a ResNet's last stage, which has been converted alike from the first on. Raised whenever the same weights are
converted in another way: exports that are here already are made anew, for which torch is needed."""


def activations(source: StateDict, cache_dir: Path, compiler: Compiler) -> tuple[EmbedderDescription, ov.Model]:
    """Describe it and read its graph, converted at the first time. Raises UserError when that is impossible."""
    given = source.description
    # The weights' hash tells the network apart; that of the export differs between releases of the converter.
    file = compiler.choose(exported(source, cache_dir), given.sha256, *quantised.made_with(given))
    try:
        model = compiler.read(file.path)
    except UserError as error:
        raise UserError(f"{error} It was made of {source.file}: delete the folder {file.path.parent}, and it is again.") from None
    completion = {
        "sha256": file.sha256,
        "dimension": graph.dimension(model, given.input_size),
        "precision": file.precision,
    }
    return given.model_copy(update=completion), model


def exported(source: StateDict, cache_dir: Path) -> Path:
    """Path of the network's IR file, written when it isn't there yet. Raises UserError when it cannot be."""
    folder = cache_dir / "exported" / _key(source.description, source.architecture)
    if not folder.exists():
        model = convert(source)
        try:
            _keep(model, folder)
        except (OSError, RuntimeError) as error:  # of the file system, of OpenVINO's writer
            raise UserError(
                f"The converted network cannot be kept in {cache_dir} ({error}). Make room there and let this user write, or set "
                "PACKSIGHT_MODELS__CACHE_DIR."
            ) from None
    return folder / "activations.xml"


def _keep(model: ov.Model, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        ov.save_model(model, part / "activations.xml", compress_to_fp16=False)
        part.rename(folder)
    except OSError:
        # Another process was first; its export is the same.
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def convert(source: StateDict) -> ov.Model:
    """Convert the torch module to a graph that takes [1, 3, height, width]."""
    import torch  # noqa: PLC0415 - only where a network must be built from its weights

    module = state_dict.activations(source)
    pixels = torch.zeros(1, 3, *source.description.input_size)
    with torch.no_grad():
        program = torch.export.export(module, (pixels,))
    return ov.convert_model(program)


def _key(description: EmbedderDescription, architecture: str) -> str:
    height, width = description.input_size
    key = f"{architecture}-{description.sha256[:16]}-{description.layer}-{height}x{width}"
    return key if description.layer == LAST_STAGE else f"{key}-{_CONVERSION}"
