"""A photo over HTTP, in each form in which it may come, and what is refused; a real queue, and a worker without networks."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from packsight.producer.http.rights import Right
from packsight.shared.settings import Fetch, Http, Settings
from packsight.shared.storage.objects import ObjectStore
from tests.door import Answer, Serving, Visitor, serving
from tests.recognizer import StandIn, running

PHOTO = b"\xff\xd8\xff the bytes of a photo"
UPLOADED = f"uploads/{hashlib.sha256(PHOTO).hexdigest()}"


@pytest.fixture
def worker(live_settings: Settings) -> Iterator[StandIn]:
    with running(live_settings) as made:
        yield made


@pytest.fixture
def open_door(live_settings: Settings) -> Iterator[Serving]:
    with serving(live_settings) as running_door:
        yield running_door


FORMS: dict[str, dict[str, Any]] = {
    "raw": {"body": PHOTO, "headers": {"Content-Type": "image/jpeg"}},
    "bytes": {"body": PHOTO, "headers": {"Content-Type": "application/octet-stream"}},
    "form": {"fields": {"image": ("photo.jpg", PHOTO, "image/jpeg")}},
    "form-of-another-name": {"fields": {"file": ("photo.jpg", PHOTO)}},
    "base64": {"json": {"base64": base64.b64encode(PHOTO).decode()}},
    "base64-in-lines": {"json": {"base64": "\r\n".join(base64.b64encode(PHOTO).decode())}},
    "base64-of-addresses": {"json": {"base64": base64.urlsafe_b64encode(PHOTO).decode().rstrip("=")}},
    "data-url": {"json": {"base64": f"data:image/jpeg;base64,{base64.b64encode(PHOTO).decode()}"}},
}


def test_a_photo_is_taken_in_every_form_and_lies_where_workers_fetch_it(
    open_door: Serving, worker: StandIn, store: ObjectStore
) -> None:
    client = open_door.client()
    for name, form in FORMS.items():
        answer = client.post("/v1/recognize", **form)
        assert answer.status == 200, (name, answer.data)
        assert answer.json["status"] == "no_match"
        assert answer.json["image"] == f"s3://{store.bucket}/{UPLOADED}"
    assert store.read(UPLOADED).data == PHOTO
    assert set(worker.seen) == {f"s3://{store.bucket}/{UPLOADED}"}


def test_a_photo_is_named_by_its_address(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    for reference in ("https://example.com/photo.jpg?signature=x", "s3://photos/shelf/1.jpg", "shelf/1.jpg"):
        assert client.post("/v1/recognize", json={"url": reference}).json["image"] == reference
        assert client.post("/v1/recognize", fields={"url": reference}).json["image"] == reference
    assert sum(worker.seen.values()) == 6


def test_no_file_of_the_server_is_read_for_a_path(open_door: Serving, worker: StandIn, live_settings: Settings) -> None:
    path = live_settings.home / "http" / "session-secret"
    assert path.exists()
    assert open_door.client().post("/v1/recognize", json={"url": str(path)}).json["image"] == str(path)
    assert set(worker.seen) == {str(path)}


def test_options_are_taken_from_the_address_and_from_beside_the_photo(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    client.post("/v1/recognize?catalog=shoes&top_k=3&read_all=true&max_products=2", body=PHOTO)
    options = {"catalog": "shoes", "top_k": 3, "read_all": True, "max_products": 2}
    client.post("/v1/recognize?top_k=9", json={"url": "s3://a/b", **options})
    client.post(
        "/v1/recognize",
        fields={"url": "s3://a/b", "catalog": "shoes", "top_k": "3", "read_all": "true", "max_products": "2"},
    )
    asked = [(one.catalog, one.top_k, one.read_all, one.max_products) for one in worker.requests]
    assert asked == [("shoes", 3, True, 2)] * 3


def _form(encoding: str, *parts: tuple[str, bytes]) -> dict[str, Any]:
    """A form that is said to be in an encoding; parts: what stands after `form-data; `, and the content."""
    body = b"".join(b"--B\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (told.encode(), data) for told, data in parts)
    return {"body": body + b"--B--\r\n", "headers": {"Content-Type": f"multipart/form-data; boundary=B; charset={encoding}"}}


def test_halves_of_characters_in_a_form_cost_no_photo(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    file = _form("utf-7", ('name="+2AA-"; filename="+2AA-.jpg"', PHOTO))
    named = _form("raw_unicode_escape", ('name="url"', b"s3://shop/\\ud800.jpg"))
    assert [client.post("/v1/recognize", **form).json["status"] for form in (file, named)] == ["no_match"] * 2
    assert worker.seen["s3://shop/\ufffd.jpg"] == 1


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "another type": ({"body": b"<html>", "headers": {"Content-Type": "text/html"}}, 415, "format_unsupported"),
    "what curl -d sends": ({"fields": {"image": "x"}, "encode_multipart": False}, 415, "format_unsupported"),
    "nothing": ({"body": b""}, 400, "file_empty"),
    "no photo": ({"json": {}}, 400, "bad_message"),
    "two photos": ({"json": {"url": "s3://a/b", "base64": "AAAA"}}, 400, "bad_message"),
    "no JSON": ({"body": b"{", "headers": {"Content-Type": "application/json"}}, 400, "bad_message"),
    "no object": ({"json": ["s3://a/b"]}, 400, "bad_message"),
    "deep JSON": ({"body": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400, "bad_message"),
    "no base64": ({"json": {"base64": "photo"}}, 400, "bad_message"),
    "a number for an address": ({"json": {"url": 7}}, 400, "bad_message"),
    "an empty address": ({"json": {"url": ""}}, 400, "bad_message"),
    "a long address": ({"json": {"url": "s3://a/" + "b" * 5000}}, 400, "bad_message"),
    "a wrong option": ({"json": {"url": "s3://a/b", "top_k": 0}}, 400, "bad_message"),
    "an unknown option": ({"json": {"url": "s3://a/b", "topk": 1}}, 400, "bad_message"),
    "a form without a file": ({"fields": {"catalog": "shoes"}}, 400, "bad_message"),
    "a form in no encoding": (_form("undefined", ('name="image"; filename="a"', b"photo")), 400, "bad_message"),
    "too large": ({"body": b"x" * 3000}, 413, "file_too_large"),
}  # fmt: skip


def test_what_is_no_photo_is_refused_with_cause_and_remedy(live_settings: Settings) -> None:
    with serving(live_settings.model_copy(update={"fetch": Fetch(max_bytes=2000)})) as running_door:
        client = running_door.client()
        for name, (form, status, code) in REFUSED.items():
            answer = client.post("/v1/recognize", **form)
            assert (name, answer.status, answer.code) == (name, status, code)


def test_who_lacks_the_right_or_the_catalog_is_refused(open_door: Serving, worker: StandIn) -> None:
    without = open_door.client("jobs", Right.JOBS)
    elsewhere = open_door.client("shoes", Right.RECOGNISE, catalogs={"shoes"})
    for answer in (
        without.post("/v1/recognize", body=PHOTO),
        elsewhere.post("/v1/recognize", body=PHOTO),
        elsewhere.post("/v1/recognize?catalog=shoes", json={"url": "s3://a/b", "catalog": "default"}),
        elsewhere.post("/image", fields={"image": ("a.jpg", PHOTO)}),
    ):
        assert (answer.status, answer.code) == (403, "access_denied")
    assert open_door.stranger.post("/v1/recognize", body=PHOTO).status == 401
    assert elsewhere.post("/v1/recognize?catalog=shoes", body=PHOTO).status == 200
    assert len(worker.requests) == 1


def test_a_person_recognises_by_the_same_door(open_door: Serving, worker: StandIn) -> None:
    person = open_door.person()
    assert person.post("/v1/recognize", body=PHOTO).status == 200
    assert person.with_headers(X_CSRF_Token="").post("/v1/recognize", body=PHOTO).status == 403


def test_when_nobody_answers_the_request_ends_and_its_message_is_worked_on_by_nobody(
    open_door: Serving, live_settings: Settings
) -> None:
    answer = open_door.client().post("/v1/recognize?timeout=0.3", body=PHOTO)
    assert (answer.status, answer.code) == (504, "no_answer")
    assert "Retry-After" in answer.headers
    with running(live_settings) as late:
        assert open_door.client().post("/v1/recognize", json={"url": "s3://a/b"}).status == 200
        assert dict(late.seen) == {"s3://a/b": 1}


def test_a_task_that_broke_is_a_failed_outcome(open_door: Serving, worker: StandIn) -> None:
    answer = open_door.client().post("/v1/recognize", json={"url": "s3://a/crash"})
    assert (answer.status, answer.json["status"], answer.json["failure"]["code"]) == (200, "failed", "internal")


def test_the_system_of_2020_is_answered_as_it_was(open_door: Serving, worker: StandIn) -> None:
    answer = open_door.client().post("/image", fields={"image": ("photo.jpg", PHOTO)})
    assert (answer.status, answer.json) == (400, {"status": "failed", "reason": "a stand-in"})


def test_beyond_the_places_there_are_requests_are_refused_and_none_that_was_taken_is_lost(
    live_settings: Settings, worker: StandIn
) -> None:
    worker.gate.clear()
    with serving(live_settings.model_copy(update={"http": Http(in_work=4)})) as running_door, ThreadPoolExecutor(9) as pool:
        client, other = running_door.client(), running_door.client("other")
        answered: list[Answer] = []
        refused = threading.Event()

        def ask(number: int) -> Answer:
            answer = client.post("/v1/recognize", json={"url": f"s3://a/{number}"})
            if answer.status == 429:
                refused.set()
            return answer

        asked = [pool.submit(ask, number) for number in range(8)]
        assert refused.wait(30)
        while running_door.door.waiting.taken < 3 or sum(one.done() for one in asked) < 5:
            assert not all(one.done() for one in asked)
        last = pool.submit(other.post, "/v1/recognize", json={"url": "s3://a/other"})
        while running_door.door.waiting.taken < 4:
            assert not last.done(), "there is room for another client"
        assert running_door.client("third").post("/v1/recognize", json={"url": "s3://a/third"}).status == 429
        worker.gate.set()
        assert last.result().status == 200
        answered = [one.result() for one in asked]
        assert sorted(answer.status for answer in answered) == [200] * 3 + [429] * 5
        assert {answer.code for answer in answered if answer.status == 429} == {"too_many_requests"}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answered if answer.status == 429)
        assert len(worker.seen) == 4
        assert client.post("/v1/recognize", json={"url": "s3://a/later"}).status == 200


def test_a_body_that_does_not_come_frees_its_place(live_settings: Settings, worker: StandIn) -> None:
    with serving(live_settings.model_copy(update={"http": Http(in_work=1, body_seconds=0.3)})) as running_door:
        client = running_door.client()
        slow = _slow(client)
        assert (slow.status, slow.code) == (408, "fetch_timeout")
        assert client.post("/v1/recognize", body=PHOTO).status == 200


def _slow(client: Visitor) -> Answer:
    """Sends the beginning of a body, and the rest when it has its answer, or never."""
    over = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"begin"
        over.wait(2)
        yield b"end"

    try:
        return client.post("/v1/recognize", body=body(), headers={"Content-Type": "image/jpeg"})
    finally:
        over.set()


def test_an_absent_queue_is_told(live_settings: Settings) -> None:
    from packsight.deploy.stack.ports import free_ports

    (port,) = free_ports(1)
    away = live_settings.model_copy(update={"broker_url": type(live_settings.broker_url)(f"redis://127.0.0.1:{port}/0")})
    with serving(away) as running_door:
        answer = running_door.client().post("/v1/recognize", json={"url": "s3://a/b"})
        assert (answer.status, answer.code) == (503, "host_unreachable")
        assert "Retry-After" in answer.headers
