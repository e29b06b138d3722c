"""What is done to which part, and after how much work: a seed makes the whole plan."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

BROKER, STORE, INDEXER = "valkey", "seaweedfs", "indexer"

FROZEN = (5.0, 60.0)
"""Seconds that something stands still, drawn evenly on a logarithmic scale: most are short, as in life."""
DOWN = (0.0, 10.0)
"""Seconds that a killed part stays away, and that a broker takes nothing more: what a supervisor or a person may need."""


class Kind(StrEnum):
    """A way in which something breaks, or changes under load."""

    KILL_CHILD = "child killed"
    FREEZE_CHILD = "child frozen"
    KILL = "killed"
    FREEZE = "frozen"
    STOP = "told to stop"
    FILL = "full"
    CUT = "connections cut"
    PUBLISH = "catalog published"


@dataclass(frozen=True, slots=True)
class Fault:
    """One event.

    part: whom it hits; seconds: how long it lasts, 0 = a moment; after: batches of the job between the place of the event before
    and that of this one; choice: 0 to 1, which of several processes it hits.
    """

    kind: Kind
    part: str
    seconds: float
    after: int
    choice: float = 0.0


def everything(workers: Sequence[str], *, real: bool) -> list[tuple[Kind, str]]:
    """Every kind of event with every part that it can happen to; `real`: there are an indexer and catalogs too."""
    of_workers = (Kind.KILL_CHILD, Kind.FREEZE_CHILD, Kind.KILL, Kind.FREEZE, Kind.STOP)
    own = [(kind, worker) for worker in workers for kind in of_workers]
    shared = [(Kind.KILL, BROKER), (Kind.FREEZE, BROKER), (Kind.FILL, BROKER), (Kind.CUT, BROKER)]
    shared += [(Kind.KILL, STORE), (Kind.FREEZE, STORE)]
    made = [(Kind.PUBLISH, INDEXER), (Kind.KILL, INDEXER), (Kind.PUBLISH, INDEXER), (Kind.FREEZE, INDEXER)]
    return own + shared + (made if real else [])


def mixed(
    seed: int, events: Sequence[tuple[Kind, str]], count: int, batches: int, *, frozen: tuple[float, float] = FROZEN
) -> list[Fault]:
    """A plan of so many events, spread over a job of so many batches.

    Events come as from a shuffled pack of cards, so that none comes twice before all came once.
    """
    chance = random.Random(seed)
    every = 0.7 * batches / (count + 1)  # the job does not stand still while something else does
    faults: list[Fault] = []
    pack: list[tuple[Kind, str]] = []
    for _ in range(count):
        pack = pack or chance.sample(events, len(events))
        kind, part = pack.pop()
        seconds = 0.0
        if kind in {Kind.FREEZE, Kind.FREEZE_CHILD}:
            seconds = frozen[0] * (frozen[1] / frozen[0]) ** chance.random()
        elif kind in {Kind.KILL, Kind.FILL}:
            seconds = min(chance.uniform(*DOWN), frozen[1])
        faults.append(Fault(kind, part, round(seconds, 1), round(chance.uniform(0.5, 1.5) * every), chance.random()))
    return faults


def kills(seed: int, parts: Sequence[tuple[str, int]], every: int) -> list[Fault]:
    """Kills alone, of each part as many as are named, in a random order; each part comes back at once."""
    order = [part for part, count in parts for _ in range(count)]
    random.Random(seed).shuffle(order)
    return [Fault(Kind.KILL, part, 0.0, every) for part in order]
