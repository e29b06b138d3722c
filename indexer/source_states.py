"""What was last seen at the sources of a catalog's photos, kept so that an interrupted sync goes on.

Published photo rows carry the same knowledge; these objects hold what is not in them yet (photos fetched by a sync that did
not end) or never will be (pictures that cannot be decoded, second copies of a photo): a handful of objects
`catalogs/<name>/sources/<time>.jsonl.gz`, read in order, rewritten as one at the end of each sync.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from packsight.indexer.plan import PhotoKey, SourceState
from packsight.shared.contract.outcomes import Failure
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    source: str
    extra: bool
    sha256: str = ""
    validator: str = ""
    failure: Failure | None = None


class SourceStates:
    """The states of one catalog's sources in object storage."""

    def __init__(self, store: ObjectStore, catalog: str) -> None:
        self._store = store
        self._prefix = layout.sources(catalog)

    def load(self) -> dict[PhotoKey, SourceState]:
        """All that is known, the latest for each source."""
        states: dict[PhotoKey, SourceState] = {}
        for key in self._store.list(self._prefix):
            for text in gzip.decompress(self._store.read(key).data).splitlines():
                line = _Line.model_validate_json(text)
                states[line.source, line.extra] = SourceState(line.sha256, line.validator, line.failure)
        return states

    def add(self, states: Mapping[PhotoKey, SourceState]) -> str | None:
        """Append states as one object and return its key; nothing to say writes nothing."""
        if not states:
            return None
        lines = [
            _Line(
                source=source, extra=extra, sha256=s.sha256, validator=s.validator, failure=s.failure
            ).model_dump_json()
            for (source, extra), s in states.items()
        ]
        key = f"{self._prefix}{time.time_ns():020d}.jsonl.gz"  # the lock keeps other writers away
        self._store.write(key, gzip.compress("\n".join(lines).encode()))
        return key

    def rewrite(self, states: Mapping[PhotoKey, SourceState]) -> None:
        """Replace all that is kept."""
        old = list(self._store.list(self._prefix))
        kept = self.add(states)
        for key in old:
            if key != kept:
                self._store.remove(key)
