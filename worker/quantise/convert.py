"""From a network in full precision to its int8 by post-training quantisation (NNCF)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from packsight.shared.contract.errors import UserError
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.graph import take_pixels
from packsight.worker.networks.model_files import network_sha256

Array = npt.NDArray[Any]


def nncf() -> Any:
    """Import NNCF. Raises UserError when it is not installed."""
    # It reports its use to its makers unless it believes itself in a CI.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf as module  # noqa: PLC0415 - an extra of its own, and heavy
    except ImportError:
        raise UserError("Quantising needs NNCF. Install it: pip install 'packsight[quantise]'.") from None
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return module


def preparation(
    model: ov.Model, compiler: Compiler, *, channels: str, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Callable[[Array], Array]:
    """What turns RGB pixels [1, height, width, 3] into the input of a network that has no preprocessing in its graph.

    It is the preprocessing that workers put before the network, run alone. `compiler` should be of full precision.
    """
    given = ops.parameter(model.inputs[0].get_partial_shape(), ov.Type.f32)
    alone = ov.Model([ops.convert(given, "f32").output(0)], [given])
    network = compiler.compile(take_pixels(alone, channels=channels, mean=mean, std=std))

    def prepare(pixels: Array) -> Array:
        (prepared,) = next(network.stream([pixels]))
        return prepared

    return prepare


def to_int8(model: ov.Model, samples: Sequence[Array], *, transformer: bool = False) -> ov.Model:
    """Quantise weights and activations to 8 bits, ranges taken from what `samples` (inputs of the model) give.

    transformer: whether the network has attention, which is left as it is.

    The result has the same inputs, outputs and names. Raises UserError when NNCF is missing or can't do it.
    """
    module = nncf()
    try:
        return module.quantize(
            model,
            module.Dataset(list(samples)),
            preset=module.QuantizationPreset.MIXED,
            target_device=module.TargetDevice.CPU,
            subset_size=len(samples),
            model_type=module.ModelType.TRANSFORMER if transformer else None,
            advanced_parameters=module.AdvancedQuantizationParameters(
                # Weights of 7 bits: sums of 8-bit products overflow on CPUs without VNNI, so that hosts would disagree.
                overflow_fix=module.OverflowFix.ENABLE
            ),
        )
    except (RuntimeError, module.ValidationError, module.InternalError) as error:
        raise UserError(f"NNCF {module.__version__} cannot quantise the network: {error}. It stays as it is.") from None


def save(model: ov.Model, folder: Path) -> tuple[Path, str]:
    """Write a network as OpenVINO IR, named by its hash; return the .xml and the hash."""
    part = folder / "part.xml"
    ov.save_model(model, part, compress_to_fp16=False)
    sha256 = network_sha256(part)
    for suffix in (".bin", ".xml"):
        part.with_suffix(suffix).replace(folder / f"{sha256}{suffix}")
    return folder / f"{sha256}.xml", sha256
