"""Which photos of jobs versions are asked about."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from packsight.indexer.gate import job_photos as module
from packsight.indexer.gate.job_photos import job_photos
from packsight.shared.contract.outcomes import Outcome, RecognizeResult, Status
from packsight.shared.queue.results import Results, TaskEnd
from packsight.shared.storage.jobs import JobImage, JobManifest, JobStore
from tests.trust import Shelf


class Ended(Results):
    """What was answered, by task."""

    def __init__(self, ends: dict[str, list[Outcome]] | None = None) -> None:
        self.ends = ends or {}
        self.asked: list[str] = []

    def read(self, task_ids: Sequence[str]) -> dict[str, TaskEnd]:
        self.asked += task_ids
        ended = {name: RecognizeResult(outcomes=self.ends[name]) for name in task_ids if name in self.ends}
        return {name: TaskEnd("SUCCESS", result.model_dump(mode="json"), "") for name, result in ended.items()}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def uploaded(*names: str) -> list[JobImage]:
    shas = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    return [JobImage(reference=f"s3://shelf/uploads/{sha}", name=name, sha256=sha) for name, sha in shas.items()]


def submit(shelf: Shelf, job: str, images: list[JobImage], catalog: str = "default") -> None:
    manifest = JobManifest(job=job, batch_size=2, images=len(images), catalog=catalog, created_at=datetime.now(UTC))
    JobStore(shelf).create(manifest, images)


def drawn(shelf: Shelf, most: int, results: Results | None = None) -> list[str]:
    return [photo.name for photo in job_photos(shelf, results or Ended(), "default", most)]


def test_the_same_photos_are_drawn_again_and_new_ones_take_the_place_of_few(shelf: Shelf) -> None:
    submit(shelf, "20260101-a", uploaded(*(f"{n}.jpg" for n in range(200))))
    first = drawn(shelf, 20)
    assert (len(first), drawn(shelf, 20)) == (20, first)
    assert max(int(name.removesuffix(".jpg")) for name in first) > 100, "from anywhere in the job"
    assert drawn(shelf, 10) == first[:10]
    submit(shelf, "20260102-b", uploaded(*(f"{n}.jpg" for n in range(190, 220))))
    again = drawn(shelf, 20)
    assert len(set(again)) == 20
    assert set(first) - set(again) <= set(first[10:]), "of those with the lowest hashes all stay"
    assert set(again) - set(first) <= {f"{n}.jpg" for n in range(200, 220)}
    assert drawn(shelf, 0) == []


def test_only_photos_in_object_storage_of_jobs_for_this_catalog_are_drawn(shelf: Shelf) -> None:
    submit(shelf, "20260101-a", uploaded("shoe.jpg"), catalog="shoes")
    submit(shelf, "20260102-b", [
        *uploaded("mine.jpg"), JobImage(reference="https://example.com/1.jpg", name="far.jpg", sha256="a" * 64),
        JobImage(reference="s3://elsewhere/uploads/1", name="other.jpg", sha256="b" * 64),
        JobImage(reference=f"s3://shelf/photos/{'c' * 64}", name="catalog.jpg", sha256="c" * 64),
    ])  # fmt: skip
    shelf.objects["jobs/20260103-c/manifest.json"] = b"of a later release"
    submit(shelf, "20260104-d", uploaded("gone.jpg"))
    del shelf.objects["jobs/20260104-d/images.jsonl.gz"]
    assert drawn(shelf, 10) == ["mine.jpg"]


def test_what_could_not_be_looked_at_is_left_out_and_an_answer_tells_the_bytes(shelf: Shelf) -> None:
    images = [*uploaded("good.jpg", "broken.jpg"), *(
        JobImage(reference=f"s3://shelf/incoming/{name}", name=name) for name in ("told.jpg", "unknown.jpg", "good again.jpg")
    )]  # fmt: skip
    submit(shelf, "20260101-a", images)
    good, broken, told, _, again = (image.reference for image in images)
    results = Ended({
        "20260101-a-000000": [
            Outcome(image=good, status=Status.MATCHED, sha256=images[0].sha256),
            Outcome(image=broken, status=Status.FAILED, sha256=images[1].sha256),
        ],
        "20260101-a-000001": [Outcome(image=told, status=Status.NO_MATCH, sha256="d" * 64)],
        "20260101-a-000002": [Outcome(image=again, status=Status.MATCHED, sha256=images[0].sha256)],
    })  # fmt: skip
    found = job_photos(shelf, results, "default", 10)
    assert {photo.sha256 for photo in found} == {images[0].sha256, "d" * 64}
    assert len(found) == 2, "each photo once"
    assert results.asked == ["20260101-a-000000", "20260101-a-000001", "20260101-a-000002"]
    assert {photo.place for photo in found} <= {good, again, told}


def test_of_very_many_photos_those_of_the_newest_jobs_are_looked_at(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", 6)
    submit(shelf, "20260101-a", uploaded("a1", "a2"))
    submit(shelf, "20260102-b", uploaded("b1", "b2", "b3"))
    submit(shelf, "20260103-c", uploaded("c1", "c2"))
    assert set(drawn(shelf, 10)) == {"b1", "b2", "b3", "c1", "c2"}
    submit(shelf, "20260104-d", uploaded(*(f"d{n}" for n in range(9))))
    assert set(drawn(shelf, 20)) == {f"d{n}" for n in range(9)}, "the newest one in any case"
