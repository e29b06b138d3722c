"""What is known of a photo from its pixels alone, and the feature store that keeps it for ever.

A feature pack is an immutable Parquet object `features/<models>/<pack>.parquet` with one row per photo. Packs are the truth
from which every index is built; the same photo in two packs is harmless, since its features are the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shared.outcomes import WordRead
from shared.store import ObjectStore

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """Key points of a photo, strongest first.

    points: [n, 2] float32, x and y as shares of width and height, 0 to 1.
    descriptors: [n, 128] uint8, root-SIFT (Arandjelović & Zisserman, 2012) times 512, clipped at 255.
    """

    points: FloatArray
    descriptors: ByteArray


NO_LOCAL = LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))


@dataclass(frozen=True, slots=True)
class Features:
    """Everything that matching needs of a photo; the same for a query and a catalog photo."""

    sha256: str
    """Of the file's bytes."""
    width: int
    height: int
    embedding: FloatArray
    """[dimension] raw activations, neither projected nor normalised."""
    words: tuple[WordRead, ...]
    local: LocalFeatures
    thumbnail: bytes
    """JPEG of the upright photo, longer side 128 pixels: colours for comparing aligned regions."""
    complete: bool = True
    """Whether all lines were read, not only as many as a catalog version needed to decide."""


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


def make_features(
    sha256: str,
    size: tuple[int, int],
    embedding: FloatArray,
    words: Sequence[WordRead],
    local: LocalFeatures = NO_LOCAL,
    thumbnail: bytes = b"",
    *,
    complete: bool = True,
) -> Features:
    """Put features together with the precision that a pack keeps, so that query and catalog photo see equal numbers.

    size: width and height in pixels.
    """
    return Features(
        sha256=sha256,
        width=size[0],
        height=size[1],
        embedding=embedding.astype(np.float16).astype(np.float32),
        words=tuple(
            WordRead(
                text=word.text,
                confidence=float(np.float32(word.confidence)),
                box=[(float(np.float32(x)), float(np.float32(y))) for x, y in word.box],
            )
            for word in words
        ),
        local=as_packed(local),
        thumbnail=thumbnail,
        complete=complete,
    )


def as_packed(local: LocalFeatures) -> LocalFeatures:
    """Round key points to the precision that a pack keeps."""
    return LocalFeatures(local.points.astype(np.float16).astype(np.float32), local.descriptors)


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

    def known(self) -> set[str]:
        """sha256 of every photo that has features."""
        return {sha for file in self.packs() for sha in pq.read_table(file, columns=["sha256"])["sha256"].to_pylist()}

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
