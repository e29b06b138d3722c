"""Jobs whose outcomes were stored as workers store them, and a small published catalog: for tests of what reads them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from packsight.producer import jobs
from packsight.producer.client import Client
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.contract.outcomes import (
    Candidate,
    Evidence,
    Failure,
    Outcome,
    Product,
    Provenance,
    RecognizeResult,
    Status,
    WordEvidence,
    WordRead,
)
from packsight.shared.queue.app import make_app
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import Job, JobAbout, JobImage, Unopened
from packsight.shared.vision.features import Features
from tests.unit.matching_catalog import NAMES, build, photo, product

SIZE = (300, 400)
_PLACE = [(60.0, 50.0), (240.0, 60.0), (235.0, 350.0), (55.0, 340.0)]
_LINE = [(90.0, 120.0), (210.0, 120.0), (210.0, 150.0), (90.0, 150.0)]


def picture(text: str, colour: tuple[int, int, int] = (196, 88, 60)) -> bytes:
    """A drawn pack with a word on it, as JPEG; another text gives other bytes."""
    image = Image.new("RGB", SIZE, (226, 224, 218))
    draw = ImageDraw.Draw(image)
    draw.polygon(_PLACE, fill=colour)
    draw.text((92, 124), text, fill="white", font_size=22)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def products() -> list[Product]:
    """Those of the catalog that `publish` publishes."""
    return [Product(id=f"p{number}", name=f"{vendor} {model}", vendor=vendor) for number, (vendor, model) in enumerate(NAMES)]


def publish(client: Client, folder: Path, catalog: str = "default") -> Snapshot:
    """Publish twelve products with two photos each, whose pictures are there."""
    rows = [product(number, *names) for number, names in enumerate(NAMES)]
    seen: dict[str, list[Features]] = {}
    for number, row in enumerate(rows):
        seen[row.id] = [photo(f"{row.id}-{side}", [row.name], number) for side in ("front", "back")]
        for features in seen[row.id]:
            client.store.write(layout.photo(features.sha256), picture(row.name, (40 + 15 * number, 90, 200 - 12 * number)))
    snapshot = build(folder, rows, seen, catalog=catalog)
    versions = CatalogStore(client.store, catalog, Trust.of_publisher(client.settings))
    versions.upload(folder)
    versions.point(snapshot.manifest.version, expected=None)
    return snapshot


def outcome(
    number: int, status: Status, confidence: float, *, first: int = 0, words: Sequence[str] = (), catalog: str = "default",
    nearest: Sequence[str] = (), failure: ErrorCode = ErrorCode.IMAGE_TRUNCATED,
) -> Outcome:  # fmt: skip
    """The outcome of a photo called `number`. first: product that comes first; nearest: hashes of catalog photos."""
    image = f"s3://shop/{number}.jpg"
    if status is Status.FAILED:
        return Outcome.failed(image, Failure.of_code(failure, "The file ends too early"))
    known = products()
    shares = (confidence, (1 - confidence) / 2, (1 - confidence) / 4)
    candidates = [
        Candidate(
            product=known[(first + place) % len(known)],
            confidence=share,
            evidence=Evidence(
                visual_similarity=0.8 - 0.2 * place, nearest_photo=nearest[place] if place < len(nearest) else None, inliers=40,
                words=[WordEvidence(read=word, expected=word, rarity=2.0, similarity=1.0) for word in words[:1]],
                missing_words=["serum"], spanned=0.5,
            ),
            region=_PLACE,
        )
        for place, share in enumerate(shares)
    ]  # fmt: skip
    matched = status is Status.MATCHED
    lines = [WordRead(text=word, confidence=0.9, box=_LINE) for word in words]
    return Outcome(
        image=image, status=status, product=candidates[0].product if matched else None, confidence=confidence,
        region=_PLACE if matched else None, products=candidates[:1] if matched else [], candidates=candidates,
        reason="Reads 'Arvelo', which only this product has.", words=lines,
        size=SIZE, sha256=hashlib.sha256(f"{number}".encode()).hexdigest(),
        provenance=Provenance(catalog=catalog, catalog_version="1", embedder="e", spotter="s"), timings={"match": 0.01},
    )  # fmt: skip


def store_job(
    client: Client, names: Sequence[str], outcomes: Sequence[Outcome], *, catalog: str = "default", name: str = "",
    pictures: bool = False, unopened: Sequence[Unopened] = (), ended: bool = True,
) -> Job:  # fmt: skip
    """A job of photos with these names whose outcomes are these. pictures: whether there are photos behind them."""
    images, told = [], []
    for called, one in zip(names, outcomes, strict=True):
        sha256 = one.sha256
        if pictures:
            data = picture(called)
            sha256 = hashlib.sha256(data).hexdigest()
            client.store.write(layout.upload(sha256), data)
        reference = layout.address(client.store.bucket, layout.upload(sha256)) if pictures and sha256 else one.image
        images.append(JobImage(reference=reference, name=called, sha256=sha256))
        told.append(one.model_copy(update={"sha256": sha256}))
    about = JobAbout(name=name, source="photos/")
    options = RecognizeOptions(catalog=catalog)
    job = jobs.create(client.jobs, client.ledger, images, list(unopened), options, 16, about)
    store_outcomes(client, job, told)
    if ended:
        client.ledger.jobs.forget(job.id)
    return job


def store_outcomes(client: Client, job: Job, outcomes: Sequence[Outcome]) -> None:
    """Store the outcomes of a job's first photos, batch by batch."""
    app = make_app("answered", client.settings)
    for batch in job.batches:
        part = outcomes[batch.first : batch.first + len(batch.images)]
        if len(part) == len(batch.images):
            told = [
                one.model_copy(update={"image": image.reference, "sha256": image.sha256})
                for one, image in zip(part, batch.images, strict=True)
            ]
            app.backend.store_result(batch.task_id, RecognizeResult.of(told), "SUCCESS")
    app.close()


def first_photos() -> list[str]:
    """Hashes of a photo of each product that `publish` publishes."""
    return [photo(f"{one.id}-front", [one.name], number).sha256 for number, one in enumerate(products())]


def drawn(count: int, seed: int = 7) -> list[Outcome]:
    """Outcomes of all kinds, as a large job has them."""
    photos = first_photos()
    chance = np.random.default_rng(seed)
    kinds = list(Status)
    found = []
    for number in range(count):
        status = kinds[int(chance.choice(4, p=[0.8, 0.09, 0.09, 0.02]))]
        span = {Status.MATCHED: (0.9, 1.0), Status.AMBIGUOUS: (0.3, 0.8)}.get(status, (0.0, 0.3))
        first = int(chance.integers(len(NAMES)))
        words = [*NAMES[first][1].split(), NAMES[first][0], *(f"word{chance.integers(5000)}" for _ in range(12))]
        nearest = [*photos, *photos][first : first + 3]
        found.append(outcome(number, status, float(chance.uniform(*span)), first=first, words=words, nearest=nearest))
    return found
