"""Packs of features: rows that nothing needs go, and small packs are put together.

Each message of a sync leaves a pack of each part. Packs of like size are put together when there are eight of them, as in
log-structured merge trees (O'Neil et al., The log-structured merge-tree, 1996): then there are at most seven of each of four
sizes beside the full ones, and a row is written again at most four times. A pack of which a fifth is not needed is written
again without it.

A pack that was put together is named by what it holds and by the time of the youngest that it was made of, so that its rows do
not become younger and doing it again writes the same. The old packs go when the new one is there: whoever is killed in between
leaves rows twice, which are the same, and the next time one of them is not needed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from packsight.indexer.collection.ages import Ages
from packsight.indexer.collection.marks import Marks
from packsight.shared.contract.messages import Part
from packsight.shared.storage import layout
from packsight.shared.storage.feature_store import ROWS, FeatureStore
from packsight.shared.storage.objects import Listed, ObjectStore

FULL = 4096
"""Rows of a full pack, about 200 MB of key points: read by groups, a million photos are 250 packs of each part."""
TOGETHER = 8
"""Packs of like size that are put together."""
SPARSE = 0.2
"""Share of a pack's rows that nothing needs from which it is written again: so packs are at most a quarter larger than what is
needed of them."""
_MADE = re.compile(r"m(\d{10})-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Pack:
    """A shard, when its rows were made, and which of them are needed."""

    key: str
    size: int
    made: datetime
    rows: int
    needed: tuple[int, ...]
    """Row numbers."""

    @property
    def is_sparse(self) -> bool:
        """Whether so much of it is not needed that it is worth writing again."""
        return len(self.needed) <= (1 - SPARSE) * self.rows

    @property
    def rank(self) -> int:
        """Packs of the same rank are of like size."""
        return sum(len(self.needed) >= TOGETHER**power for power in range(1, 4))


@dataclass(frozen=True, slots=True)
class Compaction:
    """What was or would be done to the packs of one part: bytes that go and packs that are put together."""

    part: str
    packs: int
    rows: int
    needed: int
    removed: int
    """Packs that go, those that are put together among them."""
    written: int
    """Packs in their place."""
    bytes: int
    """Of all packs before."""


def packs_of(store: ObjectStore, features: FeatureStore, folder: str, photos: Marks, ages: Ages) -> list[Pack]:
    """The packs of one part that were made in one way, large ones first; a row that an earlier one has is not needed."""
    known: set[str] = set()
    found: list[Pack] = []
    listed = [one for one in store.listed(folder) if one.key.endswith(layout.SHARD)]
    for one in sorted(listed, key=lambda one: (-one.size, one.key)):
        names, made = features.photos(one.key), _made(one)
        young = ages.now - made <= ages.features
        needed = tuple(row for row, sha in enumerate(names) if sha not in known and (young or sha in photos))
        known.update(names)
        found.append(Pack(one.key, one.size, made, len(names), needed))
    return found


def _made(listed: Listed) -> datetime:
    name = _MADE.fullmatch(listed.key.rpartition("/")[2].removesuffix(layout.SHARD))
    return datetime.fromtimestamp(int(name[1]), UTC) if name is not None else listed.modified


def chosen(packs: Sequence[Pack]) -> list[Pack]:
    """Packs to be written again or put together; nothing when they are as they should be."""
    sparse = [pack for pack in packs if pack.is_sparse]
    small = [pack for pack in packs if not pack.is_sparse and len(pack.needed) < FULL]
    ranks = [[pack for pack in small if pack.rank == rank] for rank in range(4)]
    crowded = [pack for rank in ranks if len(rank) >= TOGETHER for pack in rank]
    return sorted([*sparse, *crowded], key=lambda pack: (pack.made, pack.key))


def compact(
    store: ObjectStore,
    features: FeatureStore,
    part: Part,
    photos: Marks,
    ages: Ages,
    still_ours: Callable[[], None],
    *,
    dry_run: bool = False,
) -> Compaction:
    """Put the packs of one part in order; `still_ours` is asked before packs are removed, and raises when they must stay."""
    folder = features.key(part, "")
    packs = packs_of(store, features, folder, photos, ages)
    old = chosen(packs)
    batches = list(_batches(old))
    if not dry_run:
        written = {_write(store, features, folder, batch) for batch in batches}
        for number, pack in enumerate(old):
            if number % 64 == 0:
                still_ours()
            if pack.key not in written:
                store.remove(pack.key)
    rows, needed = sum(pack.rows for pack in packs), sum(len(pack.needed) for pack in packs)
    return Compaction(part, len(packs), rows, needed, len(old), len(batches), sum(pack.size for pack in packs))


def _batches(packs: Sequence[Pack]) -> Iterator[list[Pack]]:
    """Packs that become one, none of them empty, of FULL rows together or a little more."""
    batch: list[Pack] = []
    for pack in packs:
        if pack.needed:
            batch.append(pack)
        if sum(len(one.needed) for one in batch) >= FULL:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(store: ObjectStore, features: FeatureStore, folder: str, packs: Sequence[Pack]) -> str:
    """Write the needed rows of packs into one, in groups, and return its key."""
    names = [[features.photos(pack.key)[row] for row in pack.needed] for pack in packs]
    digest = hashlib.sha256("\n".join(sha for one in names for sha in one).encode()).hexdigest()[:32]
    made = max(pack.made for pack in packs)
    key = f"{folder}m{int(made.timestamp()):010d}-{digest}{layout.SHARD}"
    if any(pack.key == key for pack in packs):
        return key
    with TemporaryDirectory() as place:
        file = Path(place) / "pack"
        _put_together(file, features, packs)
        store.upload(key, str(file))
    return key


def _put_together(file: Path, features: FeatureStore, packs: Sequence[Pack]) -> None:
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.Table] = []
    for pack in packs:
        table = pq.read_table(features.file(pack.key)).take(pa.array(pack.needed, pa.int64()))
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        waiting.append(table)
        if sum(one.num_rows for one in waiting) >= ROWS:
            rest = pa.concat_tables(waiting)
            whole = rest.num_rows // ROWS * ROWS
            writer.write_table(rest.slice(0, whole), row_group_size=ROWS)
            waiting = [rest.slice(whole)]
    if writer is not None:
        if rest := pa.concat_tables(waiting):
            writer.write_table(rest, row_group_size=ROWS)
        writer.close()
