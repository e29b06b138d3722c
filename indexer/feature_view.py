"""Features of a catalog's photos, read from the packs as they are asked for: a million would not fit into memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from packsight.shared.storage.feature_store import FeatureStore, decode_pack
from packsight.shared.vision.features import Features

_PACKS_HELD = 32


class FeatureView(Mapping[str, Features]):
    """The wanted photos that have features, by sha256; iterates in the order of the packs."""

    def __init__(self, store: FeatureStore, wanted: Iterable[str]) -> None:
        wanted = set(wanted)
        self._files: dict[str, Path] = {}
        for file in store.packs():
            for sha in pq.read_table(file, columns=["sha256"])["sha256"].to_pylist():
                if sha in wanted:
                    self._files.setdefault(sha, file)
        self._held: OrderedDict[Path, dict[str, Features]] = OrderedDict()

    def __getitem__(self, sha256: str) -> Features:
        file = self._files[sha256]
        if file not in self._held:
            self._held[file] = {photo.sha256: photo for photo in decode_pack(file.read_bytes())}
            if len(self._held) > _PACKS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(file)
        return self._held[file][sha256]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, sha256: object) -> bool:
        return sha256 in self._files
