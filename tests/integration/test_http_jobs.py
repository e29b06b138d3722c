"""Jobs over HTTP: submitted in every form, watched, read, cancelled, repeated; real servers, and a worker without networks."""

from __future__ import annotations

import gzip
import hmac
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import Mock

import pytest
import redis
import urllib3

from packsight.producer.client import Client
from packsight.producer.http import app as app_module
from packsight.producer.http import errands as errands_module
from packsight.producer.http import manifests, results, webhooks
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.errands import Alive, Errand, Errands, Kind, NotYet, Runner, Stopped
from packsight.producer.http.figures import NOTED
from packsight.producer.http.queueing import ask_again
from packsight.producer.http.rights import Right
from packsight.producer.http.webhooks import signature
from packsight.producer.sources import Item
from packsight.producer.summary import State
from packsight.producer.upload import NAMELESS
from packsight.shared.contract.errors import ErrorCode, StorageError
from packsight.shared.contract.outcomes import Status
from packsight.shared.metrics import noting
from packsight.shared.metrics.exporter import Figures
from packsight.shared.queue import keys
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import Fetch, Http, Settings
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import JobAbout, JobManifest
from packsight.shared.storage.objects import ObjectStore
from tests.door import Serving, Visitor, serving
from tests.recognizer import StandIn, running
from tests.scraped import values

REFERENCES = [f"s3://photos/{number}.jpg" for number in range(40)]


@pytest.fixture
def worker(live_settings: Settings) -> Iterator[StandIn]:
    with running(live_settings) as made:
        yield made


@pytest.fixture
def open_door(live_settings: Settings) -> Iterator[Serving]:
    with serving(live_settings) as running_door:
        yield running_door


def submitted(client: Visitor, path: str = "/v1/jobs", **form: Any) -> dict[str, Any]:
    answer = client.post(path, **form)
    assert answer.status == 202, answer.data
    job: dict[str, Any] = answer.json
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    return job


def ended(client: Visitor, job: str) -> dict[str, Any]:
    """The job when all its photos have their outcome; pytest's limit ends a test in which they never have."""
    while True:
        seen: dict[str, Any] = client.get(f"/v1/jobs/{job}").json
        if seen["over"]:
            return seen
        time.sleep(0.05)


def rows(client: Visitor, job: str, limit: int = 7) -> list[dict[str, Any]]:
    """All rows by way of pages."""
    found: list[dict[str, Any]] = []
    cursor: int | None = 0
    while cursor is not None:
        page = client.get(f"/v1/jobs/{job}/results?cursor={cursor}&limit={limit}").json
        assert len(page["rows"]) <= limit
        found += page["rows"]
        cursor = page["next"]
    return found


