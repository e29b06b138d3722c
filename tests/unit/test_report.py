from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from packsight.producer import drawing as drawn
from packsight.producer.drawing import PLACE, drawing
from packsight.producer.external_sort import ExternalSort
from packsight.producer.report import Report, card, mark, web_link
from packsight.producer.rows import Row
from packsight.producer.thumbnails import SIDE, Thumbnails, style_class
from packsight.shared.contract.errors import ADVICE, ErrorCode, ImageError, StorageError, UserError
from packsight.shared.contract.outcomes import (
    Candidate,
    Evidence,
    Failure,
    Outcome,
    Polygon,
    Product,
    Provenance,
    Status,
    WordEvidence,
    WordRead,
)
from packsight.shared.settings import Decode
from packsight.shared.storage.jobs import JobManifest

CATALOG_PHOTO = "ab" * 32
ATTACK = '"><script>alert(1)</script>'


class Page(HTMLParser):
    """Collects what a browser would load or run, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def picture(kind: str = "JPEG", size: tuple[int, int] = (800, 400)) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def read(name: str) -> bytes:
    if name == "gone":
        raise ImageError(ErrorCode.OBJECT_MISSING, "gone")
    return b"no picture" if name == "broken" else picture()


def row(index: int, status: Status, confidence: float = 0.0, *, image: str = "photo", text: str = "Acme cream") -> Row:
    evidence = Evidence(
        visual_similarity=0.5,
        nearest_photo=CATALOG_PHOTO,
        words=[WordEvidence(read="cream", expected="cream", rarity=1, similarity=1)],
    )
    product = Product(id=f"id-{index}", name=text, vendor=text, url=f"javascript:{text}")
    failure = None
    if status is Status.FAILED:
        failure = Failure.of_code(ErrorCode.IMAGE_BROKEN, text)
    outcome = Outcome(
        image=image,
        status=status,
        product=product if status is Status.MATCHED else None,
        confidence=confidence,
        candidates=[] if failure else [Candidate(product=product, confidence=confidence, evidence=evidence)],
        reason=text,
        words=[WordRead(text=f"{text} 50 ml", confidence=0.9, box=[(0, 0), (9, 0), (9, 4), (0, 4)])],
        size=(800, 400),
        failure=failure,
        provenance=Provenance(catalog="default", catalog_version=f"v{text}", embedder="e", spotter="s"),
    )
    return Row("job-1", index, f"row {index} {text}", outcome)


def render(folder: Path, *rows: Row) -> Page:
    report = Report(folder / "report.html", Thumbnails(read, read, Decode()))
    for one in rows:
        report.add(one)
    report.finish()
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_what_needs_an_eye_comes_first_then_matches_by_rising_confidence_then_files_that_show_nothing(tmp_path: Path) -> None:
    rows = [
        row(0, Status.MATCHED, 0.9),
        row(1, Status.MATCHED, 0.6),
        row(2, Status.NO_MATCH, 0.1),
        row(3, Status.AMBIGUOUS, 0.5),
        row(4, Status.FAILED),
    ]
    page = render(tmp_path, *rows)
    assert re.findall(r"row (\d)", page.text) == ["3", "2", "1", "0", "4"]
    assert [a["class"] for a in page.all("article")] == [
        "card ambiguous",
        "card no_match",
        "card matched",
        "card matched",
        "card failed",
    ]
    assert "Nearest, 10 % likely" in page.text, "how likely what is nearest is, beside its name"
    bars = [a for a in page.all("div") if a.get("class") == "confidence"]
    assert len(bars) == 3, "none beside a verdict that says no"


def with_products(shown: Row, *regions: Polygon | None) -> Row:
    """The same with products found there, the first being the outcome's."""
    (first,) = shown.outcome.candidates
    products = [
        first.model_copy(update={"product": Product(id=f"found-{number}", name=f"found {number}"), "region": region})
        for number, region in enumerate(regions)
    ]
    outcome = shown.outcome.model_copy(update={"products": products, "region": regions[0], "product": products[0].product})
    return Row(shown.job, shown.index, shown.name, outcome)


