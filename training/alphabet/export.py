"""From a trained head to the file that workers load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from packsight.worker.networks.spotters.ppocr.head import HeadFile, save
from training.alphabet.network import Head


def folded(head: Head) -> dict[str, np.ndarray]:
    """The head's convolutions, each with the normalisation after it folded in (at test time both are linear)."""
    scale, shift = _line(head.norm)
    arrays = {
        "fine": head.fine.weight * scale[:, None, None, None],
        "context": head.context.weight * scale[:, None, None, None],
        "bias": head.fine.bias * scale + shift,
        "symbols": head.symbols.weight,
        "symbols_bias": head.symbols.bias,
    }
    for number, (block, norm) in enumerate(zip(head.blocks, head.norms, strict=True)):
        scale, shift = _line(norm)
        arrays[f"block_{number}"] = block.weight * scale[:, None, None, None]
        arrays[f"block_{number}_bias"] = shift
    return {name: array.detach().cpu().numpy().astype(np.float16) for name, array in arrays.items()}


def _line(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def write(head: Head, about: HeadFile, file: Path) -> None:
    """Write a head with what is known of it."""
    save(file, about, folded(head))