def test_a_job_is_submitted_and_each_of_its_photos_answered_once_in_order(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    job = submitted(client, json={"photos": REFERENCES, "name": "shelf 7", "catalog": "shoes", "top_k": 3, "priority": "high"})
    assert (job["name"], job["photos"], job["catalog"], job["priority"]) == ("shelf 7", 40, "shoes", "high")
    assert ended(client, job["id"])["ends"] == {"no_match": 40}
    found = rows(client, job["id"])
    assert [row["image"] for row in found] == REFERENCES
    assert [row["index"] for row in found] == list(range(40))
    assert set(worker.seen.values()) == {1}
    assert {one.top_k for one in worker.requests} == {3}


TABLE = "Photo;SKU;Store\ns3://photos/1.jpg;A-1;Москва\n;A-2;x\ns3://photos/2.jpg;A-3;Тверь\n"
LINES = '{"url": "s3://photos/1.jpg", "sku": "A-1", "shelf": 4}\n\n{"url": "s3://photos/2.jpg", "sku": "A-3", "shelf": null}\n'
OBJECT = {"photos": [{"reference": "s3://photos/1.jpg", "name": "first", "extra": {"sku": "A-1"}}, "s3://photos/2.jpg"]}


@pytest.mark.parametrize(
    ("form", "names", "extras"),
    [
        ({"body": TABLE.encode(), "headers": {"Content-Type": "text/csv; charset=utf-8"}},
         ["s3://photos/1.jpg", "s3://photos/2.jpg", NAMELESS],
         [{"SKU": "A-1", "Store": "Москва"}, {"SKU": "A-3", "Store": "Тверь"}, {"SKU": "A-2", "Store": "x"}]),
        ({"body": LINES.encode(), "headers": {"Content-Type": "application/x-ndjson"}}, ["s3://photos/1.jpg", "s3://photos/2.jpg"],
         [{"sku": "A-1", "shelf": "4"}, {"sku": "A-3", "shelf": ""}]),
        ({"body": b"# shelf 7\ns3://photos/1.jpg\n\ns3://photos/2.jpg", "headers": {"Content-Type": "text/plain"}},
         ["s3://photos/1.jpg", "s3://photos/2.jpg"], [{}, {}]),
        ({"json": OBJECT}, ["first", "s3://photos/2.jpg"], [{"sku": "A-1"}, {}]),
    ],
    ids=["csv", "jsonl", "txt", "json"],
)  # fmt: skip
def test_the_callers_own_columns_come_back_in_the_results(
    open_door: Serving, worker: StandIn, form: dict[str, Any], names: list[str], extras: list[dict[str, str]]
) -> None:
    client = open_door.client()
    job = submitted(client, "/v1/jobs?name=mine", **form)
    assert job["name"] == "mine"
    ended(client, job["id"])
    found = rows(client, job["id"])
    assert [row["image"] for row in found] == ["s3://photos/1.jpg", "s3://photos/2.jpg", *names[2:]]
    assert [row["name"] for row in found] == names
    assert [row.get("extra", {}) for row in found] == extras


def test_halves_of_characters_cost_no_job(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    sent = {"photos": [{"reference": "s3://photos/1.jpg", "extra": {"title": "Крем \ud83d"}}, "https://e.example/\ud83d.jpg"]}
    job = submitted(client, "/v1/jobs", body=json.dumps(sent).encode(), headers={"Content-Type": "application/json"})
    ended(client, job["id"])
    first, second = rows(client, job["id"])
    assert (first["extra"], second["image"]) == ({"title": "Крем \ufffd"}, "https://e.example/\ufffd.jpg")


CSV = {"Content-Type": "text/csv"}
REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no type": ({"body": b"s3://a/b"}, 415, "format_unsupported"),
    "another type": ({"body": b"s3://a/b", "headers": {"Content-Type": "text/html"}}, 415, "format_unsupported"),
    "no photos": ({"json": {"photos": []}}, 400, "bad_message"),
    "an empty reference": ({"json": {"photos": [""]}}, 400, "bad_message"),
    "an unknown field": ({"json": {"photos": ["s3://a/b"], "topk": 1}}, 400, "bad_message"),
    "a message that workers refuse": ({"json": {"photos": ["s3://a/b"], "batch_size": 1000}}, 400, "bad_message"),
    "no JSON": ({"body": b"{", "headers": {"Content-Type": "application/json"}}, 400, "bad_message"),
    "deep JSON": ({"body": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400, "bad_message"),
    "an empty table": ({"body": b"", "headers": CSV}, 400, "bad_message"),
    "a table without photos": ({"body": b"sku,store\n1,2\n", "headers": CSV}, 400, "bad_message"),
    "a table of a header alone": ({"body": b"image,store\n", "headers": CSV}, 400, "bad_message"),
    "a broken line": ({"body": b'"s3://a/b"\n{', "headers": {"Content-Type": "application/jsonl"}}, 400, "bad_message"),
    "a line of another kind": ({"body": b"7", "headers": {"Content-Type": "application/jsonl"}}, 400, "bad_message"),
    "a long name": ({"json": {"photos": [{"reference": "s3://a/b", "extra": {"c" * 501: "1"}}]}}, 400, "bad_message"),
    "another catalog": ({"json": {"photos": ["s3://a/b"], "catalog": "hats"}}, 403, "access_denied"),
}  # fmt: skip


def test_what_is_no_list_of_photos_is_refused_and_leaves_no_job(open_door: Serving) -> None:
    client = open_door.client(catalogs={"default"})
    for name, (form, status, code) in REFUSED.items():
        answer = client.post("/v1/jobs", **form)
        assert (name, answer.status, answer.code) == (name, status, code)
        if "batch_size" in form.get("json", {}):
            assert "over HTTP `batch_size`" in f"{answer.json['failure']}", "who sends requests knows no options of commands"
    assert client.get("/v1/jobs").json == {"jobs": [], "next": None}


PICTURE = "data:image/jpeg;base64,/9j/" + 6000 * "A"


def test_a_picture_in_the_place_of_its_reference_is_told_to_be_one(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    for photo in (PICTURE, {"reference": PICTURE}, PICTURE[:40]):
        refused = client.post("/v1/jobs", json={"photos": ["s3://a/1.jpg", photo]})
        assert (refused.status, refused.json["reason"]) == (400, "photos.1 is a picture itself, as a data URI")
        assert "/v1/uploads/photo" in refused.json["failure"]["remedy"]
    for picture in (PICTURE, PICTURE[:40]):
        body, kind = json.dumps({"url": picture}), {"Content-Type": "application/x-ndjson"}
        refused = client.post("/v1/jobs", body=body.encode(), headers=kind)
        assert refused.code == "bad_message" and "a picture itself" in refused.json["reason"]
        job = submitted(client, body=f'{body}\n{{"url": "s3://a/1.jpg"}}'.encode(), headers=kind)
        ended(client, job["id"])
        assert [row["failure"]["code"] for row in rows(client, job["id"]) if row["status"] == "failed"] == ["reference_invalid"]
        asked = client.post("/v1/recognize", json={"url": picture})
        assert asked.code == "bad_message" and "`base64`" in asked.json["failure"]["remedy"]


def test_a_list_without_photos_is_refused_with_a_remedy_for_who_sends_it(open_door: Serving) -> None:
    refused = open_door.client().post("/v1/jobs", body=b"image,store\n", headers=CSV)
    assert (refused.code, refused.json["reason"]) == ("bad_message", "There are no photos to submit")
    assert "a row, a line or an entry for each photo" in refused.json["failure"]["remedy"]


def test_jobs_are_listed_page_by_page_and_only_those_of_the_callers_catalogs(open_door: Serving) -> None:
    everything, shoes = open_door.client(), open_door.client("shoes", catalogs={"shoes"})
    made = [
        submitted(everything, json={"photos": ["s3://a/b"], "catalog": catalog, "name": str(number)})["id"]
        for number, catalog in enumerate(["shoes", "hats", "shoes", "hats", "shoes"])
    ]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = everything.get(f"/v1/jobs?limit=2&cursor={cursor}").json
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next"]
    assert seen == sorted(made, reverse=True)
    assert {job["catalog"] for job in shoes.get("/v1/jobs").json["jobs"]} == {"shoes"}
    hidden = everything.get("/v1/jobs").json["jobs"]
    (hats, *_) = [job["id"] for job in hidden if job["catalog"] == "hats"]
    for path in ("", "/results", "/results.jsonl", "/events"):
        assert shoes.get(f"/v1/jobs/{hats}{path}").status == 403
    assert shoes.post(f"/v1/jobs/{hats}/cancel").status == 403
    assert open_door.client("r", Right.RECOGNISE).get(f"/v1/jobs/{hats}").status == 403


def test_a_list_of_jobs_reads_the_manifest_of_each_once(open_door: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    client, within = open_door.client(), open_door.door.client
    made = [submitted(client, json={"photos": ["s3://a/b"], "name": str(number)})["id"] for number in range(3)]
    read = within.manifest
    seen: list[str] = []

    def reading(job: str) -> JobManifest:
        seen.append(job)
        return read(job)

    monkeypatch.setattr(within, "manifest", reading)
    first = client.get("/v1/jobs?limit=2").json
    assert client.get("/v1/jobs").json["jobs"][:2] == first["jobs"]
    assert sorted(seen) == sorted(made)
    within.jobs.remove(made[1])
    assert {one["name"] for one in client.get("/v1/jobs").json["jobs"]} == {"0", "2"}


def test_of_more_jobs_than_are_kept_the_newest_are_read_once(open_door: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sees none of their catalogs has all of them looked through."""
    monkeypatch.setattr(manifests, "_MANIFESTS", 3)
    monkeypatch.setattr(manifests, "_AT_ONCE", 1)
    client, elsewhere = open_door.client(), open_door.client("other", catalogs={"elsewhere"})
    made = sorted(submitted(client, json={"photos": ["s3://a/b"]})["id"] for _ in range(5))
    within = open_door.door.client
    read, seen = within.manifest, Counter[str]()

    def reading(job: str) -> JobManifest:
        seen.update([job])
        return read(job)

    monkeypatch.setattr(within, "manifest", reading)
    for _ in range(3):
        assert elsewhere.get("/v1/jobs").json["jobs"] == []
    assert [seen[job] for job in made] == [3, 3, 1, 1, 1]


def test_jobs_are_listed_while_one_of_them_is_removed(open_door: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    client, jobs = open_door.client(), open_door.door.client.jobs
    job, gone = (submitted(client, json={"photos": ["s3://a/b"]})["id"] for _ in range(2))
    names = jobs.names

    def before_it_went() -> list[str]:
        found = names()
        jobs.remove(gone)
        return found

    monkeypatch.setattr(jobs, "names", before_it_went)
    assert [one["id"] for one in client.get("/v1/jobs").json["jobs"]] == [job]


def test_a_job_that_is_not_there_is_told(open_door: Serving) -> None:
    client = open_door.client()
    for path in ("/v1/jobs/nothing", "/v1/jobs/nothing/results", "/v1/jobs/..%2Fx", "/v1/jobs/nothing/events"):
        answer = client.get(path)
        assert (answer.status, answer.code) == (404, "object_missing")


def test_pages_stop_where_no_outcome_is_yet_and_go_on_from_there(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    worker.gate.clear()
    job = submitted(client, json={"photos": REFERENCES[:6], "batch_size": 2})["id"]
    page = client.get(f"/v1/jobs/{job}/results").json
    assert page == {"rows": [], "next": 0}
    worker.gate.set()
    ended(client, job)
    first = client.get(f"/v1/jobs/{job}/results?limit=4").json
    assert (len(first["rows"]), first["next"]) == (4, 4)
    assert client.get(f"/v1/jobs/{job}/results?cursor=4&limit=2").json["next"] is None
    assert client.get(f"/v1/jobs/{job}/results?cursor=99").json == {"rows": [], "next": None}


def test_a_page_costs_what_stands_on_it_however_large_the_job_is(open_door: Serving, worker: StandIn) -> None:
    client, store = open_door.client(), open_door.door.client.store
    photos = [{"reference": reference, "extra": {"sku": reference[-5:]}} for reference in REFERENCES[:6]]
    job = submitted(client, json={"photos": photos, "batch_size": 2})["id"]
    ended(client, job)
    for name in ("images", "columns"):  # whoever looked at a line that is none would say so
        key = layout.job(job, f"{name}.jsonl.gz")
        lines = gzip.decompress(store.read(key).data).splitlines()
        store.write(key, gzip.compress(b"\n".join([b"no line", b"no line", *lines[2:4], b"no line", b"no line"])))
    page = client.get(f"/v1/jobs/{job}/results?cursor=2&limit=2").json
    assert ([row["extra"]["sku"] for row in page["rows"]], page["next"]) == ([one[-5:] for one in REFERENCES[2:4]], 4)
    assert client.post(f"/v1/jobs/{job}/cancel").status == 409


def test_a_stream_follows_a_job_to_its_end(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    worker.gate.clear()
    job = submitted(client, json={"photos": REFERENCES, "batch_size": 8})["id"]
    assert client.get(f"/v1/jobs/{job}/results.jsonl").data == b""
    threading.Timer(0.3, worker.gate.set).start()
    answer = client.get(f"/v1/jobs/{job}/results.jsonl?follow=true")
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.data.splitlines()]
    assert sorted(line["image"] for line in lines) == sorted(REFERENCES)


def test_a_stream_in_which_nothing_comes_says_so_by_empty_lines(
    open_door: Serving, worker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_SAY_AFTER", 0.05)
    client = open_door.client()
    worker.gate.clear()
    job = submitted(client, json={"photos": REFERENCES[:4], "batch_size": 2})["id"]
    address = f"{client.base}/v1/jobs/{job}/results.jsonl?follow=true"
    stream = client.pool.request("GET", address, headers=dict(client.headers), preload_content=False)
    assert stream.read(3) == b"\n\n\n"
    worker.gate.set()
    rest = stream.read().split(b"\n")
    assert sorted(json.loads(line)["image"] for line in rest if line) == REFERENCES[:4]


def test_a_stream_of_a_job_whose_outcomes_have_expired_ends_with_those_that_are_left(open_door: Serving, worker: StandIn) -> None:
    client, ledger = open_door.client(), open_door.door.client.ledger
    job = submitted(client, json={"photos": REFERENCES[:4], "batch_size": 2})["id"]
    ended(client, job)
    ledger.jobs.forget(job)
    ledger.results.forget(f"{job}-000000")
    impatient = replace(client, pool=urllib3.PoolManager(retries=False, timeout=20))
    lines = impatient.get(f"/v1/jobs/{job}/results.jsonl?follow=true").data.splitlines()
    assert [json.loads(line)["image"] for line in lines] == REFERENCES[2:4]
    impatient.pool.clear()


def test_a_stream_that_nobody_reads_any_more_ends(live_settings: Settings, worker: StandIn) -> None:
    with serving(live_settings.model_copy(update={"http": Http(large=2)})) as running_door:
        client = running_door.client()
        worker.gate.clear()
        job = submitted(client, json={"photos": REFERENCES[:2]})["id"]
        for path in ("results.jsonl?follow=true", "events"):
            for _ in range(5):
                pool = urllib3.PoolManager(retries=False)
                address = f"{client.base}/v1/jobs/{job}/{path}"
                left = pool.request("GET", address, headers=dict(client.headers), preload_content=False)
                assert left.status == 200
                left.close()
                pool.clear()
                while running_door.door.large.taken:
                    time.sleep(0.01)


def test_a_request_that_is_sent_again_with_its_key_makes_no_second_job(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    monday, asked = client.with_headers(Idempotency_Key="monday"), {"photos": REFERENCES[:4], "batch_size": 2}
    job = submitted(monday, json=asked)["id"]
    assert submitted(monday, json=asked)["id"] == job
    ended(client, job)
    again = submitted(monday, json=asked)
    assert (again["id"], again["ends"]) == (job, {"no_match": 4})
    assert set(worker.seen.values()) == {1}
    other = monday.post("/v1/jobs", json={"photos": REFERENCES[:2]})
    assert (other.status, other.code, other.json["failure"]["retryable"]) == (422, "bad_message", False)
    assert monday.post("/v1/jobs?name=x", json=asked).status == 422, "what stands in the address is of the request"
    another = open_door.client("another")
    for sender in (another.with_headers(Idempotency_Key="monday"), client.with_headers(Idempotency_Key="x"), client):
        assert submitted(sender, json=asked)["id"] != job
    assert client.with_headers(Idempotency_Key="k" * 256).post("/v1/jobs", json=asked).status == 400
    assert len(client.get("/v1/jobs").json["jobs"]) == 4
    assert client.ask("DELETE", f"/v1/jobs/{job}").status == 200
    assert monday.post("/v1/jobs", json=asked).status == 404


def test_a_request_that_was_refused_or_interrupted_is_carried_out_when_it_comes_again(
    open_door: Serving, worker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_door.client().with_headers(Idempotency_Key="monday")
    assert client.post("/v1/jobs", json={"photos": []}).status == 400
    asked = {"photos": REFERENCES[:4]}
    with monkeypatch.context() as broken:
        broken.setattr(Errands, "add", Mock(side_effect=redis.ConnectionError))
        assert client.post("/v1/jobs", json=asked).status == 503
    (made,) = client.get("/v1/jobs").json["jobs"]
    assert submitted(client, json=asked)["id"] == made["id"]
    assert ended(client, made["id"])["ends"] == {"no_match": 4}


def test_the_same_request_twice_at_a_time_is_one_job(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client().with_headers(Idempotency_Key="monday")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: submitted(client, json={"photos": REFERENCES}), range(4)))
    (job,) = {answer["id"] for answer in answers}
    assert ended(client, job)["ends"] == {"no_match": 40}
    assert [seen["id"] for seen in client.get("/v1/jobs").json["jobs"]] == [job]


def test_proxies_are_asked_to_keep_no_part_of_a_stream(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    job = submitted(client, json={"photos": ["s3://a/1"]})["id"]
    for stream in ("events", "results.jsonl?follow=true"):
        headers = client.get(f"/v1/jobs/{job}/{stream}").headers
        assert (headers["X-Accel-Buffering"], headers["Cache-Control"]) == ("no", "no-store")


def test_progress_is_told_as_it_comes_and_the_end_at_last(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    worker.gate.clear()
    job = submitted(client, json={"photos": REFERENCES[:4], "batch_size": 2})["id"]
    threading.Timer(0.3, worker.gate.set).start()
    answer = client.get(f"/v1/jobs/{job}/events")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in event.splitlines()) for event in answer.data.decode().strip().split("\n\n")]
    assert [event["event"] for event in events[:1] + events[-1:]] == ["progress", "ended"]
    assert json.loads(events[0]["data"])["answered"] == 0
    assert json.loads(events[-1]["data"])["ends"] == {"no_match": 4}


def test_a_job_is_cancelled_and_asked_about_again(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    worker.gate.clear()
    job = submitted(client, json={"photos": REFERENCES, "batch_size": 4})["id"]
    while len(open_door.door.client.ledger.jobs.active()) == 0 or open_door.door.client.ledger.jobs.enqueued(job) < 10:
        time.sleep(0.01)
    assert client.post(f"/v1/jobs/{job}/cancel").json["state"] == "cancelled"
    worker.gate.set()
    seen = ended(client, job)
    assert seen["ends"]["failed"] >= 32
    codes = {row["failure"]["code"] for row in rows(client, job) if row["status"] == "failed"}
    assert codes == {"cancelled"}
    assert client.post(f"/v1/jobs/{job}/cancel").json == seen, "a repeated request changes nothing"
    assert client.post(f"/v1/jobs/{job}/retry", json={"codes": ["http_status"]}).code == "bad_message"
    assert client.post(f"/v1/jobs/{job}/retry").status == 202
    while client.get(f"/v1/jobs/{job}").json["ends"] != {"no_match": 40}:
        time.sleep(0.05)
    late = client.post(f"/v1/jobs/{job}/cancel")
    assert (late.status, late.code, late.json["failure"]["retryable"]) == (409, "conflict", False)


def test_a_server_stops_in_the_middle_of_a_retry_and_leaves_it_to_the_next(live_settings: Settings) -> None:
    ahead = live_settings.model_copy(update={"http": Http(messages_ahead=2)})
    with Client(ahead) as client:
        job = client.submit([Item(str(number), f"https://example.com/{number}.jpg") for number in range(5)], batch_size=1)
        client.cancel(job)
        errands = Errands(client.ledger.client, 60)
        runner = Runner(errands, {Kind.RETRY: partial(ask_again, client, errands)}, {Kind.RETRY: 1})
        errands.add(Errand(kind=Kind.RETRY, job=job.id))
        runner.start()
        while client.ledger.jobs.enqueued(job.id) < 2:  # further ones wait for workers, of which there are none
            time.sleep(0.01)
        runner.stop()
        assert client.ledger.jobs.enqueued(job.id) == 2
        left = errands.take(Kind.RETRY)
        assert left is not None
        with running(live_settings) as worker:
            ask_again(client, errands, left, lambda: None)
            assert {row.outcome.status for row in client.outcomes(job, wait=True)} == {Status.NO_MATCH}
            assert set(worker.seen.values()) == {1}


def test_servers_whose_clocks_differ_take_each_errand_once_and_at_once(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    with Client(live_settings) as client:
        errands = Errands(client.ledger.client, 60)
        monkeypatch.setattr(time, "time", lambda: now() + 3600)  # of a server that is ahead
        errands.add(Errand(kind=Kind.RETRY, job="ahead"))
        monkeypatch.setattr(time, "time", now)
        taken = errands.take(Kind.RETRY)
        assert taken is not None and taken.job == "ahead"
        monkeypatch.setattr(time, "time", lambda: now() + 3600)
        assert errands.take(Kind.RETRY) is None
        errands.put_back(taken)
        monkeypatch.setattr(time, "time", now)
        assert errands.take(Kind.RETRY) is not None


def test_what_was_accepted_before_the_clock_was_set_back_waits_for_no_time_to_come_again(live_settings: Settings) -> None:
    with Client(live_settings) as client:
        errands = Errands(client.ledger.client, 60)
        for job, ahead in (("later", 600), ("before", 7200)):
            errands.add(Errand(kind=Kind.RETRY, job=job))
            name = Errand(kind=Kind.RETRY, job=job).name
            client.ledger.client.zadd(keys.errands(Kind.RETRY), {name: time.time() + ahead}, xx=True)
        taken = errands.take(Kind.RETRY)
        assert taken is not None and taken.job == "before"
        assert errands.take(Kind.RETRY) is None


def test_a_retry_says_that_it_lives_with_each_message_that_it_queues(live_settings: Settings) -> None:
    said: list[int] = []
    with Client(live_settings) as client:
        job = client.submit([Item(str(number), f"https://example.com/{number}.jpg") for number in range(5)], batch_size=1)
        client.ledger.cancel(job.id, 5)
        client.ledger.let_go_on(job.id, 5)
        errands, errand = Errands(client.ledger.client, 60), Errand(kind=Kind.RETRY, job=job.id)
        errands.add(errand)
        ask_again(client, errands, errand, lambda: said.append(client.ledger.jobs.enqueued(job.id)))
    assert said == [1, 2, 3, 4, 5]


def test_failed_photos_are_asked_about_again_and_the_others_are_not(open_door: Serving, worker: StandIn) -> None:
    client = open_door.client()
    job = submitted(client, json={"photos": ["s3://a/1", "s3://a/crash"], "batch_size": 1})["id"]
    assert ended(client, job)["ends"] == {"no_match": 1, "failed": 1}
    assert client.post(f"/v1/jobs/{job}/retry", json={"codes": ["nonsense"]}).code == "bad_message"
    assert client.post(f"/v1/jobs/{job}/retry", json={"codes": ["internal"]}).status == 202
    while worker.tries["s3://a/crash"] < 2:
        time.sleep(0.05)
    assert worker.seen["s3://a/1"] == 1


@pytest.fixture
def slow_door(live_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """A server that comes to no retry."""
    monkeypatch.setattr(app_module, "_THREADS", {Kind.QUEUE: 1, Kind.WEBHOOK: 1})
    with serving(live_settings) as running_door:
        yield running_door


def test_from_when_a_retry_is_accepted_the_job_runs_until_what_is_asked_again_has_its_outcome(
    slow_door: Serving, worker: StandIn
) -> None:
    client, door = slow_door.client(), slow_door.door
    job = submitted(client, json={"photos": ["s3://a/1", "s3://a/crash"], "batch_size": 1})["id"]
    assert ended(client, job)["state"] == "ended"
    asked = client.post(f"/v1/jobs/{job}/retry", json={"codes": ["internal"]})
    for seen in (asked.json, client.get(f"/v1/jobs/{job}").json, client.get("/v1/jobs").json["jobs"][0]):
        assert (seen["state"], seen["over"], seen["answered"]) == ("running", False, 2)
    address = f"{client.base}/v1/jobs/{job}/events"
    events = client.pool.request("GET", address, headers=dict(client.headers), preload_content=False)
    assert events.readline() == b"event: progress\n"
    errand = door.errands.take(Kind.RETRY)
    assert errand is not None
    ask_again(door.client, door.errands, errand, lambda: None)
    door.errands.done(errand)
    assert [line for line in events.read().splitlines() if line.startswith(b"event")][-1] == b"event: ended"
    assert worker.tries == {"s3://a/1": 1, "s3://a/crash": 2}
    seen = client.get(f"/v1/jobs/{job}").json
    assert (seen["state"], seen["over"]) == ("ended", True)


def test_a_retry_of_other_failures_takes_the_place_of_none_that_is_left_to_be_done(slow_door: Serving, worker: StandIn) -> None:
    client, door = slow_door.client(), slow_door.door
    job = submitted(client, json={"photos": ["s3://a/crash"]})["id"]
    ended(client, job)

    def asked(*codes: str) -> int:
        return client.post(f"/v1/jobs/{job}/retry", json={"codes": codes}).status

    assert [asked("internal"), asked("internal"), asked("http_status"), asked()] == [202, 202, 409, 409]
    assert asked("internal", "internal") == 202, "the same failures, however they are named"
    refused = client.post(f"/v1/jobs/{job}/retry")
    assert refused.code == "conflict" and refused.json["failure"]["retryable"]
    errand = door.errands.take(Kind.RETRY)
    assert errand is not None and errand.codes == (ErrorCode.INTERNAL,)
    door.errands.done(errand)
    assert asked("http_status") == 202


def test_an_end_is_not_told_when_the_job_is_to_be_asked_again(slow_door: Serving, worker: StandIn) -> None:
    door = slow_door.door
    job = door.client.submit([Item("1", "s3://a/crash")], about=JobAbout(webhook="https://example.com/ended"))
    deque(door.client.run(job), maxlen=0)
    door.errands.add(Errand(kind=Kind.RETRY, job=job.id, codes=(ErrorCode.INTERNAL,)))
    with pytest.raises(NotYet):
        webhooks.tell(door, Errand(kind=Kind.WEBHOOK, job=job.id, client="shop"), lambda: None)


def test_a_job_that_is_to_be_asked_again_is_not_removed_and_is_not_asked_once_it_is_cancelled(
    slow_door: Serving, worker: StandIn
) -> None:
    client, door = slow_door.client(), slow_door.door
    job = submitted(client, json={"photos": ["s3://a/crash"]})["id"]
    ended(client, job)
    client.post(f"/v1/jobs/{job}/retry", json={"codes": ["internal"]})
    assert client.ask("DELETE", f"/v1/jobs/{job}").code == "conflict"
    taken = door.errands.take(Kind.RETRY)
    assert taken is not None
    seen = client.post(f"/v1/jobs/{job}/cancel")
    assert (seen.status, seen.json["state"], seen.json["over"]) == (200, "ended", True)
    ask_again(door.client, door.errands, taken, lambda: None)
    assert client.get(f"/v1/jobs/{job}").json["over"]
    assert worker.tries["s3://a/crash"] == 1
    assert client.ask("DELETE", f"/v1/jobs/{job}").status == 200


def test_a_retry_of_some_failures_ends_where_the_job_was_cancelled_meanwhile(live_settings: Settings) -> None:
    with Client(live_settings) as client:
        job = client.submit([Item("1", "https://example.com/1.jpg")])
        errands, errand = Errands(client.ledger.client, 60), Errand(kind=Kind.RETRY, job=job.id, codes=(ErrorCode.INTERNAL,))
        errands.add(errand)
        client.cancel(job)
        ask_again(client, errands, errand, lambda: None)
        assert client.summary(job.manifest).state is State.CANCELLED


def test_a_job_is_removed_with_all_that_is_known_of_it(open_door: Serving, worker: StandIn, store: ObjectStore) -> None:
    client = open_door.client()
    upload, another = (client.post("/v1/uploads/photo", body=b"photo").json["reference"] for _ in range(2))
    worker.gate.clear()
    job = submitted(client, json={"photos": [upload]})["id"]
    refused = client.ask("DELETE", f"/v1/jobs/{job}")
    assert (refused.status, refused.code) == (409, "conflict")
    assert f"POST /v1/jobs/{job}/cancel" in refused.json["failure"]["remedy"]
    worker.gate.set()
    ended(client, job)
    assert client.ask("DELETE", f"/v1/jobs/{job}").json == {"uploads": 1, "shared": 0}
    assert client.get(f"/v1/jobs/{job}").status == 404
    assert not store.exists(upload.removeprefix(f"s3://{store.bucket}/"))
    assert store.exists(another.removeprefix(f"s3://{store.bucket}/")), "the same photo of somebody whose job is to come"


def test_a_job_that_was_accepted_is_queued_by_the_next_server_where_the_first_was_killed(
    live_settings: Settings, live_environment: None
) -> None:
    command = [sys.executable, "-P", "-m", "packsight", "serve", "--port", "0"]
    ahead = os.environ | {"PACKSIGHT_HTTP__MESSAGES_AHEAD": "20"}
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ahead)
    with started as process, closing(Ledger(live_settings)) as ledger:
        assert process.stderr is not None
        base = next(found[0] for line in process.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        _, key = Accounts(live_settings.home).add_client("shop", frozenset({Right.JOBS}), None)
        client = Visitor(base).with_headers(Authorization=f"Bearer {key}")
        job = submitted(client, json={"photos": [f"s3://a/{number}" for number in range(60)], "batch_size": 1})["id"]
        while ledger.jobs.enqueued(job) < 20:
            assert process.poll() is None
        process.kill()
        process.wait()
        assert ledger.jobs.enqueued(job) == 20
        with running(live_settings) as worker, serving(live_settings) as running_door:
            ledger.client.zadd(keys.errands(Kind.QUEUE), {f"queue:{job}": 0})  # as when the dead server's lease has run out
            assert ended(running_door.client(), job)["ends"] == {"no_match": 60}
            assert set(worker.seen.values()) == {1}


def test_a_server_that_is_told_to_stop_says_so_and_has_not_failed(live_settings: Settings, live_environment: None) -> None:
    command = [sys.executable, "-P", "-m", "packsight", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("serving on" in line for line in process.stderr)
        process.terminate()
        assert any("stopped" in line for line in process.stderr)
    assert process.returncode == 0


@pytest.mark.parametrize("forms", [False, True], ids=["signed", "taken"])
def test_photos_are_sent_past_the_server_or_to_it_and_named_in_a_job(
    open_door: Serving, worker: StandIn, store: ObjectStore, forms: bool
) -> None:
    client = open_door.client()
    if forms:
        upload = client.post("/v1/uploads/photo", fields={"image": ("a.jpg", b"photo")})
        assert upload.status == 201
        reference = upload.json["reference"]
    else:
        answer = client.post("/v1/uploads", json={"count": 2})
        assert answer.status == 201
        first, second = answer.json["uploads"]
        assert first["reference"] != second["reference"]
        sent = urllib3.request("PUT", first["put"], body=b"photo", retries=False)
        assert sent.status == 200, sent.data
        # The signature is good for this object and for sending it alone.
        assert urllib3.request("GET", first["put"], retries=False).status == 403
        elsewhere = first["put"].replace(first["reference"].rpartition("/")[2], "0" * 64)
        assert urllib3.request("PUT", elsewhere, body=b"forged", retries=False).status == 403
        reference = first["reference"]
    assert store.read(reference.removeprefix(f"s3://{store.bucket}/")).data == b"photo"
    job = submitted(client, json={"photos": [reference]})["id"]
    assert ended(client, job)["ends"] == {"no_match": 1}


class Listener:
    """Whoever is told by webhooks."""

    def __init__(self) -> None:
        self.told: list[tuple[Mapping[str, str], bytes]] = []
        self.status = 204
        told, listener = self.told, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.append((dict(self.headers), body))
                self.send_response(listener.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/ended?token=secret"


@contextmanager
def listening() -> Iterator[Listener]:
    listener = Listener()
    thread = threading.Thread(target=listener.server.serve_forever)
    thread.start()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()
    thread.join()


def allowing(settings: Settings, listener: Listener) -> Settings:
    host = f"127.0.0.1:{listener.server.server_port}"
    return settings.model_copy(update={"fetch": Fetch(allowed_hosts=(host,))})


def test_whoever_submitted_is_told_of_the_end_by_a_signed_request(live_settings: Settings, worker: StandIn) -> None:
    with listening() as listener, serving(allowing(live_settings, listener)) as running_door:
        client = running_door.client()
        worker.gate.clear()
        job = submitted(client, json={"photos": REFERENCES[:2], "name": "shelf", "webhook": listener.address})
        assert "secret" not in job["webhook"]
        assert listener.told == []
        worker.gate.set()
        while not listener.told:
            time.sleep(0.05)
        headers, body = listener.told[0]
        told = {"event": "job.ended", "job": job["id"], "name": "shelf", "state": "ended", "photos": 2, "ends": {"no_match": 2}}
        assert json.loads(body) == told
        account = running_door.door.accounts.client_named("shop")
        assert account is not None
        signed = f"{headers['X-Packsight-Timestamp']}.".encode() + body
        expected = hmac.new(account.webhook_secret.encode(), signed, sha256).hexdigest()
        assert headers["X-Packsight-Signature"] == f"sha256={expected}"
        assert client.get("/v1/webhooks/failed").json == []


def test_a_webhook_that_fails_is_tried_again_given_up_listed_and_tried_anew(
    live_settings: Settings, worker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands_module, "_FIRST", 0.05)
    monkeypatch.setattr(errands_module, "_TRIES", 3)
    figures = Figures(NOTED)
    monkeypatch.setattr(noting, "_kept_by", [figures.take])
    with listening() as listener, serving(allowing(live_settings, listener)) as running_door:
        client = running_door.client()
        assert values(figures.page()[0])["packsight_webhooks_given_up_total",] == 0
        listener.status = 500
        job = submitted(client, json={"photos": REFERENCES[:1], "webhook": listener.address})["id"]
        while not (given_up := client.get("/v1/webhooks/failed").json):
            time.sleep(0.05)
        assert [(one["job"], one["tries"]) for one in given_up] == [(job, 3)]
        assert "status 500" in given_up[0]["error"]
        assert "secret" not in given_up[0]["error"]
        assert len(listener.told) == 3
        while values(figures.page()[0])["packsight_webhooks_given_up_total",] != 1:
            time.sleep(0.05)
        assert running_door.client("other").get("/v1/webhooks/failed").json == []
        assert running_door.client("other").post(f"/v1/webhooks/failed/{job}/retry").status == 404
        listener.status = 200
        assert client.post(f"/v1/webhooks/failed/{job}/retry").status == 202
        while len(listener.told) < 4:
            time.sleep(0.05)
        while client.get("/v1/webhooks/failed").json:
            time.sleep(0.05)


def test_the_end_after_a_retry_is_told_as_the_first_whoever_asked_for_it(live_settings: Settings, worker: StandIn) -> None:
    with listening() as listener, serving(allowing(live_settings, listener)) as running_door:
        client = running_door.client()
        job = submitted(client, json={"photos": ["s3://a/1", "s3://a/crash"], "webhook": listener.address})["id"]
        for told, who in enumerate((client, running_door.client("other"), running_door.person("shop")), start=1):
            while len(listener.told) < told:
                time.sleep(0.05)
            assert who.post(f"/v1/jobs/{job}/retry", json={"codes": ["internal"]}).status == 202
        while len(listener.told) < 4:
            time.sleep(0.05)
        account = running_door.door.accounts.client_named("shop")
        assert account is not None
        for headers, body in listener.told:
            signed = signature(account.webhook_secret, headers["X-Packsight-Timestamp"], body)
            assert headers["X-Packsight-Signature"] == f"sha256={signed}"
        assert {json.loads(body)["job"] for _, body in listener.told} == {job}


def test_where_nothing_is_asked_again_no_end_is_told_anew(live_settings: Settings, worker: StandIn) -> None:
    with listening() as listener, serving(allowing(live_settings, listener)) as running_door:
        client, database = running_door.client(), running_door.door.client.ledger.client
        job = submitted(client, json={"photos": ["s3://a/1", "s3://a/crash"], "webhook": listener.address})["id"]
        while not listener.told or database.exists(keys.errands(Kind.WEBHOOK)):
            time.sleep(0.05)
        assert client.post(f"/v1/jobs/{job}/retry", json={"codes": ["http_status"]}).status == 202
        assert ended(client, job)["ends"] == {"failed": 2}
        assert not database.exists(keys.errands(Kind.WEBHOOK))
        assert len(listener.told) == 1


def test_that_a_new_end_is_to_be_told_is_known_before_anything_is_asked_again(live_settings: Settings) -> None:
    def stop() -> None:
        raise Stopped

    with Client(live_settings) as client, running(live_settings) as worker:
        job = client.submit([Item("1", "s3://a/crash")])
        deque(client.run(job), maxlen=0)
        errands, errand = Errands(client.ledger.client, 60), Errand(kind=Kind.RETRY, job=job.id, codes=(ErrorCode.INTERNAL,))
        errands.add(Errand(kind=Kind.WEBHOOK, job=job.id, client="shop"))
        told = errands.take(Kind.WEBHOOK)
        assert told is not None
        errands.done(told)
        errands.add(errand)
        with pytest.raises(Stopped):
            ask_again(client, errands, errand, stop)
        assert errands.take(Kind.WEBHOOK) is not None
        assert client.summary(job.manifest).over
        ask_again(client, errands, errand, lambda: None)
        deque(client.outcomes(job, wait=True), maxlen=0)
        assert worker.tries["s3://a/crash"] == 2


def test_webhooks_that_were_given_up_are_told_to_whoever_looks_after_their_catalog(open_door: Serving) -> None:
    admins = {
        catalog: open_door.client(f"admin-{catalog}", Right.ADMIN, catalogs={catalog} if catalog else None)
        for catalog in ("", "shoes", "hats")
    }
    client, database = open_door.client(), open_door.door.client.ledger.client
    jobs = {catalog: submitted(client, json={"photos": ["s3://a/b"], "catalog": catalog})["id"] for catalog in ("shoes", "hats")}
    for job in (*jobs.values(), "removed"):
        errand = Errand(kind=Kind.WEBHOOK, job=job, client="shop", error="it is away")
        database.set(keys.errand(errand.name), errand.model_dump_json(), ex=60)
        database.zadd(keys.errands_failed(Kind.WEBHOOK), {errand.name: time.time()})

    def listed(who: Visitor) -> set[str]:
        return {one["job"] for one in who.get("/v1/webhooks/failed").json}

    every = {*jobs.values(), "removed"}
    assert listed(client) == listed(admins[""]) == every
    for catalog, job in jobs.items():
        assert listed(admins[catalog]) == {job}
        assert admins[catalog].post("/v1/webhooks/failed/removed/retry").status == 404
    assert listed(open_door.person("shop", Right.JOBS)) == set(), "the name of a program makes no person it"


def test_no_webhook_leads_inside(open_door: Serving) -> None:
    client = open_door.client()
    for address in ("http://127.0.0.1/x", "http://169.254.169.254/latest", "http://localhost/", "http://10.0.0.1:8080/", "ftp://example.com/"):
        answer = client.post("/v1/jobs", json={"photos": ["s3://a/b"], "webhook": address})
        assert (answer.status, answer.code in {"reference_refused", "reference_invalid"}) == (400, True), address
    assert open_door.person().post("/v1/jobs", json={"photos": ["s3://a/b"], "webhook": "https://example.com/"}).status == 400
    assert client.get("/v1/jobs").json["jobs"] == []


def test_a_webhook_outlives_its_server(live_settings: Settings) -> None:
    with listening() as listener:
        settings = allowing(live_settings, listener)
        with serving(settings) as running_door:
            submitted(running_door.client(), json={"photos": REFERENCES[:1], "webhook": listener.address})
        assert listener.told == []
        with running(live_settings), serving(settings):
            while not listener.told:
                time.sleep(0.05)


@pytest.mark.parametrize("kind", [Kind.QUEUE, Kind.RETRY])
def test_what_was_accepted_is_tried_until_it_is_done_however_long_others_are_away(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setattr(errands_module, "_LAST", 0.0)
    tries: list[int] = []
    done = threading.Event()

    def do(errand: Errand, _: Alive) -> None:
        tries.append(errand.tries)
        if len(tries) < 4:
            raise StorageError(ErrorCode.FETCH_FAILED, "it is away")
        done.set()

    with closing(Ledger(live_settings)) as ledger:
        errands = Errands(ledger.client, 60)
        errands.add(Errand(kind=kind, job="one", tries=5000))
        runner = Runner(errands, {kind: do}, {kind: 1})
        runner.start()
        was_done = done.wait(20)
        runner.stop()
        assert was_done
        assert tries == [5000, 5001, 5002, 5003]
        assert ledger.client.keys("packsight:errand*") == []


def test_an_errand_is_one_servers_until_it_is_silent(live_settings: Settings) -> None:
    with closing(Ledger(live_settings)) as ledger:
        first, second = Errands(ledger.client, 60), Errands(ledger.client, 60)
        errand = Errand(kind=Kind.WEBHOOK, job="one", client="shop")
        first.add(errand)
        taken = first.take(Kind.WEBHOOK)
        assert taken is not None
        assert taken == errand.model_copy(update={"nonce": taken.nonce})
        assert second.take(Kind.WEBHOOK) is None
        assert second.take(Kind.QUEUE) is None
        ledger.client.zadd(keys.errands(Kind.WEBHOOK), {errand.name: time.time() - 1})  # as when its lease has run out
        assert second.take(Kind.WEBHOOK) == taken
        second.done(taken)
        first.renew(taken)  # comes too late, and brings nothing back
        assert not ledger.client.exists(keys.errands(Kind.WEBHOOK))
        assert first.take(Kind.WEBHOOK) is None
        name = keys.errand(errand.name)
        assert ledger.client.keys("packsight:errand*") == [name], "whom the end after a retry is told"
        assert ledger.client.ttl(name) > 0


@pytest.mark.parametrize("after", [1, 2])
def test_an_errand_that_is_added_while_an_expired_one_of_its_name_is_left_out_is_done(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    with closing(Ledger(live_settings)) as ledger:
        errands, errand = Errands(ledger.client, 60), Errand(kind=Kind.RETRY, job="one")
        errands.add(errand)
        assert errands.take(Kind.RETRY) is not None  # the server knows the script
        errands.add(errand)
        ledger.client.delete(keys.errand(errand.name))
        execute: Any = ledger.client.execute_command
        said = list[Any]()

        def execute_and_add(*command: Any, **options: Any) -> Any:
            found = execute(*command, **options)
            said.append(command)
            if len(said) == after:
                monkeypatch.setattr(ledger.client, "execute_command", execute)
                errands.add(errand)
            return found

        monkeypatch.setattr(ledger.client, "execute_command", execute_and_add)
        first = errands.take(Kind.RETRY)
        monkeypatch.setattr(ledger.client, "execute_command", execute)
        if len(said) < after:
            errands.add(errand)
        assert first or errands.take(Kind.RETRY)


@pytest.mark.parametrize("change", [Errands.done, Errands.put_back, Errands.renew, Errands.give_up], ids=lambda one: one.__name__)
def test_an_errand_that_took_the_place_of_one_in_work_is_not_lost_by_that_ones_end(live_settings: Settings, change: Any) -> None:
    with closing(Ledger(live_settings)) as ledger:
        errands = Errands(ledger.client, 60)
        errands.add(Errand(kind=Kind.RETRY, job="one"))
        first = errands.take(Kind.RETRY)
        assert first is not None
        errands.add(Errand(kind=Kind.RETRY, job="one", client="ann"))
        change(errands, first)
        second = errands.take(Kind.RETRY)
        assert second is not None
        assert second.client == "ann"
        assert errands.failed(Kind.RETRY) == []
        errands.give_up(second)
        assert errands.failed(Kind.RETRY) == [second]
