"""The evaluation as one self-contained HTML page: measures, plots, stages, and what was taken for what in pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from packsight.producer.client import Client
from packsight.producer.evaluation.against import Change, Comparison
from packsight.producer.evaluation.document import FITTED, Results, Variants
from packsight.producer.evaluation.local import Catalog
from packsight.producer.evaluation.metrics import Answer, by_kind, confusions, reliability_of, summarise
from packsight.producer.evaluation.plots import FLOOR, SIDE, Curve, Point, curve, points
from packsight.producer.evaluation.stages import ways
from packsight.producer.evaluation.wording import (
    HEADINGS,
    NAMES,
    VERDICT_HEADINGS,
    WAY_HEADINGS,
    answered_by,
    both,
    failures,
    heading,
    mixture,
    rows,
    shares,
    told,
    verdicts,
    way_cells,
)
from packsight.producer.report import environment
from packsight.producer.thumbnails import Thumbnail, thumbnail
from packsight.shared.contract import references
from packsight.shared.contract.errors import PacksightError
from packsight.shared.storage import layout
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.files import write_whole

MAX_CASES = 60
"""Wrong answers shown per section."""

Picture = Callable[[str], Thumbnail | None]
"""The picture behind an image reference; None when it cannot be had."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture with its caption: a bold line, and one below."""

    name: str
    about: str
    picture: Thumbnail | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Photos of one product that were taken for one other: both products in pictures, and the photos."""

    right: Shot
    taken: Shot
    count: int
    photos: list[Shot]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """Questions of one sort: measures, plots, tables of what is measured apart, wrong answers."""

    title: str
    about: str
    failures: list[str]
    measures: list[tuple[str, str]]
    points: list[Point]
    curve: Curve | None
    tables: list[Table]
    pairs: list[Pair]
    left_out: int
    """Wrong answers that are not shown."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What changed since an earlier evaluation."""

    file: str
    about: str
    verdicts: Table | None
    changes: list[tuple[str, Table]]
    only: list[tuple[str, str]]


def write(path: Path, results: Results, catalog: Catalog, client: Client) -> None:
    """Write the page for the version whose products are named and shown in it."""
    fetcher = Fetcher(client.settings, client.store)

    @lru_cache(maxsize=512)
    def picture(reference: str) -> Thumbnail | None:
        try:
            return thumbnail(fetcher.fetch(reference, retries=0), client.settings.decode)
        except PacksightError:
            return None

    try:
        page = render(results, catalog, picture, bucket=client.store.bucket)
    finally:
        fetcher.close()
    write_whole(path, page)


def render(results: Results, catalog: Catalog, picture: Picture, *, bucket: str) -> str:
    """The page; pictures that cannot be had are said to be missing."""
    manifest = catalog.snapshot.manifest
    draw = _Pairs(catalog, picture, bucket)
    wanted = results.precision
    unlisted = results.unlisted.hint(results.catalog) if results.unlisted else ""
    sections = []
    if results.found is not results.own.get(FITTED):
        sections.append(_section("Labelled photos", results.found, results.variants, draw, wanted))
    if results.own:
        title = "The catalog's own photos, each left out"
        sections.append(_section(title, results.own[FITTED], results.own, draw, wanted))
    if results.dropped:
        title = "The same photos, their product not listed"
        sections.append(_section(title, results.dropped[FITTED], results.dropped, draw, wanted))
    return environment().get_template("evaluation.html.j2").render(
        title=f"Evaluation of {manifest.catalog}",
        about=answered_by(results.catalog, results.versions),
        shown=f"Products as in version {manifest.version}: {manifest.products} products, {manifest.photos} photos",
        made=datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        hints=[hint for hint in (mixture(results.versions), unlisted) if hint],
        sections=sections,
        compared=_compared(results.against) if results.against else None,
        precision=wanted,
        side=SIDE,
        floor=FLOOR,
    )


def _section(title: str, found: Sequence[Answer], variants: Variants, draw: _Pairs, precision: float) -> Section:
    total = summarise(found)
    tables = []
    if answered := ways(found):
        tables.append(Table(WAY_HEADINGS, [way_cells(way) for way in answered]))
    if variants:
        tables.append(_apart("Way of deciding", {NAMES.get(name, name): of for name, of in variants.items()}))
    if kinds := by_kind(found):
        tables.append(_apart("Kind", kinds))
    pairs, shown, wrong = [], 0, 0
    for _, group in confusions(found):
        wrong += len(group)
        if kept := group[: max(0, MAX_CASES - shown)]:
            shown += len(kept)
            pairs.append(draw.pair(kept, len(group)))
    plot = points(reliability_of(found)) if total.present else []
    measures = rows(found, precision)
    best = curve(found, precision)
    return Section(title, heading(total), failures(found), measures, plot, best, tables, pairs, wrong - shown)


def _apart(first: str, groups: Variants) -> Table:
    headings = [first, "n", *(name.replace("-\n", "").replace("\n", " ") for name in HEADINGS)]
    return Table(headings, [_row(name, of) for name, of in groups.items()])


def _row(name: str, found: Sequence[Answer]) -> list[str]:
    total = summarise(found)
    cells = ["–" if share.value is None else f"{share.value:.2f}" for share in shares(total)]
    error = total.calibration_error
    return [name, str(total.count), *cells, "–" if error is None else f"{error:.2f}"]


def _compared(comparison: Comparison) -> Compared:
    changes = (("Won", comparison.settled.won), ("Lost", comparison.settled.lost))
    only = (("Only in the earlier one", comparison.only_then), ("Only in this one", comparison.only_now))
    return Compared(
        comparison.file,
        both(comparison),
        Table(VERDICT_HEADINGS, verdicts(comparison)) if comparison.photos else None,
        [(name, _changes(changed)) for name, changed in changes if changed],
        [(name, ", ".join(images)) for name, images in only if images],
    )


def _changes(changed: Sequence[Change]) -> Table:
    cells = [
        (references.shown(one.now.image), one.now.product_id or "none listed", told(one.then), told(one.now)) for one in changed
    ]
    return Table(("Photo", "Shows", "Then", "Now"), cells)


class _Pairs:
    """Draws wrong answers with the catalog's names and pictures."""

    def __init__(self, catalog: Catalog, picture: Picture, bucket: str) -> None:
        self._catalog, self._picture, self._bucket = catalog, picture, bucket

    def pair(self, answers: Sequence[Answer], count: int) -> Pair:
        """Wrong answers with the same product and the same first candidate; `count` of them in all."""
        first = answers[0]
        taken = first.nearest_photo or self._catalog.photo(first.predicted)
        return Pair(
            self._right(first),
            Shot(self._catalog.name(first.predicted), "taken for", self._of_catalog(taken)),
            count,
            [self._shot(answer) for answer in answers],
        )

    def _right(self, answer: Answer) -> Shot:
        if answer.present:
            return Shot(self._catalog.name(answer.product_id), "shows", self._of_catalog(self._catalog.photo(answer.product_id)))
        near = answer.nearest_id
        about = f"nearest: {self._catalog.name(near)}" if near else "shows"
        return Shot("not in the catalog", about, self._of_catalog(self._catalog.photo(near)))

    def _shot(self, answer: Answer) -> Shot:
        picture = self._picture(answer.reference) if answer.reference else None
        return Shot(references.shown(answer.image), f"{answer.status.value}, {answer.confidence:.2f}", picture)

    def _of_catalog(self, sha256: str) -> Thumbnail | None:
        return self._picture(layout.address(self._bucket, layout.photo(sha256))) if sha256 else None
