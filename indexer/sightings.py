"""The source book of a catalog: what was seen at the sources of its photos, kept so that an interrupted sync goes on.

Published photo rows carry the same knowledge; the book holds what is not in them yet (photos fetched by a sync that did
not end) or never will be (pictures that cannot be decoded, second copies of a photo). It is a handful of objects
`catalogs/<name>/sources/<time>.jsonl.gz`, read in order, rewritten as one at the end of each sync.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from packsight.indexer.plan import PhotoKey, Sighting
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


class SourceBook:
    """Sightings of one catalog in object storage."""

    def __init__(self, store: ObjectStore, catalog: str) -> None:
        self._store = store
        self._prefix = layout.sources(catalog)

    def load(self) -> dict[PhotoKey, Sighting]:
        """Everything that was seen, the latest for each source."""
        seen: dict[PhotoKey, Sighting] = {}
        for key in self._store.list(self._prefix):
            for text in gzip.decompress(self._store.read(key).data).splitlines():
                line = _Line.model_validate_json(text)
                seen[line.source, line.extra] = Sighting(line.sha256, line.validator, line.failure)
        return seen

    def add(self, seen: Mapping[PhotoKey, Sighting]) -> str | None:
        """Append sightings as one object and return its key; nothing to say writes nothing."""
        if not seen:
            return None
        lines = [
            _Line(
                source=source, extra=extra, sha256=s.sha256, validator=s.validator, failure=s.failure
            ).model_dump_json()
            for (source, extra), s in seen.items()
        ]
        key = f"{self._prefix}{time.time_ns():020d}.jsonl.gz"  # the lock keeps other writers away
        self._store.write(key, gzip.compress("\n".join(lines).encode()))
        return key

    def rewrite(self, seen: Mapping[PhotoKey, Sighting]) -> None:
        """Replace the whole book."""
        old = list(self._store.list(self._prefix))
        kept = self.add(seen)
        for key in old:
            if key != kept:
                self._store.remove(key)
