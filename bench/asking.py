"""What asking a catalog costs, in processor milliseconds a photo; run by path, so that another checkout's packsight can be asked.

`python bench/asking.py VERSION PHOTOS OUT`: folder of a version, a pickle of pairs (number of the product, None for one that is
not listed; features), and the JSON written.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import faiss
import numpy as np

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.words.fuzzy_matches import look_up
from packsight.shared.contract.outcomes import WordRead
from packsight.shared.matching.candidates import Query, find_candidates
from packsight.shared.matching.stages import rank_by_details
from packsight.shared.matching.stopping import as_served, is_enough_read
from packsight.shared.vision.features import Features

FIRST, LEAST, FURTHER = 3, 2, 3
"""Lines read before the first question whether they are enough; how many, and which part of those read, are read before the next
one: as packsight.worker.networks.spotters.ppocr.parameters has them."""

Asked = Sequence[tuple[int | None, Features]]


def main(version: Path, photos: Path, out: Path) -> None:
    """Ask about every photo; write what it cost."""
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    out.write_text(json.dumps(costs(pickle.loads(photos.read_bytes()), Snapshot.open(version))))


def costs(asked: Asked, snapshot: Snapshot) -> dict[str, Any]:
    """What the parts of an answer cost, median and 95th percentile, and how right answers are.

    Every photo is asked as if its details and the lines that tell had decided nothing, its words never seen before.
    """
    for _, photo in asked[:5]:  # libraries that are loaded when first needed
        _questions(Query.of(photo, snapshot), photo.words, snapshot)
        as_served(Query.of(photo, snapshot), snapshot)
    rows = [dict(_costs(product, photo, snapshot)) for product, photo in asked]
    answers = [row.pop("answer") for row in rows]
    found = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    kept = {name: found.pop(name) for name in ("right_by_words", "right_first", "questions", "enough")}
    return {
        "photos": len(asked),
        "ms": {name: {f"p{part}": round(float(np.percentile(values, part)), 2) for part in (50, 95)}
               for name, values in found.items()},
        **{name: round(float(np.mean(values)), 4) for name, values in kept.items()},
        "answers": answers,
    }  # fmt: skip


def _costs(product: int | None, photo: Features, snapshot: Snapshot) -> Iterator[tuple[str, Any]]:
    vocabulary, lines = snapshot.words.vocabulary, photo.words
    frame, local = Query.of(photo, snapshot).frame, photo.local.as_query()
    unseen = Query.of_details(local, photo.thumbnail, snapshot, (), frame)
    yield "votes of details", _spent(lambda: unseen.votes(snapshot))[0]
    spent, by_details = _spent(lambda: rank_by_details(unseen, snapshot))
    yield "geometry of details, and what it says", spent
    vocabulary.forget()
    yield "look words up that are new", _spent(lambda: look_up(lines, vocabulary))[0]
    yield "look words up that are known", _spent(lambda: look_up(lines, vocabulary))[0]
    search, seen = _spent(lambda: unseen.with_looks(photo.looks, snapshot))
    yield "search by looks", search
    query = seen.with_words(lines, frame, snapshot)
    spent, found = _spent(lambda: find_candidates(query, query.votes(snapshot), snapshot))
    yield "find candidates", spent
    only = Query.of_details(local[:0], b"", snapshot).with_words(lines, frame, snapshot)
    by_words = find_candidates(only, only.votes(snapshot), snapshot)
    yield "right_by_words", None if product is None else product in by_words
    vocabulary.forget()
    asking, answers = _spent(lambda: _questions(seen, lines, snapshot))
    yield "ask whether enough was read, until it was", asking
    yield "questions", len(answers)
    yield "enough", answers[-1:] == [True]
    spent, ranking = _spent(lambda: as_served(seen.with_words(lines, frame, snapshot), snapshot, None, by_details))
    yield "decide", spent
    yield "all of it: search, words, questions, decision", search + asking + spent
    yield "right_first", None if product is None else bool(len(ranking.order)) and int(ranking.order[0]) == product
    told = [answers, found.tolist(), *(part.round(9).tolist() for part in (ranking.order, ranking.probability, ranking.evidence))]
    yield "answer", hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _questions(query: Query, lines: Sequence[WordRead], snapshot: Snapshot) -> list[bool]:
    """Answers to the questions whether it is enough that a reader asks, until it is."""
    answers: list[bool] = []
    known = FIRST
    while known < len(lines) and not any(answers):
        answers.append(is_enough_read(query.with_words(lines[:known], query.frame, snapshot), snapshot))
        known += max(LEAST, known // FURTHER)
    return answers


def _spent(call: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.process_time()
    result = call()
    return 1000 * (time.process_time() - begun), result


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
