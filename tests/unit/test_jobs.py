"""How a job is cut into messages."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from packsight.shared.storage import jobs
from packsight.shared.storage.jobs import JobImage, JobManifest


def images(count: int) -> list[JobImage]:
    return [JobImage(reference=f"s3://bucket/{index}.jpg", name=f"{index}.jpg") for index in range(count)]


def test_every_image_is_in_one_batch_and_in_order() -> None:
    manifest = JobManifest(job="spring", batch_size=4, images=10)
    cut = list(jobs.batches(manifest, images(10)))
    assert [name for name, _ in cut] == ["spring-000000", "spring-000001", "spring-000002"]
    assert [len(batch) for _, batch in cut] == [4, 4, 2]
    assert [image for _, batch in cut for image in batch] == images(10)
    assert jobs.task_ids(manifest) == [name for name, _ in cut]


@pytest.mark.parametrize(("count", "messages"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2)])
def test_the_last_batch_may_be_short_but_never_empty(count: int, messages: int) -> None:
    assert JobManifest(job="spring", batch_size=4, images=count).batches == messages


def test_the_argument_of_a_task_carries_the_options_of_its_job() -> None:
    manifest = JobManifest(job="spring", catalog="shoes", top_k=3, images=2)
    request = jobs.request(manifest, images(2))
    assert (request.catalog, request.top_k) == ("shoes", 3)
    assert request.images == ["s3://bucket/0.jpg", "s3://bucket/1.jpg"]


def test_ids_of_jobs_differ_and_are_allowed_names() -> None:
    made = {jobs.new_job_id() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(jobs.JOB_NAME, name) for name in made)


@pytest.mark.parametrize("name", ["", "../x", "Spring", "a/b", "-x"])
def test_a_name_that_could_lead_elsewhere_in_the_bucket_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        JobManifest(job=name, images=1)


def test_a_manifest_reads_back_as_it_was_written() -> None:
    manifest = JobManifest(job="spring", images=7)
    assert JobManifest.model_validate_json(manifest.model_dump_json()) == manifest
