"""Embedders on torch: bfloat16 autocast and channels-last on a GPU; the same code runs on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from packsight.shared.settings import Precision, Runtime
from packsight.shared.vision.features import FloatArray
from packsight.shared.vision.models import Pooling
from packsight.worker.networks.base import Image
from packsight.worker.networks.embedders.pixels import squash
from packsight.worker.networks.embedders.state_dict import StateDict, activations, imported
from packsight.worker.networks.graph import GEM_FLOOR, refuse_shape


@dataclass(frozen=True)
class BatchParameters:
    """Images that go through the network at once, padding among them. They decide speed and memory."""

    gpu: int = 16
    """An NVIDIA H200 computes so many in 5.9 ms, and one in 4.9 (ResNet-50 in bfloat16). Resizing included, it embeds 174, 552,
    1,212 and 1,646 photos a second in batches of 1, 4, 16 and 64."""
    cpu: int = 1
    """On a CPU padding costs as much as an image."""


BATCHES = BatchParameters()


def chosen(runtime: Runtime) -> bool:
    """Tell whether torch runs the embedder: when it is asked for, or by `auto` when it sees a GPU."""
    if runtime is not Runtime.AUTO:
        return runtime is Runtime.TORCH
    # Importing torch costs seconds and memory: look for a driver first.
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()) or find_spec("torch") is None:
        return False
    import torch  # noqa: PLC0415

    return bool(torch.cuda.is_available())


class TorchEmbedder:
    """Runs a torchvision network.

    The batch is of one fixed size, padded: kernels are chosen by shape, and an image's numbers must not depend on its
    neighbours.

    threads: CPU threads, when there is no GPU.

    Raises UserError when torch is missing, or the weights do not fit.
    """

    def __init__(
        self, source: StateDict, precision: Precision, threads: int, batches: BatchParameters = BATCHES
    ) -> None:
        torch, _ = imported(source.description.name)
        self._torch = torch
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        on_gpu = self._device.type == "cuda"
        if precision is Precision.AUTO:
            precision = Precision.BF16 if on_gpu and torch.cuda.is_bf16_supported() else Precision.F32
        if not on_gpu:
            torch.set_num_threads(max(1, threads))
        self._batch = batches.gpu if on_gpu else batches.cpu
        self._autocast = precision is Precision.BF16
        self._module = activations(source).to(self._device, memory_format=torch.channels_last)
        self._source = source.description
        self._mean, self._std = (self._constant(values) for values in (self._source.mean, self._source.std))
        dimension = self._rows([]).shape[1]
        self.description = self._source.model_copy(update={"dimension": dimension, "precision": precision.value})

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Return raw embeddings [n, dimension]."""
        rows = [self._rows(images[start : start + self._batch]) for start in range(0, len(images), self._batch)]
        return np.concatenate([np.empty((0, self.description.dimension), np.float32), *rows])

    def warm_up(self) -> None:
        """Embed one grey image."""
        self.embed([np.full((*self.description.input_size, 3), 128, np.uint8)])

    def _rows(self, images: Sequence[Image]) -> FloatArray:
        torch = self._torch
        pixels = np.zeros((self._batch, *self._source.input_size, 3), np.uint8)
        for row, image in zip(pixels, images, strict=False):
            row[:] = squash(image, self._source.input_size)
        if self._source.channels == "BGR":
            pixels = np.ascontiguousarray(pixels[..., ::-1])
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast):
            # A transposed view of NHWC memory is what torch calls channels-last.
            batch = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float()
            pooled = self._pool(self._module((batch - self._mean) / self._std).float())
        return np.asarray(pooled[: len(images)].cpu().numpy(), np.float32)

    def _pool(self, values: Any) -> Any:
        refuse_shape(self._source.pooling, tuple(values.shape))
        if self._source.pooling is Pooling.NONE:
            return values.flatten(1)
        if self._source.pooling is Pooling.AVERAGE:
            return values.mean((2, 3))
        power = self._source.gem_p
        return values.clamp(min=float(GEM_FLOOR)).pow(power).mean((2, 3)).pow(1 / power)

    def _constant(self, values: tuple[float, ...]) -> Any:
        return self._torch.tensor(values, device=self._device).view(1, 3, 1, 1)
