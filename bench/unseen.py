"""`python -m bench.unseen`: what is said of photos on which nothing can be recognised, and of products that are absent.

Photos of listed products are made worse in steps: of those that nobody can recognise, hardly any may be `no_match`, since the
catalog has the product. Good photos, asked as if their product had never been listed, and those of products that are not, must
stay `no_match` as often as without the question whether a product could have been seen. Without servers, by the drawn shop or a
set of photos; `--photos` is a folder as for bench.sets.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import faiss
import typer
from rich.console import Console
from rich.table import Table

from bench import entry
from bench.degraded import KINDS
from bench.described import Described, described
from bench.photos import PhotoSet, demo, sample
from bench.sets import sets_in
from packsight.indexer.build.prior import PRIOR
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Status
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.decision import judged, status_of
from packsight.shared.matching.exclusion import Exclusion
from packsight.shared.matching.stopping import as_served
from packsight.shared.settings import Decode, Models
from packsight.shared.vision.features import Features, as_packed, make_features
from packsight.worker.networks.base import Embedder, Spotter
from packsight.worker.networks.load import load_embedder, load_spotter
from packsight.worker.pipeline.decode import Photo, Pixels, decode
from packsight.worker.pipeline.local_features import query_features, thumbnail
from packsight.worker.pipeline.reading import read_in_parts

LISTED, UNLISTED, ABSENT = "listed, as it is", "listed, as if it were not", "absent"


@dataclass(frozen=True, slots=True)
class Said:
    """What is answered: whether the first candidate is right, the status, what it would be if nobody asked what the photo lacks,
    and what it lacks."""

    right: bool
    status: Status
    unasked: Status
    lacking: tuple[str, ...]


def main(
    photos: Annotated[Path | None, typer.Option(help="Folder of sets, as for bench.sets; by default the drawn shop.")] = None,
    each: Annotated[int, typer.Option(min=1, help="Photos of a set that are made worse.")] = 12,
    keep: Annotated[Path, typer.Option(help="Folder for what the networks saw.")] = Path("bench-out/described"),
    models: Annotated[Path, typer.Option(help="Folder for compiled networks.")] = Path("bench-out/models"),
) -> None:
    """Ask, count and print a table for each set."""
    cv2.setNumThreads(1)
    faiss.omp_set_num_threads(1)
    settings = Models(cache_dir=models)
    embedder, spotter = load_embedder(settings, 1), load_spotter(settings, 1)
    console = Console(width=130)
    with tempfile.TemporaryDirectory(prefix="packsight-unseen-") as folder:
        for number, given in enumerate([demo(Path(folder) / "demo")] if photos is None else sets_in(photos)):
            [one] = described([given], embedder, spotter, keep)
            snapshot = one.snapshot(PRIOR, Path(folder) / str(number))
            said = as_they_are(one, snapshot)
            for kind, answer in made_worse(given, each, snapshot, embedder, spotter):
                said[kind].append(answer)
            console.print(table(given.name, said))


def as_they_are(one: Described, snapshot: Snapshot) -> dict[str, list[Said]]:
    """Answers to all labelled photos, listed products also as if they were not."""
    number = {product.id: index for index, product in enumerate(snapshot.products)}
    said: dict[str, list[Said]] = defaultdict(list)
    for sha256, product_id in one.asked:
        features = one.features[sha256]
        if product_id not in number:
            said[ABSENT].append(ask(features, snapshot, None, -1))
            continue
        said[LISTED].append(ask(features, snapshot, None, number[product_id]))
        said[UNLISTED].append(ask(features, snapshot, Exclusion.of_product(snapshot, number[product_id]), -1))
    return said


def made_worse(
    photos: PhotoSet, each: int, snapshot: Snapshot, embedder: Embedder, spotter: Spotter
) -> Iterator[tuple[str, Said]]:
    """Answers to photos of listed products, made worse in every way and step."""
    number = {product.id: index for index, product in enumerate(snapshot.products)}
    usable = set(photos.usable())
    listed = [label for label in photos.labels if label.product_id in number and photos.path(label) in usable]
    limits = Decode(min_side=1)  # what is refused for its size would be no answer
    for label in sample(listed, each):
        pixels = decode(photos.path(label).read_bytes(), limits).pixels
        for kind, (change, steps) in KINDS.items():
            for step in steps:
                looked = look(change(pixels, step), limits, embedder, spotter)
                yield f"{kind} {step:g}", ask(looked, snapshot, None, number[label.product_id])


def look(pixels: Pixels, limits: Decode, embedder: Embedder, spotter: Spotter) -> Features:
    """What a worker sees of RGB pixels [height, width, 3] that come as a JPEG."""
    data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    photo: Photo = decode(data, limits)
    [embedding], [words] = embedder.embed([photo.pixels]), read_in_parts(spotter, [photo])
    size, local = (photo.width, photo.height), as_packed(query_features(photo))
    return make_features(hashlib.sha256(data).hexdigest(), size, embedding, words, local, thumbnail(photo))


def ask(features: Features, snapshot: Snapshot, exclusion: Exclusion | None, right: int) -> Said:
    """Answer as a worker does."""
    query = Query.of(features, snapshot)
    ranking = as_served(query, snapshot, exclusion)
    status, lacking = judged(query, ranking, snapshot)
    first = int(ranking.order[0]) if len(ranking.order) else -1
    return Said(first == right >= 0, status, status_of(ranking, snapshot), tuple(lack.value for lack in lacking))


def table(name: str, said: dict[str, list[Said]]) -> Table:
    """One row for each kind of photo."""
    made = Table(name, "photos", "right first", "matched", "no_match", "if not asked", "lacking", box=None, title_justify="left")
    for kind, answers in said.items():
        lacking = Counter(lack for answer in answers for lack in answer.lacking)
        made.add_row(
            kind,
            str(len(answers)),
            _share([answer.right for answer in answers]),
            _share([answer.status is Status.MATCHED for answer in answers]),
            _share([answer.status is Status.NO_MATCH for answer in answers]),
            _share([answer.unasked is Status.NO_MATCH for answer in answers]),
            ", ".join(f"{lack} {count}" for lack, count in lacking.most_common(3)),
        )
    worse = [answer for kind, answers in said.items() if kind not in {LISTED, UNLISTED, ABSENT} for answer in answers]
    lost = [answer for answer in worse if not answer.right]
    made.add_row("made worse, not right first", str(len(lost)), "", "", *_both(lost), "")
    absent = [*said[UNLISTED], *said[ABSENT]]
    made.add_row("not listed, good photos", str(len(absent)), "", "", *_both(absent), "")
    return made


def _both(answers: Sequence[Said]) -> tuple[str, str]:
    return (
        _share([answer.status is Status.NO_MATCH for answer in answers]),
        _share([answer.unasked is Status.NO_MATCH for answer in answers]),
    )


def _share(values: Sequence[bool]) -> str:
    return f"{sum(values) / len(values):.3f}" if values else "–"


if __name__ == "__main__":
    entry.run(main)
