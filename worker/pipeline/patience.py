"""How long a batch waits for photos that come slowly, so that a few slow servers do not cost their neighbours the child."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from packsight.shared.storage import deadline


class Patience:
    """Seconds of fetching that are left to a batch, over all its threads. Safe to use from several threads.

    seconds: given to photos as they ask. least: what each photo has also when they are used up.
    """

    def __init__(self, seconds: float, least: float) -> None:
        self._left = seconds
        self._least = least
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def fetching(self) -> Iterator[None]:
        """Let network reads of this thread fail with TimeoutError once what is left has passed."""
        started = time.monotonic()
        try:
            with deadline.within(max(self._least, self._left)):
                yield
        finally:
            with self._lock:
                self._left -= time.monotonic() - started
