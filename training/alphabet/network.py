"""The head: from two of the backbone's activations to symbols, one step per four pixels of a strip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

FINE_CHANNELS, CONTEXT_CHANNELS, ROWS = 384, 120, 3
"""Of the backbone: before its last pooling, where small letters' parts still stand apart, and after its attention, which
knows the neighbours."""


@dataclass(frozen=True)
class Shape:
    """Size of a head."""

    width: int = 160
    """Channels: with 192, reading a line costs 6 % more instead of 5."""
    blocks: int = 3
    """Convolutions along the line."""
    reach: int = 5
    """Steps that each of them sees: with three blocks 52 pixels, about three letters; what is further, the context tells."""


class Head(nn.Module):  # type: ignore[misc]
    """A convolution over the three rows, the context added, and a few convolutions along the line."""

    def __init__(self, symbols: int, shape: Shape = Shape(), dropout: float = 0.05) -> None:
        super().__init__()
        self.fine = nn.Conv2d(FINE_CHANNELS, shape.width, (ROWS, 1))
        self.context = nn.Conv2d(CONTEXT_CHANNELS, shape.width, 1, bias=False)
        self.norm = nn.BatchNorm2d(shape.width)
        kernel, padding = (1, shape.reach), (0, shape.reach // 2)
        self.blocks = nn.ModuleList(
            nn.Conv2d(shape.width, shape.width, kernel, padding=padding, bias=False) for _ in range(shape.blocks)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(shape.width) for _ in range(shape.blocks))
        self.symbols = nn.Conv2d(shape.width, symbols, 1)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, fine: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return logits [n, w / 4, symbols] of activations [n, 384, 3, w / 4] and [n, 120, 1, w / 8]."""
        x = nn.functional.silu(self.norm(self.fine(fine) + self.context(context).repeat_interleave(2, 3)))
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = x + nn.functional.silu(norm(block(self.dropout(x))))
        logits: torch.Tensor = self.symbols(x).squeeze(2).transpose(1, 2)
        return logits
