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
    fetching: int = 4
    """Files fetched before their photos are loaded: with `ahead` as many as there are threads for it (settings.fetch.threads), so
    that some slow ones do not hold up all. A file of a photo is some megabytes, 32 at most."""
    patience: float = 30.0
    """Seconds that a batch waits for slow photos, `ahead` and `fetching` of them at a time, before each has but
    `least_patience`. 64 photos that never end to come then take 64 s of the 380 s after which the child would be killed, and
    photos beside them with it."""
    least_patience: float = 4.0
    """Seconds that a photo has in any case: one of 3 MB at 1 MB/s."""


FLOW = FlowParameters()
"""What the worker runs with."""
