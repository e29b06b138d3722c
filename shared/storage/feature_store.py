"""The feature store keeps for ever what is known of a photo from its pixels alone.

A photo's features have three parts, each made by something of its own: the embedding by the embedder, the words by the
spotter, key points and thumbnail by the details' rules. Each part lies below the fingerprint of what made it, so that an
upgrade which changes one of them leaves the others valid: an immutable Parquet object
`features/<part>/<fingerprint>/<shard>.parquet` has one row per photo. Shards are the truth from which every version is
built; the same photo in two shards is harmless, since its features are the same.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from packsight.shared.contract.messages import PARTS, Part
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.storage import layout
from packsight.shared.storage.files import write_whole
from packsight.shared.storage.former_features import former_folders
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import Features, LocalFeatures

_WORD = pa.struct([("text", pa.string()), ("confidence", pa.float32()), ("box", pa.list_(pa.float32(), 8))])
_SCHEMAS: dict[Part, pa.Schema] = {
    "embedding": pa.schema([("sha256", pa.string()), ("embedding", pa.binary())]),  # float16, little-endian
    "words": pa.schema(
        [("sha256", pa.string()), ("width", pa.int32()), ("height", pa.int32()), ("words", pa.list_(_WORD))]
    ),
    "details": pa.schema(
        [
            ("sha256", pa.string()),
            ("points", pa.binary()),  # float16 pairs
            ("descriptors", pa.binary()),  # uint8, 128 each
            ("leading", pa.int32()),
            ("thumbnail", pa.binary()),
        ]
    ),
}
_WHOLE = {name for schema in _SCHEMAS.values() for name in schema.names}
_SHARDS_HELD = 96
"""Files whose rows a view keeps: 32 of each part."""


class FeatureStore:
    """Features that the same three things made, in object storage, with a local copy of the immutable shards."""

    def __init__(self, store: ObjectStore, made_by: Mapping[Part, str], home: Path) -> None:
        """made_by: the fingerprint of what makes each part; home: folder for the local copies."""
        self._store, self._made_by, self._home = store, made_by, home

    def key(self, part: Part, shard: str) -> str:
        """Object key of a shard."""
        return layout.features(part, self._made_by[part], shard)

    def put(self, shard: str, photos: Sequence[Features], parts: Sequence[Part] = PARTS) -> None:
        """Store these parts of photos under a name that they determine, so that writing them again changes nothing."""
        for part in parts:
            self._store.write(self.key(part, shard), encode(part, photos))

    def shards(self, part: Part) -> list[Path]:
        """Bring every shard of a part to the local copy and return the files."""
        own = layout.features(part, self._made_by[part])
        return [
            self._brought(key)
            for folder in (own, *former_folders(self._store, part, self._made_by[part]))
            for key in self._store.list(folder)
            if key.endswith(layout.SHARD)
        ]

    def _brought(self, key: str) -> Path:
        file = self._home / key
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, self._store.read(key).data)
        return file

    def read(self, shards: Iterable[str]) -> dict[str, Features]:
        """Features of all photos of these shards, by sha256; raises ImageError (OBJECT_MISSING) for one that is not there."""
        return join(io.BytesIO(self._store.read(self.key(part, shard)).data) for shard in shards for part in PARTS)


class FeatureView(Mapping[str, Features]):
    """Wanted photos of which the store has every part, by sha256, read when asked for: a million would not fit into memory.

    It iterates in the order of the shards.
    """

    def __init__(self, store: FeatureStore, wanted: Iterable[str]) -> None:
        self._store, self._wanted = store, set(wanted)
        self._files: dict[Part, dict[str, Path]] = {part: {} for part in PARTS}
        self._seen: set[tuple[Part, Path]] = set()
        self._held: OrderedDict[tuple[Part, Path], dict[str, dict[str, Any]]] = OrderedDict()
        self.refresh()

    def refresh(self) -> None:
        """Take in shards that came since the last look."""
        for part, files in self._files.items():
            for file in self._store.shards(part):
                if (part, file) not in self._seen:
                    self._seen.add((part, file))
                    for sha in pq.read_table(file, columns=["sha256"])["sha256"].to_pylist():
                        if sha in self._wanted:
                            files.setdefault(sha, file)

    def missing(self, sha256: str) -> tuple[Part, ...]:
        """Parts of a photo that the store does not have."""
        return tuple(part for part, files in self._files.items() if sha256 not in files)

    def __getitem__(self, sha256: str) -> Features:
        row: dict[str, Any] = {}
        for part, files in self._files.items():
            row |= self._rows(part, files[sha256])[sha256]
        return _features(row)

    def _rows(self, part: Part, file: Path) -> dict[str, dict[str, Any]]:
        key = (part, file)
        if key not in self._held:
            self._held[key] = _by_photo(file, _SCHEMAS[part].names)
            if len(self._held) > _SHARDS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]

    def __iter__(self) -> Iterator[str]:
        return (sha for sha in self._files["embedding"] if sha in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, sha256: object) -> bool:
        return all(sha256 in files for files in self._files.values())


def encode(part: Part, photos: Sequence[Features]) -> bytes:
    """One part of photos as a Parquet file; embeddings and points as float16."""
    rows = [{"sha256": photo.sha256, **_columns(part, photo)} for photo in photos]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMAS[part]), sink, compression="zstd")
    return sink.getvalue()


def _columns(part: Part, photo: Features) -> dict[str, Any]:
    match part:
        case "embedding":
            return {"embedding": photo.embedding.astype("<f2").tobytes()}
        case "words":
            words = [
                {"text": w.text, "confidence": w.confidence, "box": [c for corner in w.box for c in corner]}
                for w in photo.words
            ]
            return {"width": photo.width, "height": photo.height, "words": words}
        case "details":
            return {
                "points": photo.local.points.astype("<f2").tobytes(),
                "descriptors": photo.local.descriptors.tobytes(),
                "leading": photo.local.leading,
                "thumbnail": photo.thumbnail,
            }


def join(files: Iterable[Path | io.BytesIO]) -> dict[str, Features]:
    """Features by sha256 of the photos of which these files have every part, in any order of the files."""
    rows: dict[str, dict[str, Any]] = {}
    for file in files:
        for sha256, columns in _by_photo(file).items():
            rows.setdefault(sha256, {}).update(columns)
    return {sha256: _features(row) for sha256, row in rows.items() if row.keys() >= _WHOLE}


def _by_photo(file: Path | io.BytesIO, columns: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
    return {row["sha256"]: row for row in pq.read_table(file, columns=columns).to_pylist()}


def _features(row: Mapping[str, Any]) -> Features:
    return Features(
        sha256=row["sha256"],
        width=row["width"],
        height=row["height"],
        embedding=np.frombuffer(row["embedding"], "<f2").astype(np.float32),
        words=tuple(
            WordRead(
                text=word["text"],
                confidence=word["confidence"],
                box=[(word["box"][i], word["box"][i + 1]) for i in range(0, 8, 2)],
            )
            for word in row["words"]
        ),
        local=LocalFeatures(
            np.frombuffer(row["points"], "<f2").astype(np.float32).reshape(-1, 2),
            np.frombuffer(row["descriptors"], np.uint8).reshape(-1, 128),
            row["leading"],
        ),
        thumbnail=row["thumbnail"],
    )
