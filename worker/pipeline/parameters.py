"""How photos flow through a child: how many at a time, and how far ahead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlowParameters:
    """Numbers that decide speed and memory of a child, never an answer: an image's features don't depend on its neighbours."""

    group: int = 4
    """Photos in the networks at once: enough to keep them fed, few enough that little is left to decide when the last of
    a batch ends (deciding about the last four takes 11 ms of a batch's 3 s; seen in a trace of a child, two cores)."""
    ahead: int = 4
    """Photos loaded before their turn, and photos that wait for their decision: a large one takes 12 MB, so with those in
    the networks 144 MB of photos at most."""


FLOW = FlowParameters()
"""What the worker runs with."""