def test_where_each_product_is_found_is_outlined_and_all_are_named(tmp_path: Path) -> None:
    here, there = [(0.0, 0.0), (100.0, 0.0), (50.5, 80.0)], [(400.0, 10.0), (700.0, 10.0), (700.0, 300.0)]
    page = render(tmp_path, with_products(row(0, Status.MATCHED, 0.9), here, None, there))
    outlines = [polygon["points"] for polygon in page.all("polygon") if polygon.get("class") == "region"]
    assert outlines == ["0,0 100,0 50.5,80", "400,10 700,10 700,300"]
    assert re.findall(r"found \d", page.text) == ["found 0", "found 0", "found 1", "found 2"]


def test_a_drawing_outlines_where_products_are(tmp_path: Path) -> None:
    pictures = Thumbnails(read, read, Decode(), side=SIDE)
    shown = with_products(row(0, Status.MATCHED, 0.9), [(100.0, 50.0), (700.0, 50.0), (700.0, 350.0), (100.0, 350.0)])
    outlined = np.all(drawing(card(shown, pictures))[..., :3] == PLACE, axis=2)
    across, down = np.flatnonzero(outlined.any(axis=0)), np.flatnonzero(outlined.any(axis=1))
    scale = drawn.SIDE / 800
    assert np.ptp(across) == pytest.approx(600 * scale, abs=3) and np.ptp(down) == pytest.approx(300 * scale, abs=3)
    bare = row(0, Status.MATCHED, 0.9)
    assert not np.all(drawing(card(bare, pictures)) == PLACE, axis=2).any()


