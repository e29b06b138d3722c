"""How long a batch waits for photos that come slowly, so that a few slow servers do not cost their neighbours the child."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.references import scheme
from packsight.shared.storage import deadline


class Patience:
    """Seconds of fetching that are left to a batch, over all its threads. Safe to use from several threads.

    seconds: given to photos as they ask. least: what each photo has also when they are used up, and all that it has when one of
    its host's did not come in time: those of other hosts go first. Our own storage is never such a host.
    """

    def __init__(self, seconds: float, least: float) -> None:
        self._left = seconds
        self._least = least
        self._slow: set[str] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def fetching(self, reference: str) -> Iterator[None]:
        """Let network reads of this thread fail with TimeoutError once what is left to a photo has passed."""
        started, host = time.monotonic(), _foreign_host(reference)
        try:
            with deadline.within(self._least if host in self._slow else max(self._least, self._left)):
                yield
        except ImageError as error:
            if host and error.code is ErrorCode.FETCH_TIMEOUT:
                self._slow.add(host)
            raise
        finally:
            with self._lock:
                self._left -= time.monotonic() - started


def _foreign_host(reference: str) -> str:
    """Host and port of a photo on the web; empty for others."""
    if scheme(reference) not in {"http", "https"}:
        return ""
    with contextlib.suppress(ValueError):  # the fetcher will say what is wrong with it
        return urlsplit(reference.strip()).netloc.rpartition("@")[2].lower()
    return ""
