"""What asking a catalog costs, in processor milliseconds a photo; run by path, so that another checkout's packsight can be asked.

`python bench/asking.py VERSION PHOTOS OUT`: folder of a version, a pickle of pairs (product id, features), and the JSON written.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import faiss
import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import look_up
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Query, find_candidates
from packsight.shared.matching.stages import rank_by_all
from packsight.shared.matching.stopping import as_served
from packsight.shared.vision.features import Features

FIRST, FURTHER = 3, 4
"""Lines read before the first question whether they are enough, and the part of those read that is read before the next one: as
packsight.worker.networks.spotters.ppocr.parameters has them."""


def main(version: Path, photos: Path, out: Path) -> None:
    """Ask about every photo; write what it cost."""
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    snapshot = Snapshot.open(version)
    asked: list[tuple[str, Features]] = pickle.loads(photos.read_bytes())
    for _, photo in asked[:5]:  # libraries that are loaded when first needed
        as_served(Query.of(photo, snapshot), snapshot)
    rows = [dict(_costs(product, photo, snapshot)) for product, photo in asked]
    answers = [row.pop("answer") for row in rows]
    found = {name: [row[name] for row in rows] for name in rows[0]}
    kept = {name: found.pop(name) for name in ("right_by_words", "right_first")}
    out.write_text(json.dumps({
        "photos": len(asked),
        "ms": {name: {f"p{part}": round(float(np.percentile(values, part)), 2) for part in (50, 95)}
               for name, values in found.items()},
        **{name: round(float(np.mean(values)), 4) for name, values in kept.items()},
        "answers": answers,
    }))  # fmt: skip


def _costs(product: str, photo: Features, snapshot: Snapshot) -> Iterator[tuple[str, Any]]:
    vocabulary, lines = snapshot.words.vocabulary, photo.words
    frame = Query.of(photo, snapshot).frame
    vocabulary.forget()
    yield "look words up that are new", _spent(lambda: look_up(lines, vocabulary))[0]
    yield "look words up that are known", _spent(lambda: look_up(lines, vocabulary))[0]
    unseen = Query.of_details(photo.local.as_query(), photo.thumbnail, snapshot, (), frame)
    yield "search by looks", _spent(lambda: unseen.with_looks(photo.looks, snapshot))[0]
    query = unseen.with_rest(photo, snapshot)
    spent, found = _spent(lambda: find_candidates(query, query.votes, snapshot))
    yield "find candidates", spent
    only = Query.of_details(photo.local[:0], b"", snapshot).with_words(lines, frame, snapshot)
    by_words = find_candidates(only, only.votes, snapshot)
    number = int(product[1:])
    yield "right_by_words", number in by_words
    asked = unseen.with_looks(photo.looks, snapshot)
    rank_by_all(asked.with_words(lines[:1], frame, snapshot), snapshot)
    vocabulary.forget()
    total = sum(_spent(partial(_asks, asked, lines[:count], snapshot))[0] for count in _counts(len(lines)))
    yield "ask whether it is enough, all times together", total
    vocabulary.forget()
    spent, ranking = _spent(lambda: as_served(unseen.with_rest(photo, snapshot), snapshot))
    yield "search, look up and decide", spent
    yield "right_first", bool(len(ranking.order)) and int(ranking.order[0]) == number
    told = [found.tolist(), ranking.order.tolist(), ranking.probability.round(9).tolist(), ranking.evidence.round(9).tolist()]
    yield "answer", hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _asks(query: Query, lines: Sequence[WordRead], snapshot: Snapshot) -> None:
    rank_by_all(query.with_words(lines, query.frame, snapshot), snapshot)


def _counts(lines: int) -> Iterator[int]:
    """How many lines are known at each question that a reader asks of a photo that stays in doubt."""
    known = FIRST
    while known < lines:
        yield known
        known += max(1, known // FURTHER)


def _spent(call: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.process_time()
    result = call()
    return 1000 * (time.process_time() - begun), result


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
