"""The feature store keeps what is known of a photo from its pixels alone, as long as a version needs it and a while longer.

A photo's features have three parts, each made by something of its own: the embedding by the embedder, the words by the
spotter, key points and thumbnail by the details' rules. Each part lies below the fingerprint of what made it, so that an
upgrade which changes one of them leaves the others valid: an immutable Parquet object
`features/<part>/<fingerprint>/<shard>.parquet` has one row per photo. Shards are the truth from which every version is
built; the same photo in two shards is harmless, since its features are the same.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from packsight.shared.contract.messages import PARTS, Part
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.storage import layout
from packsight.shared.storage.files import write_whole, written_aside
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
_NOWHERE = -1
_ROW_BITS = 32
_GROUPS_HELD = 96
"""Groups of rows that a view keeps: 32 of each part."""
ROWS = 32
"""Rows per group: what is read at a time, as many photos as one message has described."""
LOCAL_BYTES = 20_000_000_000
"""Local copies of shards at most: the features of 400,000 photos. The least recently used are fetched again by whoever reads
them, in one stream each."""
_NAMES = ".photos"
"""Beside the local copy of a shard, and longer there: its photos' names, one a line."""


class FeatureStore:
    """Features that the same three things made, in object storage, with local copies of the immutable shards."""

    def __init__(self, store: ObjectStore, made_by: Mapping[Part, str], home: Path, room: int = LOCAL_BYTES) -> None:
        """made_by: the fingerprint of what makes each part; home: folder for the local copies; room: bytes of these."""
        self._store, self._made_by, self._home, self._room = store, made_by, home, room

    def key(self, part: Part, shard: str) -> str:
        """Object key of a shard."""
        return layout.features(part, self._made_by[part], shard)

    def put(self, shard: str, photos: Sequence[Features], parts: Sequence[Part] = PARTS) -> None:
        """Store these parts of photos under a name that they determine, so that writing them again changes nothing."""
        for part in parts:
            self._store.write(self.key(part, shard), encode(part, photos))

    def shards(self, part: Part) -> list[str]:
        """Keys of every shard of a part; what this host has of shards that are gone is removed."""
        found: list[str] = []
        for folder in (layout.features(part, self._made_by[part]), *former_folders(self._store, part, self._made_by[part])):
            there = {key: None for key in self._store.list(folder) if key.endswith(layout.SHARD)}
            for file in (self._home / folder).glob(f"*{layout.SHARD}*"):
                key = f"{folder}{file.name.removesuffix(_NAMES)}"
                if key.endswith(layout.SHARD) and key not in there:  # else somebody is just writing it
                    file.unlink(missing_ok=True)
            found += there
        return found

    def photos(self, key: str) -> list[str]:
        """The photos of a shard, by row."""
        names = self._home / f"{key}{_NAMES}"
        if not names.exists():
            write_whole(names, "\n".join(pq.read_table(self.file(key), columns=["sha256"])["sha256"].to_pylist()))
        return names.read_text().split("\n")

    def file(self, key: str) -> Path:
        """The local copy of a shard, brought here if need be."""
        file = self._home / key
        if file.exists():
            os.utime(file)  # used just now
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(file) as part:
                self._store.download(key, part)
            self._make_room(file)
        return file

    def _make_room(self, newest: Path) -> None:
        """Remove the least recently used copies beyond the room there is, the newest never."""
        copies = [(file.stat(), file) for file in (self._home / layout.FEATURES).rglob(f"*{layout.SHARD}")]
        excess = sum(status.st_size for status, _ in copies) - self._room
        for status, file in sorted(copies, key=lambda copy: copy[0].st_mtime_ns):
            if excess <= 0:
                break
            if file != newest:
                file.unlink(missing_ok=True)
                excess -= status.st_size

    def read(self, shards: Iterable[str]) -> dict[str, Features]:
        """Features of all photos of these shards, by sha256; raises ImageError (OBJECT_MISSING) for one that is not there."""
        return join(io.BytesIO(self._store.read(self.key(part, shard)).data) for shard in shards for part in PARTS)


