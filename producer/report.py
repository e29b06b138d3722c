"""The job as one self-contained HTML page: each photo beside the catalog photo it was taken for, with the reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from packsight.producer.columns import corners
from packsight.producer.external_sort import ExternalSort
from packsight.producer.rows import Row
from packsight.producer.thumbnails import Thumbnail, Thumbnails, style_class
from packsight.shared.catalog.words.normalise import tokens
from packsight.shared.contract.errors import ErrorCode, PacksightError, UserError
from packsight.shared.contract.outcomes import Candidate, Outcome, Status
from packsight.shared.contract.references import plain, printable, shown
from packsight.shared.overlap import postprocess
from packsight.shared.storage.files import Part, unwritable
from packsight.shared.storage.jobs import JobManifest

ORDER = (Status.FAILED, Status.AMBIGUOUS, Status.NO_MATCH, Status.MATCHED)
"""What needs a person's eye comes first."""
_CARDS = (Status.AMBIGUOUS, Status.NO_MATCH, Status.MATCHED, Status.FAILED)
"""Cards in a report: what can be judged at a look first, files that show nothing last."""
LABELS = {
    Status.FAILED: "Failed",
    Status.AMBIGUOUS: "Ambiguous",
    Status.NO_MATCH: "Not in the catalog",
    Status.MATCHED: "Matched",
}
_AHEAD = 15
_CANDIDATES = 10
_NEVER_READ = frozenset(
    {
        ErrorCode.REFERENCE_INVALID,
        ErrorCode.REFERENCE_REFUSED,
        ErrorCode.OBJECT_MISSING,
        ErrorCode.BUCKET_MISSING,
        ErrorCode.ACCESS_DENIED,
        ErrorCode.HTTP_STATUS,
        ErrorCode.HOST_UNREACHABLE,
        ErrorCode.FETCH_TIMEOUT,
        ErrorCode.FETCH_FAILED,
        ErrorCode.FILE_TOO_LARGE,
        ErrorCode.FILE_EMPTY,
    }
)
"""Photos that a worker could not read are not asked for again: thousands of timeouts would hold up the page."""
_WORD = re.compile(r"\w+|%")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that was read; `agrees` when it speaks for the first candidate."""

    text: str
    agrees: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A candidate with what the page needs to draw it."""

    candidate: Candidate
    style: str
    link: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text on the photo: its pieces, and its corners as an SVG polygon in pixels of the photo."""

    pieces: list[Piece]
    points: str

    @property
    def agrees(self) -> bool:
        """Whether any of it speaks for the first candidate."""
        return any(piece.agrees for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Region:
    """Where a product is on the photo, as an SVG polygon in pixels of the photo, and what it is."""

    points: str
    name: str


@dataclass(frozen=True, slots=True)
class Card:
    """Everything the page shows of one photo."""

    name: str
    extra: Mapping[str, str]
    outcome: Outcome
    picture: Thumbnail | None
    candidates: list[Shown]
    lines: list[Line]
    regions: list[Region]
    styles: list[tuple[str, Thumbnail]]
    """Catalog photos that no earlier card has brought into the page."""


def mark(text: str, agreeing: set[str]) -> list[Piece]:
    """Cut a line of text: words, and quantities of two words, whose key is among the `agreeing` stand apart."""
    pieces: list[Piece] = []
    words = list(_WORD.finditer(text))
    end = index = 0
    while index < len(words):
        for width in (2, 1):
            start, stop = words[index].start(), words[min(index + width, len(words)) - 1].end()
            if len(keys := word_keys(text[start:stop])) == 1 and keys <= agreeing:
                pieces += [Piece(text[end:start], agrees=False), Piece(text[start:stop], agrees=True)]
                end, index = stop, index + width - 1
                break
        index += 1
    pieces.append(Piece(text[end:], agrees=False))
    return [piece for piece in pieces if piece.text]


def word_keys(text: str) -> set[str]:
    """The words of a text as matching compares them."""
    return {token.key for token in tokens(text)}


def web_link(url: str) -> str:
    """An address that is safe to click on: http and https only, anything else is left out."""
    return url if url.lower().startswith(("http://", "https://")) else ""


def card(row: Row, thumbnails: Thumbnails) -> Card:
    """Gather what the page shows of one photo; missing pictures are left out."""
    outcome = row.outcome
    candidates, styles = [], []
    for candidate in outcome.candidates[:_CANDIDATES]:
        photo = candidate.evidence.nearest_photo
        if picture := thumbnails.of_catalog(photo):
            styles.append((style_class(photo), picture))
        candidates.append(Shown(candidate, style_class(photo), web_link(candidate.product.url)))
    agreeing = {
        key for first in outcome.candidates[:1] for word in first.evidence.words for key in word_keys(word.read)
    }
    lines = [
        Line(mark(word.text, agreeing), " ".join(f"{x:.0f},{y:.0f}" for x, y in word.box)) for word in outcome.words
    ]
    # Without a product, what is shown is where the nearest one would be.
    places = outcome.products or outcome.candidates[:1]
    regions = [Region(corners(one.region), one.product.name) for one in places if one.region]
    unread = outcome.failure is not None and outcome.failure.code in _NEVER_READ
    query = None if unread else thumbnails.of_query(outcome.image)
    return Card(shown(row.name), row.extra, outcome, query, candidates, lines, regions, styles)


class Report:
    """A report being written; an Export like the tables. Nothing stands under its name before `finish`.

    With `single` it is about one photo, which is drawn large and without counts. manifests: what a job is, by its id; where it is
    known the page is named for the job's name, or for where its photos came from.

    Outcomes wait in a temporary file, and pictures are made a few cards ahead of the page, so that thousands of rows
    need little memory.
    """

    def __init__(
        self,
        path: Path,
        thumbnails: Thumbnails,
        *,
        single: bool = False,
        manifests: Callable[[str], JobManifest] | None = None,
    ) -> None:
        self._thumbnails, self._single, self._manifests = thumbnails, single, manifests
        try:
            self._part = Part(path)
        except OSError as error:
            raise unwritable(path, error) from None
        self._rows: ExternalSort[tuple[float, float, float]] = ExternalSort()
        self._counts: Counter[Status] = Counter()
        self._versions: set[str] = set()
        self._jobs: set[str] = set()

    def add(self, row: Row) -> None:
        """Keep a row."""
        outcome = row.outcome
        self._counts[outcome.status] += 1
        if outcome.provenance and outcome.provenance.catalog_version:
            self._versions.add(f"{outcome.provenance.catalog} {outcome.provenance.catalog_version}")
        self._jobs.add(row.job)
        self._rows.add((_CARDS.index(outcome.status), outcome.confidence, row.index), row.line.encode())

    def finish(self) -> None:
        """Write the page and give it its name."""
        title, about = self._about()
        page = (
            environment()
            .get_template("report.html.j2")
            .stream(
                title=title,
                about=about,
                single=self._single,
                made=datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
                versions=sorted(self._versions),
                total=len(self._rows),
                tallies=[(status, LABELS[status], self._counts[status]) for status in ORDER],
                labels=LABELS,
                counts=self._counts,
                cards=self._cards(),
            )
        )
        page.enable_buffering(50)
        with self._part.path.open("wb") as file:
            page.dump(file, encoding="utf-8")
        self._part.finish()
        self._rows.close()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._rows.close()
        self._part.abandon()

    def _about(self) -> tuple[str, list[str]]:
        """The page's heading, and what else says which job it is about."""
        if self._single:
            return "Why this answer", []
        if len(self._jobs) != 1 or self._manifests is None:
            return f"Job {', '.join(sorted(self._jobs))}" if self._jobs else "Job without outcomes", []
        [name] = self._jobs
        try:
            job = self._manifests(name)
        except (PacksightError, UserError):  # removed meanwhile, or storage is away: the page is about its photos
            return f"Job {name}", []
        title, *rest = filter(None, (printable(job.name), plain(job.source), f"Job {job.job}"))
        return title, rest

    def _cards(self) -> Iterator[Card]:
        with ThreadPoolExecutor(4, thread_name_prefix="report") as pool:
            yield from postprocess(pool, lambda record: card(Row.of_line(record), self._thumbnails), self._rows, most=_AHEAD)


def environment() -> Environment:
    """Templates of the pages, escaping everything."""
    made = Environment(
        loader=PackageLoader("packsight.producer"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = lambda share: f"{100 * share:.0f} %"
    return made
