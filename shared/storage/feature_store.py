"""The feature store keeps for ever what is known of a photo from its pixels alone.

A feature pack is an immutable Parquet object `features/<models>/<pack>.parquet` with one row per photo. Packs are the truth
from which every index is built; the same photo in two packs is harmless, since its features are the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from packsight.shared.contract.outcomes import WordRead
from packsight.shared.storage.objects import ObjectStore
from packsight.shared.vision.features import Features, LocalFeatures

_WORD = pa.struct([("text", pa.string()), ("confidence", pa.float32()), ("box", pa.list_(pa.float32(), 8))])
_SCHEMA = pa.schema(
    [
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("embedding", pa.binary()),  # float16, little-endian
        ("words", pa.list_(_WORD)),
        ("points", pa.binary()),  # float16 pairs
        ("descriptors", pa.binary()),  # uint8, 128 each
        ("thumbnail", pa.binary()),
    ]
)


def encode_pack(photos: Sequence[Features]) -> bytes:
    """Serialise features, embeddings and points as float16."""
    rows = [
        {
            "sha256": photo.sha256,
            "width": photo.width,
            "height": photo.height,
            "embedding": photo.embedding.astype("<f2").tobytes(),
            "words": [
                {"text": w.text, "confidence": w.confidence, "box": [c for corner in w.box for c in corner]} for w in photo.words
            ],
            "points": photo.local.points.astype("<f2").tobytes(),
            "descriptors": photo.local.descriptors.tobytes(),
            "thumbnail": photo.thumbnail,
        }
        for photo in photos
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def decode_pack(data: bytes) -> Iterator[Features]:
    """Read a pack back."""
    for row in pq.read_table(io.BytesIO(data)).to_pylist():
        words = tuple(
            WordRead(
                text=word["text"],
                confidence=word["confidence"],
                box=[(word["box"][i], word["box"][i + 1]) for i in range(0, 8, 2)],
            )
            for word in row["words"]
        )
        yield Features(
            sha256=row["sha256"],
            width=row["width"],
            height=row["height"],
            embedding=np.frombuffer(row["embedding"], "<f2").astype(np.float32),
            words=words,
            local=LocalFeatures(
                np.frombuffer(row["points"], "<f2").astype(np.float32).reshape(-1, 2),
                np.frombuffer(row["descriptors"], np.uint8).reshape(-1, 128),
            ),
            thumbnail=row["thumbnail"],
        )


class FeatureStore:
    """Features of one pair of models in object storage, with a local copy of the immutable packs."""

    def __init__(self, store: ObjectStore, models: str, cache_dir: Path) -> None:
        self._store = store
        self._prefix = f"features/{models}/"
        self._cache = cache_dir / "features" / models

    def key(self, pack: str) -> str:
        """Object key of a pack."""
        return f"{self._prefix}{pack}.parquet"

    def put(self, pack: str, photos: Sequence[Features]) -> str:
        """Store a pack under a name that its content determines (a task id); return its key."""
        self._store.write(self.key(pack), encode_pack(photos))
        return self.key(pack)

    def packs(self) -> list[Path]:
        """Bring every pack to the local copy and return the files."""
        self._cache.mkdir(parents=True, exist_ok=True)
        keys = [key for key in self._store.list(self._prefix) if key.endswith(".parquet")]
        files = [self._cache / key.removeprefix(self._prefix) for key in keys]
        for key, file in zip(keys, files, strict=True):
            if not file.exists():
                part = file.with_suffix(".part")
                part.write_bytes(self._store.read(key).data)
                part.replace(file)
        return files

    def load(self, wanted: Iterable[str]) -> dict[str, Features]:
        """Features of the wanted photos, those that are there."""
        missing = set(wanted)
        found: dict[str, Features] = {}
        for file in self.packs():
            if not missing:
                break
            if missing.isdisjoint(pq.read_table(file, columns=["sha256"])["sha256"].to_pylist()):
                continue
            for photo in decode_pack(file.read_bytes()):
                if photo.sha256 in missing:
                    missing.discard(photo.sha256)
                    found[photo.sha256] = photo
        return found
