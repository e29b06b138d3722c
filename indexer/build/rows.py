"""The rows of a version: those of its parent as far as they serve, and one segment of those that are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from packsight.indexer.build.detail_index import learned, write_points
from packsight.indexer.build.epoch import LEARNED, reason_to_begin, reason_to_end
from packsight.indexer.build.growing import GrowingArray, blocks
from packsight.indexer.build.index import EXACT, Question, add_vectors, build_index
from packsight.indexer.build.kept import Decoded
from packsight.indexer.build.parameters import FitParameters, RowParameters
from packsight.indexer.build.segments import Arrangement, Before, Parent, all_anew, arrange, take_over
from packsight.shared.catalog.arrays import Stacked, open_array
from packsight.shared.catalog.detail_index import DETAILS_INDEX
from packsight.shared.catalog.manifest import Epoch, FileEntry
from packsight.shared.catalog.placement import ByPhoto
from packsight.shared.catalog.projection import Projection
from packsight.shared.catalog.segmented_index import SegmentedIndex, read_trained, write_part, write_trained
from packsight.shared.catalog.tables import PhotoTable
from packsight.shared.catalog.vector_index import VECTOR_INDEX, VectorIndex

_BATCH = 1024
"""Embeddings projected at a time, always as many: how sums are rounded depends on the shape of a matrix product, so that the
vector of a photo would depend on how many are written with it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of a version come about. before: the version whose segments and epoch it has; None where an epoch begins."""

    arrangement: Arrangement
    epoch: Epoch
    before: Before | None

    def take_over(self, folder: Path) -> dict[str, FileEntry]:
        """Write where the photos are, and put what is the parent's into a folder; return what is said of that."""
        self.arrangement.placement.save(folder)
        return {} if self.before is None else take_over(self.before, self.arrangement.kept, LEARNED, folder)


def rows_of(
    parent: Parent | None, photos: PhotoTable, version: str, rules: str, dimension: int, layout: RowParameters, begin: str
) -> Rows:
    """Build upon the rows of the version before, or begin an epoch; photos: those of the version, in its order."""
    reason = begin or reason_to_begin(parent, rules, dimension)
    if not reason and parent is not None and parent.folder is not None and parent.manifest.epoch is not None:
        before = Before(parent.manifest, parent.folder)
        found, epoch = arrange(before.segments, before.rows(photos), layout), parent.manifest.epoch
        reason = reason_to_end(epoch, len(photos), found.added, layout)
        if not reason:
            return Rows(found, epoch.model_copy(update={"added": epoch.added + found.added}), before)
    return Rows(all_anew(len(photos)), Epoch(began=version, reason=reason, rules=rules, photos=len(photos)), None)


def write_vectors(folder: Path, embeddings: Path, rows: Rows, projection: Projection) -> None:
    """Project the raw embeddings of the photos that are written, which a file has."""
    if rows.arrangement.written is not None:
        path = folder / f"{rows.arrangement.written.prefix}vectors.npy"
        with GrowingArray(path, np.float16, projection.dimension) as projected:
            for raw in blocks(embeddings, _BATCH):
                whole = np.zeros((_BATCH, raw.shape[1]), np.float32)
                whole[: len(raw)] = raw
                projected.append(projection(whole)[: len(raw)].astype(np.float16))


def write_index(folder: Path, rows: Rows, parameters: FitParameters) -> tuple[str, float]:
    """Index the vectors that were written; return the name of the index, and its recall with those of all segments in it."""
    arrangement, placement = rows.arrangement, rows.arrangement.placement
    vectors = [open_array(folder / f"{segment.prefix}vectors.npy") for segment in arrangement.segments]
    if rows.before is None:
        built = build_index(vectors[0], parameters.index)
        write_part(built.index, folder, arrangement.segments[0].prefix + VECTOR_INDEX)
        write_trained(built.index, folder, VECTOR_INDEX)
        return built.name, built.recall
    if arrangement.written is not None:
        further = read_trained(folder, VECTOR_INDEX)
        add_vectors(further, vectors[-1])
        write_part(further, folder, arrangement.written.prefix + VECTOR_INDEX)
    name = rows.before.manifest.index
    if name == EXACT:
        return name, 1.0
    names = [segment.prefix + VECTOR_INDEX for segment in arrangement.segments]
    index = VectorIndex(SegmentedIndex.open(folder, VECTOR_INDEX, names, placement.whole), placement)
    by_photo = ByPhoto(Stacked.of(vectors), placement.photo_row)
    return name, Question.of(by_photo, parameters.index.sample_later).recall(index)


def write_details(folder: Path, rows: Rows, parameters: FitParameters) -> None:
    """Index the key points that were written."""
    written = rows.arrangement.written
    if written is None:
        return
    descriptors = Decoded(open_array(folder / f"{written.prefix}descriptors.npy"))
    index = learned(descriptors, parameters.details) if rows.before is None else read_trained(folder, DETAILS_INDEX)
    write_points(index, descriptors, folder, written.prefix + DETAILS_INDEX)
    if rows.before is None:
        write_trained(index, folder, DETAILS_INDEX)
