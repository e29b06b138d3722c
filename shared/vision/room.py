"""Room in memory that threads wait for, so that what they take together is bounded."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from packsight.shared.memory import give_back

_WORTH_GIVING_BACK = 80_000_000
"""Bytes from which freed memory goes back to the system before others take theirs: the C library would keep it by thread."""


class Room:
    """Bytes that are taken at the moment. Whoever asks for more than there is gets it alone. Safe to use from several threads.

    A thread must not ask for a second share while it holds one.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, amount: int, size: int) -> Iterator[None]:
        """Wait until `amount` bytes more are within `size`, and hold them meanwhile."""
        share = min(amount, size)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + share <= size)
            self._taken += share
        try:
            yield
        finally:
            if share >= _WORTH_GIVING_BACK:
                give_back()
            with self._changed:
                self._taken -= share
                self._changed.notify_all()