class FeatureView(Mapping[str, Features]):
    """Wanted photos of which the store has every part, by sha256, read when asked for: a million would not fit into memory.

    It iterates in the order of the shards.
    """

    def __init__(self, store: FeatureStore, wanted: Iterable[str]) -> None:
        self._store = store
        self._names = np.unique(_encoded(wanted))
        self._shards: dict[Part, list[str]] = {part: [] for part in PARTS}
        self._places = {part: np.full(len(self._names), _NOWHERE, np.int64) for part in PARTS}
        """Of each name the number of its shard, and its row there in the lower bits."""
        self._ends: dict[str, list[int]] = {}
        self._held: OrderedDict[tuple[Part, str, int], dict[str, dict[str, Any]]] = OrderedDict()
        self.refresh()

    def refresh(self) -> None:
        """Take in shards that came since the last look."""
        for part, places in self._places.items():
            known = self._shards[part]
            seen = set(known)
            for shard in self._store.shards(part):
                if shard not in seen:
                    at = self._at(_encoded(self._store.photos(shard)))
                    row = np.flatnonzero(at != _NOWHERE)[::-1]  # of a photo that stands there twice the first row
                    row = row[places[at[row]] == _NOWHERE]
                    places[at[row]] = len(known) << _ROW_BITS | row
                    known.append(shard)

    def missing(self, sha256: str) -> tuple[Part, ...]:
        """Parts of a photo that the store does not have."""
        return tuple(part for part, (_, row) in self._found(sha256).items() if row == _NOWHERE)

    def __getitem__(self, sha256: str) -> Features:
        found = self._found(sha256)
        if any(row == _NOWHERE for _, row in found.values()):
            raise KeyError(sha256)
        columns: dict[str, Any] = {}
        for part, (shard, row) in found.items():
            columns |= self._rows(part, shard, row)[sha256]
        return _features(columns)

    def _found(self, sha256: str) -> dict[Part, tuple[str, int]]:
        """Shard and row of each part of a photo."""
        name = sha256.encode()
        at = int(self._names.searchsorted(name))
        if at == len(self._names) or self._names[at] != name:
            return dict.fromkeys(self._places, ("", _NOWHERE))
        found = {}
        for part, places in self._places.items():
            shard, row = divmod(int(places[at]), 1 << _ROW_BITS)
            found[part] = ("", _NOWHERE) if shard == _NOWHERE else (self._shards[part][shard], row)
        return found

    def _at(self, names: npt.NDArray[np.bytes_]) -> npt.NDArray[np.int64]:
        """Number of each of some names, _NOWHERE for one that is not wanted."""
        if not len(self._names):
            return np.full(len(names), _NOWHERE)
        at = np.minimum(self._names.searchsorted(names), len(self._names) - 1)
        return np.where(self._names[at] == names, at, _NOWHERE)

    def _rows(self, part: Part, shard: str, row: int) -> dict[str, dict[str, Any]]:
        """The rows of a shard around one."""
        key = (part, shard, bisect_right(self._ends_of(shard), row))
        if key not in self._held:
            with pq.ParquetFile(self._store.file(shard)) as file:
                table = file.read_row_group(key[-1], _SCHEMAS[part].names)
            self._held[key] = {found["sha256"]: found for found in table.to_pylist()}
            if len(self._held) > _GROUPS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]

    def _ends_of(self, shard: str) -> list[int]:
        """Row after the last of each of a shard's groups."""
        if shard not in self._ends:
            told = pq.read_metadata(self._store.file(shard))
            self._ends[shard] = list(accumulate(told.row_group(group).num_rows for group in range(told.num_row_groups)))
        return self._ends[shard]

    def __iter__(self) -> Iterator[str]:
        whole = np.flatnonzero(self._whole())
        return (self._names[at].decode() for at in whole[np.argsort(self._places["embedding"][whole])].tolist())

    def __len__(self) -> int:
        return int(self._whole().sum())

    def __contains__(self, sha256: object) -> bool:
        return not self.missing(str(sha256))

    def _whole(self) -> npt.NDArray[np.bool_]:
        return np.asarray(np.logical_and.reduce([places != _NOWHERE for places in self._places.values()]), np.bool_)


def _encoded(photos: Iterable[str]) -> npt.NDArray[np.bytes_]:
    return np.array([sha.encode() for sha in photos], np.bytes_)


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