def test_nothing_from_a_photo_or_a_feed_can_act_on_the_page(tmp_path: Path) -> None:
    page = render(tmp_path, *(row(number, status, text=ATTACK) for number, status in enumerate(Status)))
    assert page.all("script") == []
    assert page.all("a") == []
    assert ATTACK in page.text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    policies = [tag["content"] for tag in page.all("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = render(tmp_path, row(0, Status.MATCHED, 0.9), row(1, Status.FAILED, image="gone"))
    assert page.all("link") == []
    assert [image["src"][:10] for image in page.all("img") if image["src"]] == ["data:image"]
    html = (tmp_path / "report.html").read_text()
    assert set(re.findall(r"url\(\"([a-z]+:)", html)) == {"data:"}


def test_a_catalog_photo_is_put_into_the_page_once_however_often_it_is_shown(tmp_path: Path) -> None:
    render(tmp_path, *(row(number, Status.MATCHED, 0.5) for number in range(30)))
    html = (tmp_path / "report.html").read_text()
    assert html.count(f".{style_class(CATALOG_PHOTO)}{{") == 1
    assert html.count(f'class="stock {style_class(CATALOG_PHOTO)}"') == 60


def test_pictures_are_small_and_load_when_they_are_seen(tmp_path: Path) -> None:
    page = render(tmp_path, row(0, Status.MATCHED, 0.9))
    (image,) = page.all("img")
    assert image["loading"] == "lazy"
    data = base64.b64decode(str(image["src"]).partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (SIDE, SIDE // 2)


@pytest.mark.parametrize("image", ["gone", "broken"])
def test_a_photo_that_cannot_be_shown_is_said_to_be_missing(tmp_path: Path, image: str) -> None:
    page = render(tmp_path, row(0, Status.FAILED, image=image))
    assert page.all("img") == []
    assert "No preview" in page.text
    assert ADVICE[ErrorCode.IMAGE_BROKEN].remedy in page.text


def test_a_photo_that_no_worker_could_read_is_not_asked_for_again(tmp_path: Path) -> None:
    unread = row(0, Status.FAILED)
    assert unread.outcome.failure is not None
    failure = unread.outcome.failure.model_copy(update={"code": ErrorCode.FETCH_TIMEOUT})
    page = render(tmp_path, Row("job", 0, "slow", unread.outcome.model_copy(update={"failure": failure})))
    assert page.all("img") == []
    assert len(render(tmp_path, unread).all("img")) == 1


def test_words_that_speak_for_the_candidate_are_marked(tmp_path: Path) -> None:
    page = render(tmp_path, row(0, Status.MATCHED, 0.9))
    assert len(page.all("mark")) == 1
    assert [polygon.get("class") for polygon in page.all("polygon")] == ["agrees"]


def test_marking_knows_case_accents_look_alike_letters_and_quantities() -> None:
    # The second line is Cyrillic; keys are as matching makes them.
    assert [piece.text for piece in mark("L'ÉCLAT — Éclat", {"leclat", "eclat"}) if piece.agrees] == [
        "L'ÉCLAT",
        "Éclat",
    ]
    assert [piece.text for piece in mark("КРЕМ 50 мл, 305 cool", {"kpem", "50ml", "305"}) if piece.agrees] == [
        "КРЕМ",
        "50 мл",
        "305",
    ]
    text = "nothing agrees here"
    assert [(piece.text, piece.agrees) for piece in mark(text, {"other"})] == [(text, False)]


def test_only_web_addresses_become_links() -> None:
    assert web_link("https://shop.example/1") == "https://shop.example/1"
    assert [web_link(url) for url in ("javascript:alert(1)", " https://x", "data:text/html,x", "")] == [""] * 4


def test_a_photo_id_that_is_no_hash_never_reaches_the_style_sheet() -> None:
    assert style_class("x{}</style><script>") == ""
    assert style_class(None) == ""


def test_an_empty_job_gives_a_page_that_says_so(tmp_path: Path) -> None:
    assert "no outcomes yet" in render(tmp_path).text


@pytest.mark.parametrize(
    ("name", "source", "heading", "about"),
    [
        ("Spring", "s3://shop/shelf", "Spring", "s3://shop/shelf · Job 20261127-154412-dedc9e · "),
        ("", "https://a.example/x?key=5ec2e7 (3 photos), b/ (1 photo)", "https://a.example/x?… (3 photos), b/ (1 photo)",
         "Job 20261127-154412-dedc9e · "),
        ("", "", "Job 20261127-154412-dedc9e", ""),
        ("<b>", "", "&lt;b&gt;", "Job 20261127-154412-dedc9e · "),
    ],
)
def test_a_report_is_named_for_its_job(tmp_path: Path, name: str, source: str, heading: str, about: str) -> None:
    job = JobManifest(job="20261127-154412-dedc9e", batch_size=2, images=1, name=name, source=source)
    report = Report(tmp_path / "report.html", Thumbnails(read, read, Decode()), manifests=lambda _: job)
    report.add(row(0, Status.MATCHED))
    report.finish()
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<h1>{heading}</h1>" in page
    assert f'<p class="about">{about}' in page and "5ec2e7" not in page
    assert all(f"{column}: " in page for column in ("Confidence", "Looks", "Words", "Points"))


@pytest.mark.parametrize("gone", [UserError("no such job"), StorageError(ErrorCode.HOST_UNREACHABLE, "jobs/job")])
def test_a_report_is_written_of_a_job_of_which_nothing_is_known(tmp_path: Path, gone: Exception) -> None:
    def manifests(job: str) -> JobManifest:
        raise gone

    report = Report(tmp_path / "report.html", Thumbnails(read, read, Decode()), manifests=manifests)
    report.add(row(0, Status.MATCHED))
    report.finish()
    assert f"<h1>Job {row(0, Status.MATCHED).job}</h1>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_an_abandoned_report_leaves_nothing(tmp_path: Path) -> None:
    report = Report(tmp_path / "report.html", Thumbnails(read, read, Decode()))
    report.add(row(0, Status.MATCHED))
    report.abandon()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="cannot be written"):
        Report(tmp_path / "no" / "report.html", Thumbnails(read, read, Decode()))
    with pytest.raises(UserError, match=r"is a folder\. Name a file"):
        Report(tmp_path, Thumbnails(read, read, Decode()))


def test_a_records_gives_records_back_by_their_keys() -> None:
    records: ExternalSort[tuple[float, float]] = ExternalSort()
    for number in (5, 3, 9, 1):
        records.add((number % 2, number), str(number).encode())
    assert list(records) == [b"1", b"3", b"5", b"9"]
    records.add((0.0, 0.0), b"0")
    assert [*records] == [b"0", b"1", b"3", b"5", b"9"]
    assert len(records) == 5
    records.close()
