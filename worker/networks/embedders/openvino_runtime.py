"""Embedders on OpenVINO: one image at a time through a static graph, the next one prepared meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openvino as ov

from packsight.shared.contract.errors import UserError
from packsight.shared.vision.features import FloatArray
from packsight.shared.vision.models import EmbedderDescription, Pooling
from packsight.worker.networks.base import Image
from packsight.worker.networks.compile import Compiler
from packsight.worker.networks.embedders.pixels import squash
from packsight.worker.networks.graph import pool, refuse_shape, take_pixels


class OpenVinoEmbedder:
    """Runs an activation graph that ends where the description's layer ends.

    The batch axis is fixed to 1: on a CPU a larger batch is hardly faster, and an image's numbers can't depend on
    its neighbours.
    """

    def __init__(self, description: EmbedderDescription, activations: ov.Model, compiler: Compiler) -> None:
        model = pool(activations, description.pooling, description.gem_p)
        model = take_pixels(model, channels=description.channels, mean=description.mean, std=description.std)
        height, width = description.input_size
        model.reshape([1, height, width, 3])
        shape = model.outputs[0].get_partial_shape()
        if shape.is_dynamic:
            raise UserError(f"{description.name} leaves open what it gives: {shape}. Export it for images of one size.")
        refuse_shape(Pooling.NONE, list(shape.to_shape()))
        self.description = description
        self._network = compiler.compile(model)

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Return raw embeddings [n, dimension]."""
        pixels = (squash(image, self.description.input_size)[np.newaxis] for image in images)
        rows = [outputs[0].reshape(-1) for outputs in self._network.stream(pixels)]
        return np.array(rows, np.float32).reshape(len(images), self.description.dimension)

    def warm_up(self) -> None:
        """Embed one grey image."""
        self.embed([np.full((*self.description.input_size, 3), 128, np.uint8)])
