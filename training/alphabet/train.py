"""Training: the backbone frozen, the head fitted to lines that are drawn as it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from training.alphabet import backbone as backbones
from training.alphabet.backbone import Backbone
from training.alphabet.batches import FreshLines, Symbols, stream
from training.alphabet.judge import readings, score
from training.alphabet.lines import Line
from training.alphabet.network import Head


@dataclass(frozen=True)
class Plan:
    """How long and how fast."""

    lines: int
    """Lines seen in all."""
    rate: float = 2e-3
    """Highest step of AdamW, reached after a twentieth of the lines and let down to nothing along a cosine."""
    decay: float = 1e-2
    seed: int = 1
    processes: int = 2
    report: int = 50_000
    """Lines between two looks at the held-out ones."""
    minutes: float = 1e9
    """Wall time after which the schedule is cut short, for a machine that is lent."""


def train(
    recogniser: Path,
    fresh: FreshLines,
    judged: Sequence[Line],
    symbols: Symbols,
    plan: Plan,
    out: Path,
    say: Callable[[str], None],
) -> Head:
    """Fit a head to a recogniser's backbone and return it; its state is written to `out` at every report.

    judged: lines in fonts that are held out.
    """
    torch.manual_seed(plan.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = backbones.load(recogniser, device)
    head: Head = Head(len(symbols)).to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=plan.rate, weight_decay=plan.decay)
    loss_of = torch.nn.CTCLoss(zero_infinity=True)
    began, seen, total, steps, reported = time.monotonic(), 0, 0.0, 0, 0
    for pixels, labels, lengths in stream(fresh, plan.processes):
        progress = max(seen / plan.lines, (time.monotonic() - began) / (60 * plan.minutes))
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * _schedule(progress)
        logits = _logits(backbone, head, pixels.to(device, non_blocking=True))
        steps_each = torch.full((len(lengths),), logits.shape[1], dtype=torch.long)
        loss = loss_of(logits.float().log_softmax(2).transpose(0, 1), labels.to(device), steps_each, lengths)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimizer.step()
        seen, total, steps = seen + len(lengths), total + loss.item(), steps + 1
        if seen // plan.report > reported:
            reported = seen // plan.report
            figures = _figures(backbone, head, judged, symbols, device)
            torch.save(head.state_dict(), out)
            say(f"{seen} lines, {time.monotonic() - began:.0f} s, loss {total / steps:.4f}, {json.dumps(figures)}")
            total, steps = 0.0, 0
    torch.save(head.state_dict(), out)
    return head


def _schedule(progress: float) -> float:
    """Share of the highest step: up along a line, down along a cosine."""
    if progress < 0.05:
        return progress / 0.05
    return float(0.5 * (1 + torch.cos(torch.tensor((progress - 0.05) / 0.95 * torch.pi))))


def _logits(backbone: Backbone, head: Head, pixels: torch.Tensor) -> torch.Tensor:
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=pixels.device.type == "cuda"):
        logits: torch.Tensor = head(*backbone(pixels))
    return logits


def _figures(backbone: Backbone, head: Head, judged: Sequence[Line], symbols: Symbols, device: torch.device) -> dict[str, Any]:
    head.eval()
    read = readings(lambda pixels: head(*backbone(pixels)), judged, symbols, device)
    head.train()
    return asdict(score(read, [line.text for line in judged]))
