"""The evaluation as one self-contained HTML page: measures, reliability plot, and the wrong answers in pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from math import sqrt
from pathlib import Path

from packsight.producer.client import Client
from packsight.producer.evaluation.document import FITTED, Results, Variants
from packsight.producer.evaluation.local import Catalog
from packsight.producer.evaluation.metrics import Answer, Bin, by_kind, confusions, reliability_of, summarise
from packsight.producer.evaluation.tables import HEADINGS, NAMES, heading, rows, shares
from packsight.producer.report import environment
from packsight.producer.thumbnails import Thumbnail, thumbnail
from packsight.shared.contract.errors import PacksightError
from packsight.shared.storage import layout
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.files import write_whole

MAX_CASES = 60
"""Wrong answers shown per section."""
PLOT = 260
"""Side of the reliability plot in SVG units."""

Picture = Callable[[str], Thumbnail | None]
"""The picture behind an image reference; None when it cannot be had."""


@dataclass(frozen=True, slots=True)
class Point:
    """A bin on the plot: centre, upper and lower end of its interval, radius, all in SVG units; and its text."""

    x: float
    y: float
    top: float
    bottom: float
    radius: float
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """A wrong answer: the photo, what it was taken for, what it shows; captions and pictures."""

    name: str
    status: str
    confidence: float
    query: Thumbnail | None
    taken: str
    taken_picture: Thumbnail | None
    right: str
    right_picture: Thumbnail | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Photos of one product that were taken for one other."""

    right: str
    taken: str
    count: int
    cases: list[Case]


@dataclass(frozen=True, slots=True)
class Section:
    """Questions of one sort: measures, plot, table of the ways of deciding, wrong answers."""

    title: str
    about: str
    measures: list[tuple[str, str]]
    points: list[Point]
    tables: list[tuple[str, list[list[str]]]]
    pairs: list[Pair]
    left_out: int
    """Wrong answers that are not shown."""


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
    draw = _Cases(catalog, picture, bucket)
    sections = []
    if results.found is not results.own.get(FITTED):
        sections.append(_section("Labelled photos", results.found, results.variants, draw))
    if results.own:
        sections.append(_section("The catalog's own photos, each left out", results.own[FITTED], results.own, draw))
    if results.dropped:
        title = "The same photos, their product not listed"
        sections.append(_section(title, results.dropped[FITTED], results.dropped, draw))
    return environment().get_template("evaluation.html.j2").render(
        title=f"Evaluation of {manifest.catalog}",
        about=f"Version {manifest.version}: {manifest.products} products, {manifest.photos} photos",
        made=datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        headings=[heading.replace("-\n", "").replace("\n", " ") for heading in HEADINGS],
        sections=sections,
        side=PLOT,
    )


def points(bins: Sequence[Bin]) -> list[Point]:
    """Place the bins on the plot: confidence to the right, accuracy upwards, area by the number of photos."""
    total = sum(one.count for one in bins)
    placed = []
    for one in bins:
        accuracy, (low, high) = one.accuracy.value or 0.0, one.accuracy.interval or (0.0, 1.0)
        text = f"{one.count} photos at {one.confidence:.2f}: {accuracy:.2f} right ({low:.2f} to {high:.2f})"
        radius = 3 + 11 * sqrt(one.count / total)
        y, top, bottom = (round(PLOT * (1 - value), 1) for value in (accuracy, high, low))
        placed.append(Point(round(PLOT * one.confidence, 1), y, top, bottom, round(radius, 1), text))
    return placed


def _section(title: str, found: Sequence[Answer], variants: Variants, draw: _Cases) -> Section:
    total = summarise(found)
    tables = []
    if variants:
        tables.append(("Way of deciding", [_row(NAMES.get(name, name), of) for name, of in variants.items()]))
    if kinds := by_kind(found):
        named = {kind: [answer for answer in found if kind in answer.kinds] for kind in kinds}
        tables.append(("Kind", [_row(kind, of) for kind, of in named.items()]))
    pairs, shown, wrong = [], 0, 0
    for (right, taken), group in confusions(found):
        wrong += len(group)
        if kept := group[: max(0, MAX_CASES - shown)]:
            shown += len(kept)
            pairs.append(Pair(draw.name(right), draw.name(taken), len(group), [draw.case(one) for one in kept]))
    plot = points(reliability_of(found)) if total.present else []
    return Section(title, heading(total), rows(total), plot, tables, pairs, wrong - shown)


def _row(name: str, found: Sequence[Answer]) -> list[str]:
    total = summarise(found)
    cells = ["–" if share.value is None else f"{share.value:.2f}" for share in shares(total)]
    error = total.calibration_error
    return [name, str(total.count), *cells, "–" if error is None else f"{error:.2f}"]


class _Cases:
    """Draws wrong answers with the catalog's names and pictures."""

    def __init__(self, catalog: Catalog, picture: Picture, bucket: str) -> None:
        self._catalog, self._picture, self._bucket = catalog, picture, bucket

    def name(self, product: str) -> str:
        return self._catalog.name(product) if product else "not in the catalog"

    def case(self, answer: Answer) -> Case:
        taken = answer.nearest_photo or self._catalog.photo(answer.predicted)
        return Case(
            answer.image,
            answer.status.value,
            answer.confidence,
            self._picture(answer.reference) if answer.reference else None,
            self.name(answer.predicted),
            self._of_catalog(taken),
            self.name(answer.product_id),
            self._of_catalog(self._catalog.photo(answer.product_id or answer.nearest_id)),
        )

    def _of_catalog(self, sha256: str) -> Thumbnail | None:
        return self._picture(layout.address(self._bucket, layout.photo(sha256))) if sha256 else None
