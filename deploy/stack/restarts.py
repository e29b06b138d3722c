"""When a part that ended is started again: soon at first, later and later when it ends in a row, and at last not at all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartRules:
    """Seconds, and how often."""

    first: float = 1.0
    """Before the first start: a port that was just closed is free by then, and the log of a crash is not a flood."""
    most: float = 60.0
    """Before any start: each pause is twice the one before."""
    steady: float = 120.0
    """Life after which an end counts as the first again: longer than any part takes to fail for the reason that it ended for."""
    limit: int = 6
    """Starts in a row that are tried: with their pauses a minute of trying, in which a full disk or memory may be freed."""


class Restarts:
    """The ends of one part."""

    def __init__(self, rules: RestartRules = RestartRules()) -> None:
        self._rules = rules
        self.count = 0
        """Ends in a row."""

    def pause_after(self, life: float) -> float | None:
        """Seconds to wait after an end, by how long the part lived; None: it is not to be started again."""
        self.count = 1 if life >= self._rules.steady else self.count + 1
        if self.count > self._rules.limit:
            return None
        return min(self._rules.first * 2.0 ** (self.count - 1), self._rules.most)
