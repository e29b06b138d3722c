"""How a job is cut into messages."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from pydantic import ValidationError

from packsight.producer import cli
from packsight.producer.client import Client
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import CALLED, OptionKeywords, RecognizeOptions, RecognizeRequest, parse_options
from packsight.shared.storage import jobs
from packsight.shared.storage.jobs import Job, JobImage, JobManifest


def images(count: int) -> list[JobImage]:
    return [JobImage(reference=f"s3://bucket/{index}.jpg", name=f"{index}.jpg") for index in range(count)]


def test_every_image_is_in_one_batch_and_in_order() -> None:
    manifest = JobManifest(job="spring", batch_size=4, images=10)
    cut = Job.of(manifest, images(10)).batches
    assert [batch.task_id for batch in cut] == ["spring-000000", "spring-000001", "spring-000002"]
    assert [(batch.index, batch.first, len(batch.images)) for batch in cut] == [(0, 0, 4), (1, 4, 4), (2, 8, 2)]
    assert [image for batch in cut for image in batch.images] == images(10)
    assert jobs.task_ids(manifest) == [batch.task_id for batch in cut]
    assert {batch.job for batch in cut} == {"spring"}


@pytest.mark.parametrize(("count", "messages"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2)])
def test_the_last_batch_may_be_short_but_never_empty(count: int, messages: int) -> None:
    assert JobManifest(job="spring", batch_size=4, images=count).batches == messages


def test_the_argument_of_a_task_carries_the_options_of_its_job() -> None:
    manifest = JobManifest(job="spring", catalog="shoes", top_k=3, read_all=True, images=2)
    (batch,) = Job.of(manifest, images(2)).batches
    request = batch.request(manifest)
    assert (request.catalog, request.top_k, request.read_all) == ("shoes", 3, True)
    assert request.images == ["s3://bucket/0.jpg", "s3://bucket/1.jpg"]


def test_options_stand_flat_beside_what_else_a_message_and_a_manifest_hold() -> None:
    options = parse_options(catalog="shoes", top_k=3)
    flat = {"catalog": "shoes", "top_k": 3, "read_all": False, "max_products": 1}
    assert RecognizeRequest.of(["s3://b/1"], options).model_dump() == {"version": 1, "images": ["s3://b/1"], **flat}
    assert flat.items() <= JobManifest(job="spring", images=1, **options.model_dump()).model_dump().items()


def test_an_option_that_says_nothing_new_is_no_part_of_a_message() -> None:
    assert "max_products" not in RecognizeRequest(images=["s3://b/1"]).argument(), "workers of 0.1 refuse what they do not know"
    assert RecognizeRequest(images=["s3://b/1"], max_products=3).argument()["max_products"] == 3


def test_every_option_can_be_given_as_a_keyword() -> None:
    assert list(OptionKeywords.__annotations__) == list(RecognizeOptions.model_fields)


def test_a_jobs_manifest_serves_as_the_options_of_another() -> None:
    manifest = JobManifest(job="spring", catalog="shoes", top_k=3, images=2)
    assert parse_options(manifest, read_all=True) == RecognizeOptions(catalog="shoes", top_k=3, read_all=True)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"catalog": "No Such Name!"}, "Use lower-case letters"), ({"catalog": 3}, "catalog: "),
        ({"top_k": 51}, "top_k: "), ({"topk": 3}, "topk: "),
        ({"max_products": 21}, "max_products: "),
    ],
)
def test_an_option_that_no_message_can_carry_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        parse_options(**wrong)


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


def test_the_command_cuts_jobs_as_the_client_does() -> None:
    defaults = [inspect.signature(of).parameters["batch_size"].default for of in (cli.submit, Client.submit)]
    assert defaults == [jobs.BATCH_SIZE] * 2


def test_a_batch_is_called_by_file_names_and_an_address_that_looks_like_an_upload_by_its_own() -> None:
    secret = "https://shop.example/uploads/a.jpg?sig=abc/SECRET"
    photos = [
        JobImage(reference=f"s3://bucket/uploads/{'a' * 64}", name="inbox/a.jpg"),
        JobImage(reference=secret, name=secret),
    ]
    (batch,) = Job.of(JobManifest(job="spring", images=2), photos).batches
    assert batch.headers == {CALLED: {"job": "spring", "photos": ["a.jpg", secret]}}  # which is shortened where it is shown


def test_a_batch_says_the_name_of_its_job() -> None:
    (batch,) = Job.of(JobManifest(job="spring", name="Monday", images=1), [JobImage(reference="s3://b/x", name="x")]).batches
    assert batch.headers == {CALLED: {"job": "spring", "name": "Monday", "photos": ["s3://b/x"]}}
